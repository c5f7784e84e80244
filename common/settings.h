#ifndef COMMON_SETTINGS_H
#define COMMON_SETTINGS_H
/*
 * The settings of settings.def as C, and as the document in which they travel:
 * a msgpack map from name to value in a sealed memfd. A role's document has
 * only what that role may learn; what is absent has its default.
 */
#include "common/messages.h"

struct text_list { char **items; size_t count; };

#define STORE_integer uint64_t
#define STORE_duration double
#define STORE_boolean bool
#define STORE_text char *
#define STORE_list struct text_list

struct settings {
#define SETTING(kind, name, value, lo, hi, unit, how, roles, help) STORE_##kind name;
#define ALIAS(other, name)
#define BLOCK(name, how, help)
#define LATER(name, off, what)
#include "common/settings.def"
	/* Which were given, by settings.def's order, rather than left at their default. */
#define SETTING(kind, name, value, lo, hi, unit, how, roles, help) bool has_##name;
#define ALIAS(other, name)
#define BLOCK(name, how, help)
#define LATER(name, off, what)
#include "common/settings.def"
};

enum setting_kind { SETTING_integer, SETTING_duration, SETTING_boolean, SETTING_text, SETTING_list };

/* Whether it may change while the server runs. */
enum setting_how {
	LIVE	= 1,		/* by a reload */
	FIXED	= 2,		/* by a restart only */
	OWN	= 4,		/* the supervisor sets it; no file or flag may */
	SECRET	= 8,		/* beside one of those: shown to nobody */
};

struct setting {
	const char		*name;
	enum setting_kind	 kind;
	double			 least, most;
	const char		*unit;		/* of a number: "bytes", "seconds", "" */
	unsigned		 how;
	uint64_t		 roles;
	const char		*value;		/* the default, as in settings.def */
	const char		*help;
	size_t			 offset, has;	/* in struct settings */
};

#define SETTING(kind, name, value, lo, hi, unit, how, roles, help) + 1
#define ALIAS(other, name)
#define BLOCK(name, how, help)
#define LATER(name, off, what)
enum { SETTINGS_COUNT = 0
#include "common/settings.def"
};

/* All settings; *count of them: SETTINGS_COUNT. */
const struct setting *settings_table(size_t *count);

/* By name or alias, without regard to case; NULL: unknown. */
const struct setting *setting_find(struct bytes name);

/* A key whose value goes into the accounts documents. */
struct settings_block {
	const char	*name;
	unsigned	 how;		/* LIVE or FIXED */
};

/* By name or alias, without regard to case; NULL: none of them. */
const struct settings_block *settings_block_find(struct bytes name);

/* The known name nearest to a misspelt one, for messages; NULL: none is near. */
const char *setting_suggest(struct bytes name);

/* A key of the real server that has no meaning here yet. */
struct later {
	const char	*name;
	bool		 off;		/* false, 0, "" and "disabled" are as good as leaving it out */
	const char	*what;		/* what is missing: "TLS" */
};

/* Without regard to case; NULL: none of them. */
const struct later *later_find(struct bytes name);

/* All at their defaults. 0 or -ENOMEM. */
int settings_init(struct settings *s);
/* Free its texts and lists. */
void settings_free(struct settings *s);

/* Set one; checks kind and range. 0; -EINVAL wrong kind; -ERANGE; -ENOMEM. */
int setting_set_integer(struct settings *s, const struct setting *which, uint64_t value);
int setting_set_duration(struct settings *s, const struct setting *which, double seconds);
int setting_set_boolean(struct settings *s, const struct setting *which, bool value);
int setting_set_text(struct settings *s, const struct setting *which, struct bytes value);
int setting_add_item(struct settings *s, const struct setting *which, struct bytes value);

/* Whether it was given rather than left at its default. */
bool setting_given(const struct settings *s, const struct setting *which);

/* Whether it has the same value in both, given or not. */
bool setting_equal(const struct settings *a, const struct settings *b, const struct setting *which);

/* Its value for the log: 1024, 10s, true, a text, [a b]; a SECRET one is [REDACTED]. Returns text. */
const char *setting_show(const struct settings *s, const struct setting *which, char *text,
    size_t size);

/*
 * Write the given (has_...) settings that `role` may see into a new sealed
 * memfd; ROLE_SUPERVISOR sees all. The descriptor, or -errno.
 */
int settings_write(const struct settings *s, enum role role);

/*
 * Read a document from fd (kept open) over what s has already; refuses
 * documents over SETTINGS_MAX, unsealed, malformed or out of range.
 * 0; -EBADMSG (*why: a setting's name or what is wrong); -errno.
 */
#define SETTINGS_MAX	(64u << 20)
int settings_read(struct settings *s, int fd, const char **why);

/* Bytes of a settings document already in memory; what settings_read() does after mapping. */
int settings_parse(struct settings *s, struct bytes document, const char **why);
#endif
