#ifndef SYSTEM_REPORTS_H
#define SYSTEM_REPORTS_H
/*
 * The reports: the same for HTTP and for the system account. What they say
 * comes from memory that others write: every number is bounded, every walk too.
 */
#include <jansson.h>
#include "admin/system/connections.h"
#include "admin/system/options.h"
#include "admin/system/secure.h"
#include "admin/system/tallies.h"
#include "admin/system/usage.h"
#include "admin/system/view.h"
#include "broker/accounts.h"
#include "broker/broker.h"
#include "common/settings.h"

#define REPORTS		10	/* kinds of them */

struct reporter {
	const struct settings	*settings;
	const struct accounts	*accounts;	/* NULL: not yet known */
	struct secure		 secure;
	struct view		 view;
	struct usage		 usage;
	struct broker		*broker;	/* knows the workers' subjects; NULL: nobody does */
	struct closed		 closed;
	struct past		 past;
	long			 processors;
	uint64_t		 asked[REPORTS];	/* by HTTP, in the order of reports_path() */
};

struct report {
	unsigned	 status;	/* HTTP's */
	char		*body;		/* free() */
	size_t		 len;
};

/* Why a report is not made: a sentence, for HTTP with this status. */
struct refused { unsigned status; char why[512]; };

/* An object; NULL: *refused says why, or there is no memory. */
typedef json_t *report_maker(struct reporter *r, const json_t *options, struct refused *refused);

/* A report by its name in a request ("CONNZ"). */
struct report_kind {
	const char		*name, *path, *alias;	/* of HTTP: path, and another of the same */
	report_maker		*make;
	const struct option	*options;
};
/* NULL: there is none of that name. */
const struct report_kind *report_named(struct bytes name);

/* Path of report i of REPORTS. */
const char *reports_path(unsigned i);

/* By HTTP. *report is written in any case; its status says what went wrong. */
void report_make(struct reporter *r, struct bytes path, struct bytes query, struct report *report);

/* ---- for those that make them */

report_maker	 varz_make, connz_make, subsz_make, accountz_make, accstatz_make, healthz_make,
    routez_make, gatewayz_make, leafz_make, jsz_make;
extern const struct option options_none[], options_connz[], options_subsz[], options_accountz[],
    options_accstatz[], options_healthz[], options_routez[], options_gatewayz[], options_leafz[],
    options_jsz[];

#define REPORT_LIMIT	1024u	/* entries, unless asked for others */
#define REPORT_MOST	16384u	/* ... and never more */
#define REPORT_TEXTS	(8u << 20)	/* bytes of the subscriptions that one report names */
#define REPORT_TEXT	96u	/* ... each with so many for what is around its subject */

/* offset and limit of a list, from what was asked, within bounds. */
void report_window(const json_t *options, uint64_t *offset, uint64_t *limit);
/* NULL; static. */
json_t *report_refuse(struct refused *refused, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Name of an account as reports have it; static or of r->accounts. */
struct bytes account_title(const struct reporter *r, uint64_t account);
/* Its number; 0: there is none of that name. */
uint32_t account_titled(const struct reporter *r, struct bytes name);
/* One of an account's detail; NULL: no memory. */
json_t *account_detail(struct reporter *r, const struct account *account);

struct object;
/* Figures of the 2.x server's cache of subjects: zeros. */
void cache_put(struct object *o);
/* What `acc` and what follows it say of an account. */
void tally_put(struct object *o, const char *name, const struct tally *t);

/* The body of `statsz`. */
void statsz_put(struct object *o, struct reporter *r);

/* One subscription: its interest. False: its worker does not say. */
bool subscription_interest(struct reporter *r, unsigned worker, uint32_t record, struct index_interest *out);
/* One of a list of details. named: with its account. */
void subscription_put(struct object *o, struct reporter *r, unsigned worker, const struct subscription *sub,
    const struct index_interest *interest, bool named);
/* A copy of slot `slot` of that worker. False: nobody is there. */
bool subscription_read(const struct view *v, unsigned worker, uint32_t slot, struct subscription *sub);
/* Those of clients of an account that get what is published there; of a queue group, or of none. */
uint64_t subscribers_count(struct reporter *r, uint32_t account, struct bytes subject, struct bytes queue);
/* Slots that may be in use. */
uint32_t subscription_top(const struct view *v, unsigned worker);
#endif
