#ifndef AUTH_COUNTS_H
#define AUTH_COUNTS_H
/* How many clients are in, by what limits ask for. Only what is not 0 takes memory. */
#include "supervisor/auth/source.h"

enum count_of {
	COUNT_ACCOUNT,		/* of an account */
	COUNT_USER,		/* of a user, by its number */
	COUNT_ACCOUNT_SOURCE,	/* of an account, from one source */
	COUNT_USER_SOURCE,
	COUNT_ACCOUNT_WORKER,	/* of an account, at a worker: source.low */
	COUNT_USER_WORKER,
};
#define COUNT_ANYWHERE	((struct source){ 0, 0 })

struct counts { struct map all; };

int counts_init(struct counts *c);	/* 0 or -ENOMEM */
void counts_free(struct counts *c);
void counts_clear(struct counts *c);
uint64_t counts_get(const struct counts *c, enum count_of kind, uint64_t of, struct source from);
/* One more: 0 or -ENOMEM. One less: of what is counted. */
int counts_add(struct counts *c, enum count_of kind, uint64_t of, struct source from);
void counts_remove(struct counts *c, enum count_of kind, uint64_t of, struct source from);
#endif
