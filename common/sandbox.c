#include <stdio.h>
#include <string.h>
#include "common/records.h"
#include "common/sandbox.h"

/*
 * What differs between the programs; docs/architecture.md 1 says why. docs/security.md shows the
 * same table. The worker's descriptors and segments are as many and as large as the configuration wants.
 */
static const struct sandbox_profile table[ROLES] = {
	/*		     descriptors  file_size	rights				 promises */
	[ROLE_SUPERVISOR] = {	       0,	 0,	SANDBOX_PARENT,			 "stdio rpath wpath cpath fattr flock chown "
	    "inet unix dns getpw sendfd recvfd proc exec id" },
	[ROLE_CONFIG] =	    {	      64, RECORDS_MAX,	SANDBOX_MEMFDS,			 "stdio rpath wpath cpath sendfd recvfd" },
	[ROLE_LOG] =	    {	    1024,	 0,	SANDBOX_FILES,			 "stdio recvfd" },
	[ROLE_WORKER] =	    {	       0,	 0,	SANDBOX_SOCKETS,		 "stdio sendfd recvfd" },
	[ROLE_SYSTEM] =	    {	    1024,	 0,	0,				 "stdio sendfd recvfd" },
	[ROLE_MONITOR] =    {	    4096,	 0,	SANDBOX_SOCKETS,		 "stdio recvfd" },
	/* permissions that are too long for a message travel as memfds */
	[ROLE_AUTH] =	    {	    4096, RECORDS_MAX,	SANDBOX_MEMFDS | SANDBOX_THREADS, "stdio rpath wpath cpath sendfd recvfd" },
	[ROLE_SIGNER] =	    {	    4096,	 0,	0,				 "stdio recvfd" },
};

static const char *const layers[SANDBOX_LAYERS] = {
	[LAYER_LIMITS] = "limits", [LAYER_NETWORK] = "net", [LAYER_IPC] = "ipc", [LAYER_UTS] = "uts",
	[LAYER_CGROUP] = "cgroup", [LAYER_PID] = "pid", [LAYER_ROOT] = "root", [LAYER_IDENTITY] = "uid",
	[LAYER_CAPABILITIES] = "capabilities", [LAYER_NO_NEW_PRIVILEGES] = "no_new_privs",
	[LAYER_NOT_DUMPABLE] = "not_dumpable", [LAYER_MDWE] = "mdwe", [LAYER_LANDLOCK] = "landlock",
	[LAYER_FILTER] = "filter",
};

const struct sandbox_profile *
sandbox_profile(enum role role)
{
	return &table[role];
}

const char *
sandbox_layer_name(enum sandbox_layer layer)
{
	return layer < SANDBOX_LAYERS ? layers[layer] : "?";
}

const char *
sandbox_layers_text(uint32_t bits, char *text, size_t size)
{
	size_t	i, len = 0;

	snprintf(text, size, "none");
	for (i = 0; i < SANDBOX_LAYERS; i++)
		if ((bits & LAYER_BIT(i)) != 0 && len < size)
			len += (size_t)snprintf(text + len, size - len, "%s%s", len == 0 ? "" : ", ", layers[i]);
	return text;
}
