/*
 * The decoder of channel messages. The first three bytes say from whom, to
 * whom, in which state and with how many descriptors; the rest is the datagram.
 * What is accepted must encode again, to a message that says the same.
 */
#include <stdlib.h>
#include <string.h>
#include "common/messages.h"
#include "common/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
again(const struct msg *m, enum role from, enum role to, int nfds, enum msg_state state)
{
	char			 before[4096], after[4096];
	msgpack_unpacked	 u;
	msgpack_sbuffer		 b;
	struct msg		 second;
	const char		*why;

	msgpack_sbuffer_init(&b);
	msgpack_unpacked_init(&u);
	if (msg_encode(&b, m) != 0 ||
	    unpack_bounded(&u, (struct bytes){ b.data, b.size }, MESSAGE_MAX) != 0 ||
	    msg_decode(&second, from, to, nfds, state, &u.data, &why) != 0)
		abort();
	msg_print(m, before, sizeof(before));
	msg_print(&second, after, sizeof(after));
	if (strcmp(before, after) != 0)
		abort();
	msgpack_unpacked_destroy(&u);
	msgpack_sbuffer_destroy(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum role		 from, to;
	enum msg_state		 state;
	msgpack_unpacked	 u;
	struct msg		 m;
	const char		*why;
	int			 nfds;

	if (size < 3 || size > 3 + MESSAGE_MAX)
		return 0;
	from = (enum role)(data[0] % ROLES);
	to = (enum role)(data[1] % ROLES);
	state = data[2] & 1 ? MSG_READY : MSG_START;
	nfds = data[2] >> 1 & 3;
	msgpack_unpacked_init(&u);
	if (unpack_bounded(&u, (struct bytes){ (const char *)data + 3, size - 3 }, MESSAGE_MAX) == 0 &&
	    msg_decode(&m, from, to, nfds, state, &u.data, &why) == 0)
		again(&m, from, to, nfds, state);
	msgpack_unpacked_destroy(&u);
	return 0;
}
