#ifndef CONFIG_DIGEST_H
#define CONFIG_DIGEST_H
#include "supervisor/config/tree.h"

#define DIGEST_TEXT	72	/* "sha256:", 64 digits and the NUL */

/* Fetch what OpenSSL needs; before the sandbox. 0 or -EIO. */
int digest_prepare(void);

/*
 * "sha256:..." of the map as the JSON that nats-server -t hashes: that of Go's
 * json.Encoder, keys sorted by bytes, with a line end. 0 or -ENOMEM, -EIO.
 */
int digest_config(const struct config_value *map, char text[DIGEST_TEXT]);

/* The digest of texts, one after the other, in the same form. 0 or -ENOMEM, -EIO. */
int digest_texts(const struct bytes *texts, size_t count, char text[DIGEST_TEXT]);

/* That JSON, malloc'd, for tests; NULL: no memory. */
char *digest_json(const struct config_value *map, size_t *len);
#endif
