#ifndef BROKER_ACCOUNTS_H
#define BROKER_ACCOUNTS_H
/*
 * The accounts of a configuration, as a participant needs them: read from its
 * accounts document (common/records.h), and not changed after that.
 */
#include <stdint.h>
#include "common/messages.h"
#include "nats/transform.h"

struct mapping_destination { struct transform *transform; uint32_t weight; };	/* percent */

struct mapping {
	char				*source;
	struct mapping_destination	*to;
	uint32_t			 count;
};

struct stream_import {
	uint32_t		 from;		/* account */
	char			*subject;	/* theirs */
	struct transform	*to;		/* from theirs to ours */
	bool			 allow_trace;
};

struct service_import {
	uint32_t		 from;
	char			*to;		/* ours */
	struct transform	*subject;	/* from ours to theirs */
	enum response_type	 response;
	double			 threshold;	/* seconds */
	bool			 share;
	char			*latency;	/* NULL: no samples */
	unsigned		 sampling;	/* percent; 101: by headers */
};

/* What each account but the system account has of it without saying so: its own report under that account. */
struct builtin_import { const char *ours, *report; };
#define BUILTIN_IMPORTS	3
extern const struct builtin_import builtin_imports[BUILTIN_IMPORTS];

struct export {
	char			*subject;
	bool			 service, restricted;
	unsigned		 token_position;
	enum response_type	 response;
	char			*latency;
	unsigned		 sampling;
	uint32_t		*accounts;	/* that are listed */
	uint32_t		 naccounts;
};

struct account {
	uint32_t		 number;
	char			*name;
	uint64_t		 limits[LIMITS];
	struct mapping		*mappings;	/* in the order in which they are tried: literal ones first */
	struct stream_import	*streams;
	struct service_import	*services;
	struct export		*exports;
	uint32_t		 nmappings, nstreams, nservices, nexports;
};

struct accounts {
	struct account	**all;			/* in the order of their numbers */
	struct account	**by_name;
	uint32_t	  count;
};

/*
 * Read a sealed document that config wrote for `role`; users in it are skipped. cluster: our cluster's
 * name for mappings, "" none. There is always a global account. 0: *out is for
 * accounts_free(); -EBADMSG with *why; -ENOMEM; -errno.
 */
int accounts_read(struct accounts **out, int fd, enum role role, const char *cluster, const char **why);
void accounts_free(struct accounts *a);		/* NULL is nothing */
/* NULL: there is none of that number, or name. */
const struct account *accounts_find(const struct accounts *a, uint32_t number);
const struct account *accounts_named(const struct accounts *a, struct bytes name);
/* Does it take streams of that account? */
bool account_imports_from(const struct account *a, uint32_t from);
#endif
