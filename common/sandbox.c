#include "common/sandbox.h"
#include "common/settings.h"

/* What differs between the programs; docs/architecture.md 1 says why. */
const struct sandbox_profile sandbox_config = {
	.descriptors = 64, .file_size = SETTINGS_MAX, .memfds = true,
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
const struct sandbox_profile sandbox_auth = {
	.descriptors = 1024,
};
const struct sandbox_profile sandbox_monitor = {
	.descriptors = 4096, .sockets = true,
};
