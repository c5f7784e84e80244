#ifndef CONFIG_FIELDS_H
#define CONFIG_FIELDS_H
/* Blocks whose keys are known: each key to the function that reads it. */
#include "supervisor/config/tenants.h"

/* One block while it is read. */
struct fields {
	struct tenants	*t;
	const char	*where;		/* "a user", for messages */
	void		*owner;		/* what its functions fill */
};

struct field {
	const char	*names;		/* the key and its aliases, separated by commas */
	int		(*read)(struct fields *f, const struct config_entry *e);
};

#define FIELDS_MOST	32	/* in one block */

/*
 * Read all of a map. A key that is none of table's, or comes under two names, is an
 * error; so is v if it is no map. 0; -errno: what a function answered.
 */
int fields_read(struct fields *f, const struct config_value *v, const struct field *table, size_t count);

/* Values of a kind. False: the error is written down. */
bool field_text(struct fields *f, const struct config_entry *e, struct bytes *text, size_t most);
bool field_secret(struct fields *f, const struct config_entry *e, struct bytes *text);	/* never shown */
bool field_boolean(struct fields *f, const struct config_entry *e, bool *value);
bool field_whole(struct fields *f, const struct config_entry *e, int64_t *value);
bool field_subject(struct fields *f, const struct config_entry *e, struct bytes *subject);
/* Seconds as a number, or a duration; not below 0. */
bool field_seconds(struct fields *f, const struct config_entry *e, double *seconds);
/* A text as "50%", or a whole number. */
bool field_percent(struct fields *f, const struct config_entry *e, int64_t least, uint64_t *value);

/* What is there instead of a public nkey, for messages: a seed is secret and not shown. */
const char *nkey_found(struct bytes text, char out[CONFIG_QUOTED]);

/* A field of proxy_required. */
int field_proxy(struct fields *f, const struct config_entry *e);

/* "key: found X, expected what" */
void field_expected(struct fields *f, const struct config_entry *e, const char *what);
/* Only what can do harm: an error if the errors are strict, else a warning. */
void field_doubt(struct fields *f, const struct config_entry *e, const char *what);
#endif
