#ifndef CONFIG_KNOWN_H
#define CONFIG_KNOWN_H
/* Names that are known already, and what each stands for: a hash table that only grows. */
#include <stdint.h>
#include "common/bytes.h"

struct known_name { struct bytes text; uint32_t value; };

/* Zeroed at its start. */
struct known { struct known_name *slots; size_t count, room; };

/*
 * text, which is kept by the caller, stands for value from now on. 0; -EEXIST: it
 * stands for something already, which is in *found if that is not NULL; -ENOMEM.
 */
int known_add(struct known *n, struct bytes text, uint32_t value, uint32_t *found);

/* What text stands for. False: nothing. */
bool known_find(const struct known *n, struct bytes text, uint32_t *value);

void known_free(struct known *n);
#endif
