/*
 * What a connection to the control socket makes of hostile bytes: datagrams,
 * each behind a byte with its length, from two users. Whatever comes back is a
 * message for bulkheadctl, and no connection stays that has not earned it.
 */
#include <sys/socket.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "admin/system/system.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/unpack.h"
#include "shm/directory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct system	s;
static int		fds[2] = { -1, -1 };

static void
setup(void)
{
	const struct msg_process	us = { .role = ROLE_SYSTEM, .pid = 1, .layers = 5, .possible = 7 };

	s.child.loop = loop_new();
	if (s.child.loop == NULL || settings_init(&s.child.settings) != 0)
		abort();
	s.reporter.settings = &s.child.settings;
	s.reporter.view.directory.base = calloc(1, DIRECTORY_SIZE);
	control_init(&s.control);
	usage_init(&s.reporter.usage);
	if (s.reporter.view.directory.base == NULL ||
	    usage_add(&s.reporter.usage, &us, open("/proc/self/stat", O_RDONLY | O_CLOEXEC)) != 0)
		abort();
	log_to(open("/dev/null", O_WRONLY | O_CLOEXEC));
}

static void
user_connect(unsigned i)
{
	int	ends[2];

	if (channel_pair(ends) != 0)
		abort();
	control_add(&s, i, ends[1]);
	fds[i] = ends[0];
}

static void
answers_check(int fd)
{
	static char		 text[MESSAGE_MAX];
	msgpack_unpacked	 u;
	struct msg		 m;
	const char		*why;
	ssize_t			 n;

	while ((n = recv(fd, text, sizeof(text), MSG_DONTWAIT)) > 0) {
		msgpack_unpacked_init(&u);
		if (unpack_bounded(&u, (struct bytes){ text, (size_t)n }, MESSAGE_MAX) != 0 ||
		    msg_decode(&m, ROLE_SYSTEM, ROLE_CTL, 0, MSG_READY, &u.data, &why) != 0)
			abort();
		msgpack_unpacked_destroy(&u);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t		n;
	unsigned	i;

	if (s.child.loop == NULL)
		setup();
	user_connect(0);
	user_connect(1);
	for (; size >= 2; data += n, size -= n) {
		i = data[0] >> 7;
		n = data[0] & 127;
		data++;
		size--;
		n = n > size ? size : n;
		if (n > 0)
			(void)send(fds[i], data, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n % 3 == 0) {
			ev_run(s.child.loop, EVRUN_NOWAIT);
			answers_check(fds[i]);
		}
	}
	ev_run(s.child.loop, EVRUN_NOWAIT);
	if (s.control.count > 2)
		abort();
	for (i = 0; i < 2; i++) {
		answers_check(fds[i]);
		close(fds[i]);
	}
	ev_run(s.child.loop, EVRUN_NOWAIT);
	if (s.control.count != 0)
		abort();
	return 0;
}
