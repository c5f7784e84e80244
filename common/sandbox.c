#include "common/records.h"
#include "common/sandbox.h"

/* What differs between the programs; docs/architecture.md 1 says why. */
const struct sandbox_profile sandbox_config = {
	.descriptors = 64, .file_size = RECORDS_MAX, .memfds = true,
};
const struct sandbox_profile sandbox_log = {
	.descriptors = 1024, .files = true,
};
const struct sandbox_profile sandbox_worker = {
	.sockets = true,
};
const struct sandbox_profile sandbox_system = {
	.descriptors = 1024,
};
/* Permissions that are too long for a message travel as memfds. */
const struct sandbox_profile sandbox_auth = {
	.descriptors = 4096, .file_size = RECORDS_MAX, .memfds = true,
};
const struct sandbox_profile sandbox_monitor = {
	.descriptors = 4096, .sockets = true,
};
const struct sandbox_profile sandbox_signer = {
	.descriptors = 4096,
};
