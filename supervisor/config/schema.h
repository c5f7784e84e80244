#ifndef CONFIG_SCHEMA_H
#define CONFIG_SCHEMA_H
#include "common/settings.h"
#include "supervisor/config/tree.h"

/* Where a setting's value comes from. All zero: every one is a default. */
enum schema_origin_kind { ORIGIN_DEFAULT, ORIGIN_FILE, ORIGIN_FLAG };

struct schema_origin {
	enum schema_origin_kind	kind;
	struct config_position	at;	/* ORIGIN_FILE: of the key */
};

struct schema_origins { struct schema_origin of[SETTINGS_COUNT]; };	/* by settings.def's order */

struct tenants;
struct tls_block;

/*
 * Apply what the tree says to s, and to tenants and tls what is in blocks. What is wrong is in errors.
 * 0, -ENOMEM, -errno of the source of tenants.
 *
 * A free port, -1 in the file, is 0 in `port` and `http_port`, and ":0" in an
 * item of `listen`: that is what bind(2) makes of it. 0 in the file is the
 * default, as for every setting that cannot be 0.
 */
int schema_apply(struct settings *s, struct schema_origins *origins, struct tenants *tenants,
    struct tls_block *tls, const struct config_value *map, struct config_errors *errors);

/* A duration that a block says, at `at`. 0, -ERANGE, -ENOMEM. */
int schema_set_duration(struct settings *s, struct schema_origins *origins, const char *name,
    double seconds, struct config_position at);

/* Was it said at all? Else it is as it comes. */
bool schema_is_said(const struct schema_origins *origins, const char *name);
/* Where a setting was said; the zero position: nowhere. */
struct config_position schema_said_at(const struct schema_origins *origins, const char *name);

/* A value that says "do without it": false, 0, "", "disabled". */
bool schema_value_is_off(const struct config_value *v);

/*
 * Let the command line's settings, a sealed document (kept open), win over
 * those of the file: an address or port given there takes the place of all of
 * the file's `listen`. 0 or -ENOMEM.
 */
int schema_override(struct settings *s, struct schema_origins *origins, int document,
    struct config_errors *errors);

/*
 * What must hold between settings, wherever they came from: an error is where
 * the last of them was said.
 */
void schema_check(const struct settings *s, const struct schema_origins *origins,
    struct config_errors *errors);
#endif
