#ifndef AUTH_DISTINGUISHED_H
#define AUTH_DISTINGUISHED_H
/*
 * Distinguished names, as certificates and the names of users have them:
 * "CN=a,OU=b+OU=c". RFC 4514; two are the same if their parts are, and those of
 * one part in whichever order. What does not keep to the syntax is the same as nothing,
 * and so is what is no string (a value that begins with #).
 */
#include "supervisor/auth/map.h"

/* Those among many, by what does not depend on the order of parts. */
struct name_entry { uint64_t hash; uint32_t of; };
struct distinguished { struct name_entry *all; uint32_t count, room; };

int distinguished_add(struct distinguished *n, struct bytes name, uint32_t of);	/* 0, also if it is none; -ENOMEM */
void distinguished_sort(struct distinguished *n);	/* after the last */
void distinguished_free(struct distinguished *n);

/* Which of them may be the same as name? In the order in which they were added. */
struct distinguished_walk { const struct distinguished *names; uint64_t hash; uint32_t at; };
void distinguished_begin(struct distinguished_walk *w, const struct distinguished *n, struct bytes name);
bool distinguished_next(struct distinguished_walk *w, uint32_t *of);

enum distinguished_compared { NAMES_DIFFER, NAMES_EQUAL, NAMES_REORDERED };
enum distinguished_compared distinguished_compare(struct bytes a, struct bytes b);
#endif
