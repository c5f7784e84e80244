/* Names of hosts, and a name server that never answers. */
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "supervisor/lookup.h"

static const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };

static const struct { const char *host; int family; const char *text; } known[] = {
	{ "127.0.0.3", AF_INET, "127.0.0.3" },
	{ "::1", AF_INET6, "::1" },
	{ "localhost", AF_INET, "127.0.0.1" },
};

START_TEST(what_is_known_here_is_found)
{
	struct lookup found;
	char text[64];
	const void *addr = &((struct sockaddr_in *)&found.addr)->sin_addr;

	if (known[_i].family == AF_INET6)
		addr = &((struct sockaddr_in6 *)&found.addr)->sin6_addr;
	ck_assert_int_eq(lookup(&found, known[_i].host, "4222", &hints, LOOKUP_STARTING), 0);
	ck_assert_int_eq(found.addr.ss_family, known[_i].family);
	ck_assert_ptr_nonnull(inet_ntop(known[_i].family, addr, text, sizeof(text)));
	ck_assert_str_eq(text, known[_i].text);
	ck_assert_uint_eq(((struct sockaddr_in *)&found.addr)->sin_port, htons(4222));
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);	/* nobody is left behind */
}
END_TEST

START_TEST(a_service_that_is_none_is_told_apart)
{
	struct lookup found = { .len = 7 };

	ck_assert_int_eq(lookup(&found, "127.0.0.1", "nonsense", &hints, LOOKUP_STARTING), EAI_SERVICE);
	ck_assert_int_eq(found.len, 7);
}
END_TEST

static const struct { const char *name; bool group; int rc; uint32_t is; } identities[] = {
	{ "root", false, 0, 0 }, { "root", true, 0, 0 },
	{ "0", false, 0, 0 }, { "1234567", false, 0, 1234567 }, { "1234567", true, 0, 1234567 },
	{ "4294967294", true, 0, 4294967294 },
	{ "4294967295", true, -ENOENT, 7 }, { "99999999999", false, -ENOENT, 7 },
	{ "-1", false, -ENOENT, 7 }, { "", true, -ENOENT, 7 }, { "0x10", false, -ENOENT, 7 },
	{ "nobody has this name", false, -ENOENT, 7 }, { "nobody has this name", true, -ENOENT, 7 },
};

START_TEST(users_and_groups_have_numbers)
{
	uint32_t number = 7;

	ck_assert_int_eq(lookup_identity(&number, identities[_i].name, identities[_i].group,
	    LOOKUP_STARTING), identities[_i].rc);
	ck_assert_uint_eq(number, identities[_i].is);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
}
END_TEST

/* A network of our own, in which 127.0.0.1:53 is somebody who says nothing. False: not allowed to. */
static bool
silent_server_start(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(53),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	static const char conf[] = "nameserver 127.0.0.1\n";
	char path[] = "/tmp/resolv.XXXXXX";
	int fd, server;

	if (unshare(CLONE_NEWNS | CLONE_NEWNET) == -1 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1)
		return false;
	fd = mkstemp(path);
	ck_assert_int_eq(write(fd, conf, sizeof(conf) - 1), sizeof(conf) - 1);
	close(fd);
	ck_assert_int_eq(mount(path, "/etc/resolv.conf", NULL, MS_BIND, NULL), 0);
	unlink(path);
	server = socket(AF_INET, SOCK_DGRAM, 0);
	ck_assert_int_eq(ioctl(server, SIOCSIFFLAGS, &lo), 0);
	ck_assert_int_eq(bind(server, (struct sockaddr *)&a, sizeof(a)), 0);
	return true;
}

/* A resolver of glibc's waits 5 s for it, and asks again. */
START_TEST(a_silent_name_server_is_not_waited_for)
{
	struct lookup found = { .len = 7 };
	struct timespec begin, end;
	int rc;

	if (!silent_server_start())
		return;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	rc = lookup(&found, "a.name.example", "4222", &hints, 300);
	clock_gettime(CLOCK_MONOTONIC, &end);
	ck_assert_int_eq(rc, EAI_AGAIN);
	ck_assert_int_eq(found.len, 7);
	ck_assert_int_lt(end.tv_sec - begin.tv_sec, 4);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("lookup");
	TCase *c = tcase_create("lookup");
	SRunner *r;
	int failed;

	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, what_is_known_here_is_found, 0, sizeof(known) / sizeof(known[0]));
	tcase_add_test(c, a_service_that_is_none_is_told_apart);
	tcase_add_loop_test(c, users_and_groups_have_numbers, 0,
	    sizeof(identities) / sizeof(identities[0]));
	tcase_add_test(c, a_silent_name_server_is_not_waited_for);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
