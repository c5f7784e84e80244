#ifndef TESTS_UNIT_SUPERVISOR_TREE_H
#define TESTS_UNIT_SUPERVISOR_TREE_H
/*
 * The supervisor with fakes.h as its children: started, asked, looked at through its log, ended. The test's
 * program runs the supervisor in a process of its own.
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <jansson.h>
#include "supervisor/supervise.h"
#include "tests/unit/supervisor/fakes.h"

static char folder[] = "/tmp/bulkhead-tree-XXXXXX";
static char err_path[PATH_MAX];
static char config_path[PATH_MAX];	/* empty: without -c */
static pid_t server;
static int port, http_port;

static inline double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static inline void
nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
}

static inline char *
err_text(void)
{
	static char text[1 << 18];
	int fd = open(err_path, O_RDONLY);
	ssize_t n = fd == -1 ? 0 : read(fd, text, sizeof(text) - 1);

	text[n < 0 ? 0 : n] = '\0';
	close(fd);
	return text;
}

static inline int
err_count(const char *what)
{
	const char *at = err_text();
	int n = 0;

	while ((at = strstr(at, what)) != NULL) {
		at++;
		n++;
	}
	return n;
}

/* The last lines: Check takes messages up to 4 KiB only. */
static inline const char *
err_tail(void)
{
	const char *text = err_text();
	size_t len = strlen(text);

	return len > 3000 ? text + len - 3000 : text;
}

/* Wait for a line; the last of them are the message of a failure. */
static inline void
err_await(const char *what)
{
	double until = now() + 10;

	while (err_count(what) == 0 && now() < until)
		nap();
	ck_assert_msg(err_count(what) > 0, "no \"%s\" in:\n%s", what, err_tail());
}

/* Wait until there are n such lines. */
static inline void
err_await_more(const char *what, int n)
{
	double until = now() + 20;

	while (err_count(what) < n && now() < until)
		nap();
	ck_assert_msg(err_count(what) >= n, "not %d times \"%s\" in:\n%s", n, what, err_tail());
}

static inline void
server_start(const char *name)
{
	char how[128] = "";
	int fd;

	snprintf(err_path, sizeof(err_path), "%s/err", folder);
	unlink(err_path);
	snprintf(how, sizeof(how), "--name=%s", name);
	server = fork();
	if (server == 0) {
		char *argv[] = { how + sizeof(how) - 1, (char[]){ "-p=-1" }, (char[]){ "-m=-1" }, how,
		    (char[]){ "--ports_file_dir" }, folder, (char[]){ "-D" },
		    *config_path == '\0' ? NULL : (char[]){ "-c" }, config_path, NULL };
		fd = open(err_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
		dup2(fd, STDERR_FILENO);
		exit(supervise(*config_path == '\0' ? 7 : 9, argv));
	}
}

static inline int
url_port(const json_t *ports, const char *which)
{
	const char *url = json_string_value(json_array_get(json_object_get(ports, which), 0));

	ck_assert_msg(url != NULL, "no address for %s", which);
	return atoi(strrchr(url, ':') + 1);
}

/* The same, until it serves. */
static inline void
server_serves(const char *name)
{
	char path[PATH_MAX];
	double until = now() + 10;
	json_t *ports;

	server_start(name);
	snprintf(path, sizeof(path), "%s/%s_%d.ports", folder, getprogname(), (int)server);
	while (access(path, R_OK) != 0 && now() < until)
		nap();
	ports = json_load_file(path, 0, NULL);
	ck_assert_msg(ports != NULL, "it does not serve:\n%s", err_tail());
	port = url_port(ports, "nats");
	http_port = url_port(ports, "monitoring");
	json_decref(ports);
}

static inline int
server_ends(double *seconds)
{
	double start = now();
	int status = 0;

	while (waitpid(server, &status, WNOHANG) == 0 && now() < start + 60)
		nap();
	*seconds = now() - start;
	ck_assert_msg(WIFEXITED(status), "status %x:\n%s", status, err_tail());
	return WEXITSTATUS(status);
}

/* Ask it to end; it must, in order, within a second, and leave nothing. */
static inline void
server_stop(void)
{
	double seconds;
	char path[PATH_MAX];

	kill(server, SIGTERM);
	ck_assert_int_eq(server_ends(&seconds), 0);
	ck_assert_msg(seconds < 1.0 + (getenv("ASAN_OPTIONS") != NULL), "%g s", seconds);
	ck_assert_int_eq(err_count("Server Exiting.."), 1);
	snprintf(path, sizeof(path), "%s/%s_%d.ports", folder, getprogname(), (int)server);
	ck_assert_msg(access(path, F_OK) == -1, "%s is left", path);
}

/* A socket, once it is connected. */
static inline int
connected(int to)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)to),
	    .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct timeval limit = { .tv_sec = 10 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static inline int
client(void)
{
	return connected(port);
}

static inline void
client_greeted(int fd, unsigned *slot, unsigned long *incarnation)
{
	char text[64];
	unsigned long refuse;
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	ck_assert_msg(n > 0, "%s:\n%s", n == 0 ? "closed" : strerror(errno), err_tail());
	text[n] = '\0';
	ck_assert_int_eq(sscanf(text, "%u %lu %lu", slot, incarnation, &refuse), 3);
}

/* The pid of the newest process of this name, once it is ready, by its lines in the debug log. */
static inline pid_t
child_pid(const char *what)
{
	char name[128], ready[192];
	const char *at, *last = NULL;
	int pid;

	snprintf(name, sizeof(name), "started %s (process ", what);
	err_await(name);
	for (at = err_text(); (at = strstr(at, name)) != NULL; at++)
		last = at;
	pid = atoi(last + strlen(name));
	snprintf(ready, sizeof(ready), "%s (process %d) is ready", what, pid);
	err_await(ready);
	return pid;
}

static inline void
config_write(unsigned max_payload)
{
	FILE *f;

	snprintf(config_path, sizeof(config_path), "%s/config", folder);
	f = fopen(config_path, "w");
	ck_assert_ptr_nonnull(f);
	fprintf(f, "%u", max_payload);
	fclose(f);
}

static inline void
reload(unsigned max_payload)
{
	config_write(max_payload);
	kill(server, SIGHUP);
}

/* Each worker's last word on it. */
static inline void
all_have(unsigned max_payload)
{
	char to[64], start[64];
	int i;

	for (i = 0; i < WORKERS; i++) {
		const char *text = err_text(), *last = NULL, *at;
		snprintf(to, sizeof(to), "worker %d ", i);
		for (at = text; (at = strstr(at, to)) != NULL; at++)
			if (strncmp(at + strlen(to), "goes", 4) == 0 ||
			    strncmp(at + strlen(to), "starts", 6) == 0)
				last = at;
		ck_assert_ptr_nonnull(last);
		snprintf(start, sizeof(start), "%.*s", (int)strcspn(last, "\n"), last);
		snprintf(to, sizeof(to), "%u", max_payload);
		ck_assert_msg(strlen(start) > strlen(to) &&
		    strcmp(start + strlen(start) - strlen(to), to) == 0, "%s:\n%s", start, err_tail());
	}
}

/* ../libexec/bulkhead beside our folder: links to ourselves. */
static inline void
links_make(void)
{
	char self[PATH_MAX], at[PATH_MAX], name[PATH_MAX + 64];
	enum role role;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[n] = '\0';
	strlcpy(at, self, sizeof(at));
	*strrchr(at, '/') = '\0';
	*strrchr(at, '/') = '\0';
	strlcat(at, "/libexec", sizeof(at));
	mkdir(at, 0755);
	strlcat(at, "/bulkhead", sizeof(at));
	mkdir(at, 0755);
	for (role = ROLE_CONFIG; role < ROLES; role++) {
		snprintf(name, sizeof(name), "%s/bulkhead-%s", at, role_name(role));
		unlink(name);
		if (symlink(self, name) == -1)
			exit(EXIT_FAILURE);
	}
}

/* main() of all of these. Returns what it does. */
static inline int
tree_main(char **argv, Suite *(*suite)(void))
{
	enum role role;
	SRunner *r;
	int failed;

	for (role = ROLE_CONFIG; role < ROLES; role++)
		if (strncmp(argv[0], "bulkhead-", 9) == 0 &&
		    strcmp(argv[0] + 9, role_name(role)) == 0)
			return fake_main(role);
	links_make();
	if (mkdtemp(folder) == NULL)
		return EXIT_FAILURE;
	r = srunner_create(suite());
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	unlink(err_path);
	snprintf(config_path, sizeof(config_path), "%s/config", folder);
	unlink(config_path);
	rmdir(folder);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
#endif
