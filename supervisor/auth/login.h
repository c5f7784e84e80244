#ifndef AUTH_LOGIN_H
#define AUTH_LOGIN_H
/*
 * Who is it? The one place that decides it, from what a client offered, in
 * the order of the real server: nobody asks; nkey; certificate; nothing
 * at all; user and password; token.
 */
#include "supervisor/auth/users.h"

enum login_how {
	LOGIN_UNASKED,		/* nobody has to say who it is */
	LOGIN_ANONYMOUS,	/* it said nothing: the no_auth_user */
	LOGIN_PASSWORD,
	LOGIN_TOKEN,
	LOGIN_NKEY,
	LOGIN_CERTIFICATE,
	LOGIN_PEER,		/* whoever connected to the Unix socket */
	LOGIN_HOWS
};

struct verdict {
	enum { VERDICT_REFUSED, VERDICT_ADMITTED, VERDICT_HASH } is;
	enum login_how		 how;
	const struct user	*user;		/* NULL: LOGIN_UNASKED */
	struct bytes		 password;	/* VERDICT_HASH: to compare with the user's hash */
};

/*
 * nonce: the text of the login's nonce; len 0: it has none. maps: certificates name users, so who
 * shows none is nobody, unless it has an nkey or is at a Unix socket.
 * Whether the user has expired, and limits, are not looked at. *v points into u and m.
 */
void login_decide(const struct users *u, const struct msg_login *m, struct bytes nonce, bool maps,
    struct verdict *v);

/* Whom it claims to be, for logs and reports; never a secret. Into out, with its NUL. */
#define LOGIN_TEXT	1025u
void login_claimed(const struct msg_login *m, char out[LOGIN_TEXT]);

/* Of one who was admitted so; how LOGIN_UNASKED: empty. */
struct bytes login_text(enum login_how how, const struct user *user);
#endif
