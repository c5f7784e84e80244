#ifndef BROKER_POLICY_PRIVATE_H
#define BROKER_POLICY_PRIVATE_H
/* What grants need to know of a policy. */
#include "broker/policy.h"

/* As policy_publish(), not cached: for subjects that are seen once. */
bool policy_allows(struct policy *p, struct bytes subject);
/* HASH_SECRET bytes, the same in all policies of one `struct policies`, as long as that lives. */
const uint8_t *policy_secret(const struct policy *p);
#endif
