#ifndef SIGNER_SIGNER_H
#define SIGNER_SIGNER_H
/* The whole process: keys, what they belong to, who asks. */
#include "common/child.h"
#include "supervisor/signer/asker.h"
#include "supervisor/signer/inventory.h"
#include "supervisor/signer/keys.h"

#define LOG_AGAIN	86400.0		/* seconds: certificates are logged that often */

struct signer {
	struct child		 child;
	struct keys		 keys;
	struct inventory	 in_force, next;	/* next: prepared */
	struct askers		 askers;
	ev_timer		 daily;
	char			 error[BLAME_MAX];
};

/* After child_init() and keys_setup(). 0 or -ENOMEM. */
int signer_init(struct signer *s);
void signer_free(struct signer *s);

/* What the supervisor says (channel_receive). */
int signer_receive(struct signer *s, const struct msg *m, const int *fds);

/* child.h */
const char *signer_check(struct child *child, const struct settings *next);
void signer_apply(struct child *child, const struct settings *before);

/* Can keys and certificates of a document serve? NULL, or why not; then c is empty. */
const char *signer_judge(struct signer *s, struct inventory *c, int document);

/* asker.h */
enum sign_refusal signer_answer(void *owner, enum role role, const struct msg_sign *m, uint8_t *out, size_t *len);
#endif
