#ifndef CONFIG_SUITES_H
#define CONFIG_SUITES_H
/*
 * Names of cipher suites, curves and versions of TLS as Go has them, which is
 * how a configuration says them, and as OpenSSL has them. Sets are bits by the
 * order of preference, which is Go's: that of a list in the file does not count.
 */
#include <stdint.h>
#include "common/bytes.h"

enum suite_standing {
	SUITE_GOOD,
	SUITE_INSECURE,		/* only with allow_insecure_cipher_suites */
	SUITE_RSA,		/* not here: nothing would be signed, and recorded traffic could be read later */
	SUITE_BROKEN		/* not here: OpenSSL does not have it */
};

#define SUITES_TEXT	1024	/* any list of one kind, with its NUL */

/* Its place. -ENOENT: there is none of this name. */
int suite_find(struct bytes name);
enum suite_standing suite_standing(int place);
bool suite_is_insecure(int place);	/* by Go's list: all that are not SUITE_GOOD */
const char *suite_name(int place);

/* Those of set that are of TLS 1.2, or else of TLS 1.3, for OpenSSL. */
void suites_print(uint64_t set, bool older, char out[SUITES_TEXT]);
/* All that are good. */
uint64_t suites_usual(void);
/* Does it have one of TLS 1.2, or else of TLS 1.3? */
bool suites_have(uint64_t set, bool older);

/* Its place. -ENOENT; -ENOTSUP with *place all the same: this OpenSSL does not have it. */
int curve_find(struct bytes name, int *place);
void curves_print(uint64_t set, char out[SUITES_TEXT]);
uint64_t curves_usual(void);	/* all that this OpenSSL has */

/* "1.2" and "1.3" to the number of the protocol. -EINVAL no version; -ERANGE an older one. */
int tls_version_find(struct bytes text, uint64_t *version);
#endif
