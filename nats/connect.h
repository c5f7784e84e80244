#ifndef NATS_CONNECT_H
#define NATS_CONNECT_H
/* The JSON of CONNECT. */
#include "common/bytes.h"

struct nats_connect {
	bool	verbose, pedantic, echo, headers, no_responders, tls_required;
	int	protocol;
	char	*name, *lang, *version;			/* NULL: absent; owned */
	char	*user, *pass, *auth_token, *nkey, *sig, *jwt;
	bool	account_given;				/* account or new_account was not empty */
};

/* What holds for a client before its CONNECT: verbose, pedantic, echo. */
void nats_connect_defaults(struct nats_connect *c);

/*
 * Keys without regard to case, unknown ones ignored, invalid UTF-8 in strings
 * passes, text after the object refused; as the 2.x server.
 * 0: c is filled (nats_connect_free()); -EBADMSG; -ENOMEM: c is as it was.
 */
int nats_connect_parse(struct nats_connect *c, struct bytes json);
void nats_connect_free(struct nats_connect *c);	/* wipes secrets */
#endif
