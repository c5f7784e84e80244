#ifndef CONFIG_TLS_H
#define CONFIG_TLS_H
/*
 * A block tls: read key by key, then what the command line says put over it and
 * checked as a whole, then written as records in which files have their names.
 * None of them is opened here. Texts lie in the configuration's own text.
 */
#include <msgpack.h>
#include "common/settings.h"
#include "supervisor/config/schema.h"
#include "supervisor/config/tenants.h"

/* A file as it is named; path.len 0: none is. */
struct tls_name { struct bytes path; struct config_position at; };
struct tls_pair { struct tls_name certificate, key, password; };

struct tls_block {
	enum tls_use		 use;
	bool			 given;		/* there is such a block, or flags in its place */
	bool			 flags;		/* files and verify are those of the command line */
	struct config_position	 at;
	bool			 verify, map, known_urls, insecure, insecure_suites;
	bool			 first;
	double			 timeout, fallback;	/* seconds; 0: the usual one, none */
	uint64_t		 rate, minimum;
	uint64_t		 suites, curves;	/* suites.h; 0: not said */
	struct config_position	 insecure_at;	/* of the first such suite */
	struct tls_pair		 pair;		/* cert_file, key_file */
	struct tls_pair		*pairs;		/* certs */
	size_t			 npairs, pairs_room;
	struct tls_name		 authority, revoked;
	uint8_t			(*pins)[32];
	size_t			 npins, pins_room;
};

#define TLS_TIMEOUT	2.0	/* seconds for a handshake, where nothing is said */
#define TLS_FALLBACK	0.05	/* handshake_first: "auto" */

void tls_block_init(struct tls_block *b, enum tls_use use);
void tls_block_free(struct tls_block *b);

/*
 * What an entry of the file says. t: for its errors. 0; what is wrong is in the
 * errors; -ENOMEM.
 */
int tls_block_read(struct tls_block *b, struct tenants *t, const struct config_entry *e);

/* Only of clients' block: let the flags --tls... in s take the place of what the file says, and forget them. */
void tls_block_override(struct tls_block *b, struct settings *s);

/* What has to hold between its keys. */
void tls_block_check(const struct tls_block *b, struct config_errors *errors);

/*
 * Of clients' block, if it is good and before tenants_finish(): the settings that
 * follow from it. 0 or -ENOMEM.
 */
int tls_block_follow(const struct tls_block *b, const struct tenants *t, struct settings *s,
    const struct schema_origins *origins);

/* Append its records to out, none if it was not given. 0 or -errno. */
int tls_block_write(const struct tls_block *b, const struct config_errors *errors, msgpack_sbuffer *out);

/* Does the command line say in the place of this key? */
bool tls_key_of_flags(struct bytes key);
#endif
