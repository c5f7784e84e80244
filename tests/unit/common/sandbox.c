/*
 * Each program's sandbox: what is forbidden is tried, and fails or kills; what
 * the programs need still works. As root and as an ordinary user.
 */
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <check.h>
#include <errno.h>
#include <ev.h>		/* before seccomp.h, whose macro EV_NONE breaks it */
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "common/channel.h"
#include "common/log.h"
#include "common/memfd.h"
#include "common/process.h"
#include "common/sandbox.h"
#include "common/unpack.h"

#define UID	64123	/* nobody's */
#define GID	64124
#define USER	12345	/* an unprivileged one who starts it */

/* Of all children. */
#define PROFILES	(ROLES - 1)
#define ROLE_AT(i)	((enum role)(1 + (i) % PROFILES))

/* What the sandboxed process has. */
static int	pipe_fds[2], stream_fds[2], regular, self_epoll;
static pid_t	parent;

/* Attempts return 0: refused with an error; 1: it worked; or they die. */
static int try_open(void) { return open("/etc/passwd", O_RDONLY) != -1 || open("/", O_RDONLY) != -1; }
static int try_create(void) { return open("/tmp/x", O_CREAT | O_WRONLY, 0600) != -1; }
static int try_socket(void) { return socket(AF_INET, SOCK_STREAM, 0) != -1 || socket(AF_UNIX, SOCK_DGRAM, 0) != -1; }
static int try_stat(void) { struct stat st; return stat("/etc", &st) != -1; }
static int try_readlink(void) { char b[64]; return readlink("/proc/self/exe", b, sizeof(b)) != -1; }
static int try_exec(void) { char *const a[] = { NULL }; execve("/bin/true", a, a); return 1; }
static int try_execveat(void) { char *const a[] = { NULL }; syscall(SYS_execveat, regular, "", a, a, AT_EMPTY_PATH); return 1; }
static int try_fork(void) { syscall(SYS_fork); return 1; }
static int try_libc_fork(void) { if (fork() == 0) _exit(0); return 1; }
static int try_vfork(void) { syscall(SYS_clone, CLONE_VM | SIGCHLD, NULL); return 1; }
static int try_ptrace(void) { ptrace(PTRACE_ATTACH, parent, 0, 0); return 1; }
static int try_vm_read(void) { char b; struct iovec v = { &b, 1 }; process_vm_readv(parent, &v, 1, &v, 1, 0); return 1; }
static int try_kill(void) { kill(parent, 0); return 1; }
static int try_tgkill(void) { syscall(SYS_tgkill, parent, parent, 0); return 1; }
static int try_mmap_exec(void) { mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); return 1; }
static int try_mprotect_exec(void) { void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(p, 4096, PROT_READ | PROT_EXEC); return 1; }
static int try_setfl(void) { fcntl(pipe_fds[0], F_SETFL, O_RDWR); return 1; }
static int try_setfl_high(void) { syscall(SYS_fcntl, pipe_fds[0], (long)F_SETFL | 1l << 40, 0); return 1; }
static int try_setown(void) { fcntl(stream_fds[0], F_SETOWN, getpid()); return 1; }
static int try_connect(void) { struct sockaddr_in a = { .sin_family = AF_INET }; connect(stream_fds[0], (void *)&a, sizeof(a)); return 1; }
static int try_bind(void) { struct sockaddr_in a = { .sin_family = AF_INET }; bind(stream_fds[0], (void *)&a, sizeof(a)); return 1; }
static int try_listen(void) { listen(stream_fds[0], 1); return 1; }
static int try_accept(void) { accept4(stream_fds[0], NULL, NULL, 0); return 1; }
static int try_socketpair(void) { int f[2]; socketpair(AF_UNIX, SOCK_STREAM, 0, f); return 1; }
static int try_uring(void) { syscall(SYS_io_uring_setup, 1, NULL); return 1; }
static int try_bpf(void) { syscall(SYS_bpf, 0, NULL, 0); return 1; }
static int try_unshare(void) { syscall(SYS_unshare, CLONE_NEWUSER); return 1; }
static int try_mount(void) { syscall(SYS_mount, "none", "/", "tmpfs", 0, NULL); return 1; }
static int try_setuid(void) { syscall(SYS_setuid, 0); return 1; }
#ifndef SANITIZED		/* the sanitizers need these two */
static int try_sigaction(void) { signal(SIGSYS, SIG_IGN); return 1; }
static int try_dumpable(void) { syscall(SYS_prctl, 4, 1, 0, 0, 0); return 1; }
#endif
static int try_ioctl(void) { syscall(SYS_ioctl, STDIN_FILENO, 0x5412 /* TIOCSTI */, "x"); return 1; }
static int try_pidfd_getfd(void) { syscall(SYS_pidfd_getfd, 0, 0, 0); return 1; }
static int try_rlimit(void) { struct rlimit l = { 9, 9 }; setrlimit(RLIMIT_NPROC, &l); return 1; }
static int try_sndfd_option(void) { int one = 1; setsockopt(stream_fds[0], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)); return 1; }
static int try_masked(void) { sigset_t s; sigfillset(&s); sigprocmask(SIG_BLOCK, &s, NULL); syscall(SYS_fork); return 1; }

static const struct { const char *what, *call; int (*attempt)(void); } attempts[] = {
	{ "open", NULL, try_open }, { "create", NULL, try_create }, { "socket", NULL, try_socket },
	{ "stat", NULL, try_stat }, { "readlink", NULL, try_readlink },
	{ "execve", "execve", try_exec }, { "execveat", "execveat", try_execveat },
	{ "fork", "fork", try_fork }, { "fork()", "clone", try_libc_fork }, { "vfork", "clone", try_vfork },
	{ "ptrace of the parent", "ptrace", try_ptrace }, { "its memory", "process_vm_readv", try_vm_read },
	{ "a signal to another", "kill", try_kill }, { "a signal to its thread", "tgkill", try_tgkill },
	{ "executable memory", "mmap", try_mmap_exec }, { "making it executable", "mprotect", try_mprotect_exec },
	{ "F_SETFL", "fcntl", try_setfl }, { "F_SETFL with high bits", "fcntl", try_setfl_high },
	{ "F_SETOWN", "fcntl", try_setown },
	{ "connect", "connect", try_connect }, { "bind", "bind", try_bind }, { "listen", "listen", try_listen },
	{ "accept", "accept4", try_accept }, { "socketpair", "socketpair", try_socketpair },
	{ "io_uring", "io_uring_setup", try_uring }, { "bpf", "bpf", try_bpf },
	{ "unshare", "unshare", try_unshare }, { "mount", "mount", try_mount }, { "setuid", "setuid", try_setuid },
	{ "ioctl", "ioctl", try_ioctl }, { "pidfd_getfd", "pidfd_getfd", try_pidfd_getfd },
	{ "setrlimit", "prlimit64", try_rlimit }, { "another socket option", "setsockopt", try_sndfd_option },
	{ "with SIGSYS blocked", "", try_masked },
#ifndef SANITIZED
	{ "a handler of its own", "rt_sigaction", try_sigaction }, { "dumpable again", "prctl", try_dumpable },
#endif
};
#define ATTEMPTS	(int)(sizeof(attempts) / sizeof(attempts[0]))

/* -- a process in a sandbox */

struct inmate { pid_t pid; int log; char lines[16384]; };

static uint32_t	layers;		/* of an inmate: what its sandbox said */

/* Fork; the child, in its sandbox as the profile of its role says, runs f and exits with what it returns. */
static void
inmate_start(struct inmate *in, enum role role, enum sandbox_mode mode,
    bool root, int (*f)(void))
{
	const struct sandbox_start start = { .mode = mode, .uid = UID, .gid = GID, .own = true, .tells = true };
	static const gid_t	groups[] = { 1, 2 };
	int			log_fds[2];

	ck_assert_int_eq(channel_pair(log_fds), 0);
	in->pid = process_fork(true);
	ck_assert_int_ne(in->pid, -1);
	if (in->pid == 0) {
		close(log_fds[0]);
		log_init("test", log_fds[1]);
		signal(SIGXFSZ, SIG_IGN);
		if (setgroups(2, groups) == -1 ||
		    (!root && (setresgid(USER, USER, USER) == -1 || setresuid(USER, USER, USER) == -1)))
			_exit(99);
		layers = sandbox_enter(role, &start);
		_exit(f());
	}
	close(log_fds[1]);
	in->log = log_fds[0];
}

/* All that it logged, a line each. */
static void
inmate_log(struct inmate *in)
{
	char			 data[MESSAGE_MAX];
	msgpack_unpacked	 u;
	struct msg		 m;
	const char		*why;
	ssize_t			 n;
	size_t			 len = 0;

	while ((n = recv(in->log, data, sizeof(data), 0)) > 0) {
		msgpack_unpacked_init(&u);
		ck_assert_int_eq(unpack_bounded(&u, (struct bytes){ data, (size_t)n }, 100), 0);
		ck_assert_int_eq(msg_decode(&m, ROLE_WORKER, ROLE_LOG, 0, MSG_READY, &u.data, &why), 0);
		len += (size_t)snprintf(in->lines + len, sizeof(in->lines) - len, "%.*s\n",
		    (int)m.u.line.text.len, m.u.line.text.data);
		msgpack_unpacked_destroy(&u);
	}
	in->lines[len] = '\0';
	close(in->log);
}

/* The first process of a pid namespace exits where others end by the signal. */
static bool
ended_by(int status, int number)
{
	return (WIFSIGNALED(status) && WTERMSIG(status) == number) ||
	    (WIFEXITED(status) && WEXITSTATUS(status) == PROCESS_SIGNALLED + number);
}

static int
inmate_end(struct inmate *in)
{
	int	status;

	ck_assert_int_eq(waitpid(in->pid, &status, 0), in->pid);
	inmate_log(in);
	return status;
}

static void
things_open(void)
{
	parent = getpid();
	ck_assert_int_eq(pipe2(pipe_fds, O_NONBLOCK | O_CLOEXEC), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, stream_fds), 0);
	regular = memfd_create("regular", MFD_ALLOW_SEALING);
	ck_assert_int_ne(regular, -1);
	ck_assert_int_eq(ftruncate(regular, 8192), 0);
	self_epoll = epoll_create1(EPOLL_CLOEXEC);
	ck_assert_int_ne(self_epoll, -1);
}

/* _i: attempt, profile, root or not. */
START_TEST(what_is_forbidden_fails)
{
	const int			 which = _i % ATTEMPTS;
	const enum role			 role = ROLE_AT(_i / ATTEMPTS);
	const char			*name = role_name(role);
	const bool			 root = _i / ATTEMPTS / PROFILES == 0;
	char				 named[64];
	struct inmate			 in;
	int				 status;

	if (geteuid() != 0)
		return;		/* as an ordinary user there is no other to become */
	things_open();
	inmate_start(&in, role, SANDBOX_BEST_EFFORT, root, attempts[which].attempt);
	status = inmate_end(&in);
	if (attempts[which].call == NULL) {
		ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s in %s: %x\n%s",
		    attempts[which].what, name, status, in.lines);
		return;
	}
	ck_assert_msg(ended_by(status, SIGSYS), "%s in %s: %x\n%s",
	    attempts[which].what, name, status, in.lines);
	if (attempts[which].call[0] == '\0')
		return;
	snprintf(named, sizeof(named), "(%s) is not allowed: ended", attempts[which].call);
	ck_assert_msg(strstr(in.lines, named) != NULL, "%s in %s: %s", attempts[which].what,
	    name, in.lines);
}
END_TEST

/* -- what they need */

#define MUST(condition) do { if (!(condition)) return __LINE__ % 200 + 20; } while (0)

static int
use_descriptors(void)
{
	struct epoll_event	 e = { .events = EPOLLIN };
	struct iovec		 v;
	struct stat		 st;
	char			 b[4] = "abc", *p;

	v = (struct iovec){ b, 3 };
	MUST(write(pipe_fds[1], b, 3) == 3 && read(pipe_fds[0], b, 4) == 3);
	MUST(writev(stream_fds[0], &v, 1) == 3 && readv(stream_fds[1], &v, 1) == 3);
	MUST(send(stream_fds[0], b, 3, MSG_NOSIGNAL) == 3 && recv(stream_fds[1], b, 3, 0) == 3);
	MUST(epoll_ctl(self_epoll, EPOLL_CTL_ADD, stream_fds[0], &e) == 0);
	MUST(epoll_wait(self_epoll, &e, 1, 0) == 0);
	MUST(fstat(regular, &st) == 0 && st.st_size == 8192);
	p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, regular, 0);
	MUST(p != MAP_FAILED);
	p[0] = 'x';
	MUST(fcntl(regular, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == 0);
	MUST(fcntl(regular, F_GET_SEALS) > 0 && fcntl(pipe_fds[0], F_GETFL) != -1);
	MUST(syscall(SYS_fcntl, pipe_fds[0], (long)F_GETFL | 1l << 40, 0) != -1);
	MUST(fcntl(pipe_fds[0], F_DUPFD_CLOEXEC, 0) != -1);
	MUST(munmap(p, 8192) == 0 && close(self_epoll) == 0);
	MUST(write(regular, b, 1) == -1);
	p = malloc(64 << 20);
	MUST(p != NULL);
	memset(p, 1, 64 << 20);
	MUST((p = realloc(p, 128 << 20)) != NULL);
	free(p);
	log_warn("still logging %d", 7);
	return 0;
}

static int
use_memfd(void)
{
	struct bytes	b;
	int		fd = memfd_sealed("test", BYTES("content"));

	MUST(fd >= 0 && memfd_map_sealed(fd, 100, &b) == 0 && b.len == 7);
	return 0;
}

static int
use_sockets(void)
{
	struct linger		l = { 1, 0 };
	struct sockaddr_storage	a;
	socklen_t		len = sizeof(a);
	int			one = 1, error;

	MUST(setsockopt(stream_fds[0], SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)) == 0);
	MUST(setsockopt(stream_fds[0], SOL_SOCKET, SO_LINGER, &l, sizeof(l)) == 0);
	MUST(setsockopt(stream_fds[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == -1 && errno == EOPNOTSUPP);
	MUST(getpeername(stream_fds[0], (void *)&a, &len) == 0);
	len = sizeof(error);
	MUST(getsockopt(stream_fds[0], SOL_SOCKET, SO_ERROR, &error, &len) == 0);
	MUST(shutdown(stream_fds[0], SHUT_WR) == 0);
	return 0;
}

static int use_abort(void) { abort(); }

static int
use_nothing(void)
{
	return 0;
}

START_TEST(what_is_needed_works)
{
	const enum role			 role = ROLE_AT(_i);
	const struct sandbox_profile	*profile = sandbox_profile(role);
	const char			*name = role_name(role);
	const bool			 root = _i / PROFILES == 0;
	struct inmate			 in;
	int				 status;

	if (geteuid() != 0)
		return;
	things_open();
	inmate_start(&in, role, SANDBOX_BEST_EFFORT, root, use_descriptors);
	status = inmate_end(&in);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: %x\n%s", name,
	    status, in.lines);
	ck_assert(strstr(in.lines, "still logging 7") != NULL);
	if (root)
		ck_assert_msg(strstr(in.lines, "sandbox:") == NULL, "%s", in.lines);
	else
		ck_assert_msg(strstr(in.lines, "sandbox: no uid of its own") != NULL, "%s", in.lines);

	inmate_start(&in, role, SANDBOX_BEST_EFFORT, root, use_memfd);
	status = inmate_end(&in);
	ck_assert_msg((status == 0) == ((profile->rights & SANDBOX_MEMFDS) != 0), "%s: %x\n%s", name, status, in.lines);

	inmate_start(&in, role, SANDBOX_BEST_EFFORT, root, use_sockets);
	status = inmate_end(&in);
	ck_assert_msg((status == 0) == ((profile->rights & SANDBOX_SOCKETS) != 0), "%s: %x\n%s", name, status, in.lines);

	inmate_start(&in, role, SANDBOX_BEST_EFFORT, root, use_abort);
	status = inmate_end(&in);
	ck_assert_msg(ended_by(status, SIGABRT), "%s: %x\n%s", name,
	    status, in.lines);
}
END_TEST

static int
write_at_end(void)
{
	MUST(lseek(regular, 0, SEEK_END) == 8192);
	return write(regular, "x", 1) == 1;
}

START_TEST(only_the_log_writes_to_files)
{
	const enum role			 role = ROLE_AT(_i);
	const struct sandbox_profile	*profile = sandbox_profile(role);
	struct inmate			 in;
	int				 status;

	if (geteuid() != 0)
		return;
	things_open();
	inmate_start(&in, role, SANDBOX_BEST_EFFORT, true, write_at_end);
	status = inmate_end(&in);
	ck_assert_msg(WIFEXITED(status), "%x %s", status, in.lines);
	ck_assert_int_eq(WEXITSTATUS(status), (profile->rights & SANDBOX_FILES) != 0 || profile->file_size > 0);
}
END_TEST

static int
wait_for_end(void)
{
	struct pollfd	p = { .fd = stream_fds[0], .events = POLLIN };

	MUST(write(pipe_fds[1], "r", 1) == 1);
	poll(&p, 1, 10000);
	return 0;
}

/* Seen from outside, in /proc. */
START_TEST(nothing_is_left_of_rights)
{
	const bool	root = _i == 0;
	char		path[64], text[4096], space[256], byte;
	struct pollfd	p;
	struct inmate	in;
	ssize_t		n;
	int		fd;

	if (geteuid() != 0)
		return;
	things_open();
	inmate_start(&in, ROLE_WORKER, SANDBOX_BEST_EFFORT, root, wait_for_end);
	p = (struct pollfd){ .fd = pipe_fds[0], .events = POLLIN };
	ck_assert_int_eq(poll(&p, 1, 10000), 1);
	ck_assert_int_eq(read(pipe_fds[0], &byte, 1), 1);

	snprintf(path, sizeof(path), "/proc/%d/status", (int)in.pid);
	fd = open(path, O_RDONLY);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	ck_assert(strstr(text, "CapEff:\t0000000000000000") != NULL);
	ck_assert(strstr(text, "CapPrm:\t0000000000000000") != NULL);
	ck_assert_msg(strstr(text, "CapBnd:\t0000000000000000") != NULL || !root, "%s", text);
	ck_assert(strstr(text, "NoNewPrivs:\t1") != NULL);
	ck_assert(strstr(text, "Seccomp:\t2") != NULL);
	ck_assert_msg(strstr(text, root ? "Uid:\t64123\t64123\t64123\t64123" :
	    "Uid:\t12345\t12345\t12345\t12345") != NULL, "%s", text);
	if (root) {
		ck_assert(strstr(text, "Gid:\t64124\t64124\t64124\t64124") != NULL);
		ck_assert(strstr(text, "Groups:\t \n") != NULL || strstr(text, "Groups:\t\n") != NULL);
	}
	snprintf(path, sizeof(path), "/proc/%d/mounts", (int)in.pid);
	fd = open(path, O_RDONLY);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	ck_assert_msg(strncmp(text, "none / tmpfs ro,", 16) == 0, "%s", text);
	ck_assert_ptr_eq(strchr(text, '\n'), text + n - 1);	/* one mount, no other */
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)in.pid);
	n = readlink(path, space, sizeof(space) - 1);
	ck_assert_int_gt(n, 0);
	space[n] = '\0';
	n = readlink("/proc/self/ns/net", text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	ck_assert_str_ne(space, text);
	ck_assert_int_eq(write(stream_fds[1], "x", 1), 1);
	ck_assert_int_eq(inmate_end(&in), 0);
}
END_TEST

START_TEST(off_is_said_and_required_is_kept)
{
	struct inmate	in;
	int		status;

	if (geteuid() != 0)
		return;
	things_open();
	inmate_start(&in, ROLE_WORKER, SANDBOX_OFF, true, try_open);
	status = inmate_end(&in);
	ck_assert_int_eq(WEXITSTATUS(status), 1);	/* it worked */
	ck_assert(strstr(in.lines, "sandbox: off") != NULL);

	inmate_start(&in, ROLE_WORKER, SANDBOX_REQUIRED, false, use_nothing);
	status = inmate_end(&in);
	ck_assert_int_eq(WEXITSTATUS(status), EXIT_FAILURE);
	ck_assert_msg(strstr(in.lines, "sandbox: it is required, and there is no uid of its own (EPERM)") != NULL, "%s", in.lines);

	inmate_start(&in, ROLE_WORKER, SANDBOX_REQUIRED, true, use_nothing);
	status = inmate_end(&in);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s", in.lines);
}
END_TEST

/* A host that does not allow these calls, as many containers do not. */
static void
host_forbids(const int *calls, size_t count)
{
	scmp_filter_ctx	c = seccomp_init(SCMP_ACT_ALLOW);
	size_t		i;

	for (i = 0; i < count; i++)
		if (seccomp_rule_add(c, SCMP_ACT_ERRNO(EPERM), calls[i], 0) != 0)
			_exit(98);
	if (seccomp_load(c) != 0)
		_exit(98);
	seccomp_release(c);
}

static const struct {
	int		 calls[2];
	size_t		 ncalls;
	int		 (*attempt)(void);
	const char	*missing[8];
} hosts[] = {
	{ { SCMP_SYS(unshare) }, 1, try_stat, {
	    "sandbox: no network namespace (EPERM): ", "sandbox: no IPC namespace (EPERM): ",
	    "sandbox: no UTS namespace (EPERM): ", "sandbox: no cgroup namespace (EPERM): ",
	    "sandbox: no empty root (EPERM): ", "sandbox: no uid of its own (EPERM): " } },
	{ { SCMP_SYS(landlock_create_ruleset) }, 1, try_open, {
	    "sandbox: no Landlock (EPERM): ", "sandbox: no uid of its own (EPERM): " } },
	{ { SCMP_SYS(unshare), SCMP_SYS(seccomp) }, 2, try_open, {	/* Landlock alone */
	    "sandbox: no network namespace (EPERM): ", "sandbox: no IPC namespace (EPERM): ",
	    "sandbox: no UTS namespace (EPERM): ", "sandbox: no cgroup namespace (EPERM): ",
	    "sandbox: no empty root (EPERM): ", "sandbox: no uid of its own (EPERM): ",
	    "sandbox: no system call filter (" } },
};

/* One line for each layer, no more, and none if it is not to tell; those that are left hold. */
START_TEST(each_missing_layer_is_said_once)
{
	struct inmate	in;
	const char	*p;
	int		 log_fds[2], status;
	size_t		 i, lines = 0;
	const int	 which = _i / 2;
	const bool	 tells = _i % 2 == 0;
	const struct sandbox_start start = { .mode = SANDBOX_BEST_EFFORT, .uid = UID, .gid = GID,
	    .own = true, .tells = tells };

	if (geteuid() != 0)
		return;
	things_open();
	ck_assert_int_eq(channel_pair(log_fds), 0);
	in.pid = process_fork(true);
	if (in.pid == 0) {
		close(log_fds[0]);
		log_init("test", log_fds[1]);
		if (setresgid(USER, USER, USER) == -1 || setresuid(USER, USER, USER) == -1)
			_exit(99);
		host_forbids(hosts[which].calls, hosts[which].ncalls);
		sandbox_enter(ROLE_WORKER, &start);
		_exit(hosts[which].attempt());
	}
	close(log_fds[1]);
	in.log = log_fds[0];
	status = inmate_end(&in);
	ck_assert_msg(status == 0, "%x\n%s", status, in.lines);
	for (i = 0; tells && hosts[which].missing[i] != NULL; i++)
		ck_assert_msg(strstr(in.lines, hosts[which].missing[i]) != NULL, "%s", in.lines);
	for (p = in.lines; *p != '\0'; p++)
		lines += *p == '\n';
	ck_assert_msg(lines == i, "%s", in.lines);
}
END_TEST

/* -- each layer's bit: set where it holds, and only there */

enum lacks { NOTHING, A_CALL, A_NAMESPACE, A_UID };

static const struct {
	const char	*what;
	enum lacks	 lacks;
	int		 call, arg;	/* arg -1: whatever its arguments are */
	uint64_t	 value;
	uint32_t	 missing;
} lacking[] = {
	{ "all", NOTHING, 0, -1, 0, 0 },
	{ "net", A_CALL, SCMP_SYS(unshare), 0, CLONE_NEWNET, LAYER_BIT(LAYER_NETWORK) },
	{ "ipc", A_CALL, SCMP_SYS(unshare), 0, CLONE_NEWIPC, LAYER_BIT(LAYER_IPC) },
	{ "uts", A_CALL, SCMP_SYS(unshare), 0, CLONE_NEWUTS, LAYER_BIT(LAYER_UTS) },
	{ "cgroup", A_CALL, SCMP_SYS(unshare), 0, CLONE_NEWCGROUP, LAYER_BIT(LAYER_CGROUP) },
	{ "chroot in place of a mount namespace", A_CALL, SCMP_SYS(unshare), 0, CLONE_NEWNS, 0 },
	{ "chroot in place of pivot_root", A_CALL, SCMP_SYS(pivot_root), -1, 0, 0 },
	{ "limits", A_CALL, SCMP_SYS(prlimit64), 1, RLIMIT_MSGQUEUE, LAYER_BIT(LAYER_LIMITS) },
	{ "the last limit", A_CALL, SCMP_SYS(prlimit64), 1, RLIMIT_NPROC, LAYER_BIT(LAYER_LIMITS) },
	{ "setresuid", A_CALL, SCMP_SYS(setresuid), -1, 0, LAYER_BIT(LAYER_IDENTITY) },
	{ "setgroups", A_CALL, SCMP_SYS(setgroups), -1, 0, LAYER_BIT(LAYER_IDENTITY) },
	{ "capset", A_CALL, SCMP_SYS(capset), -1, 0, LAYER_BIT(LAYER_CAPABILITIES) },
	{ "dumpable", A_CALL, SCMP_SYS(prctl), 0, PR_SET_DUMPABLE, LAYER_BIT(LAYER_NOT_DUMPABLE) },
	{ "mdwe", A_CALL, SCMP_SYS(prctl), 0, 65 /* PR_SET_MDWE */, LAYER_BIT(LAYER_MDWE) },
	{ "landlock", A_CALL, SCMP_SYS(landlock_restrict_self), -1, 0, LAYER_BIT(LAYER_LANDLOCK) },
	{ "filter", A_CALL, SCMP_SYS(seccomp), -1, 0, LAYER_BIT(LAYER_FILTER) },
	/* the filter's library wants it as well */
	{ "no_new_privs", A_CALL, SCMP_SYS(prctl), 0, PR_SET_NO_NEW_PRIVS,
	    LAYER_BIT(LAYER_NO_NEW_PRIVILEGES) | LAYER_BIT(LAYER_FILTER) },
	{ "pid", A_NAMESPACE, 0, -1, 0, LAYER_BIT(LAYER_PID) },
	{ "a uid of its own", A_UID, 0, -1, 0, LAYER_BIT(LAYER_IDENTITY) },
};

static void
call_forbid(int call, int arg, uint64_t value)
{
	scmp_filter_ctx		c = seccomp_init(SCMP_ACT_ALLOW);
	struct scmp_arg_cmp	cmp = SCMP_CMP((unsigned)(arg < 0 ? 0 : arg), SCMP_CMP_EQ, value, 0);

	if (seccomp_rule_add_array(c, SCMP_ACT_ERRNO(EPERM), call, arg < 0 ? 0 : 1, &cmp) != 0 ||
	    seccomp_load(c) != 0)
		_exit(98);
	seccomp_release(c);
}

START_TEST(each_layer_says_whether_it_holds)
{
	const bool		any = lacking[_i].lacks == A_CALL;
	struct sandbox_start	start = { .mode = SANDBOX_BEST_EFFORT, .uid = UID, .gid = GID, .own = true };
	uint32_t		said = 0;
	int			status;
	pid_t			pid;

	if (geteuid() != 0)
		return;
	things_open();
	pid = process_fork(lacking[_i].lacks != A_NAMESPACE);
	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		log_init("test", -1);
		start.own = lacking[_i].lacks != A_UID;
		if (any)
			call_forbid(lacking[_i].call, lacking[_i].arg, lacking[_i].value);
		said = sandbox_enter(ROLE_WORKER, &start);
		_exit(write(pipe_fds[1], &said, sizeof(said)) == sizeof(said) ? 0 : 97);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(status == 0, "%s: %x", lacking[_i].what, status);
	ck_assert_int_eq(read(pipe_fds[0], &said, sizeof(said)), sizeof(said));
	ck_assert_msg(said == ((LAYER_BIT(SANDBOX_LAYERS) - 1) & ~lacking[_i].missing), "%s: %x",
	    lacking[_i].what, said);
}
END_TEST

/* Nothing is in the folder that takes the place of the root, and nothing can be made in it. */
START_TEST(a_changed_root_is_empty)
{
	struct sandbox_start	start = { .mode = SANDBOX_BEST_EFFORT, .uid = UID, .gid = GID, .own = true };
	struct stat		st;
	int			status;
	pid_t			pid;

	if (geteuid() != 0)
		return;
	things_open();
	pid = process_fork(true);
	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		log_init("test", -1);
		call_forbid(SCMP_SYS(unshare), 0, CLONE_NEWNS);
		call_forbid(SCMP_SYS(landlock_restrict_self), -1, 0);
		call_forbid(SCMP_SYS(seccomp), -1, 0);		/* so that nothing but the root is asked */
		sandbox_enter(ROLE_WORKER, &start);
		if (stat("/etc/passwd", &st) == 0 || stat("../etc", &st) == 0)
			_exit(1);
		if (stat("/", &st) != 0 || st.st_nlink != 0)
			_exit(3);
		_exit(mkdir("/x", 0700) == 0 || open("/x", O_CREAT | O_WRONLY, 0600) != -1 ? 2 : 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(status == 0, "%x", status);
}
END_TEST

/* -- the supervisor's own */

static int parent_ptrace(void) { return ptrace(PTRACE_TRACEME, 0, 0, 0) == -1 && errno == EPERM; }
static int parent_uring(void) { return syscall(SYS_io_uring_setup, 1, NULL) == -1 && errno == EPERM; }
static int parent_bpf(void) { return syscall(SYS_bpf, 0, NULL, 0) == -1 && errno == EPERM; }
static int parent_packet(void) { return socket(AF_PACKET, SOCK_RAW, 0) == -1 && errno == EPERM; }
static int parent_execve(void) { char *const a[] = { NULL }; return execve("/bin/true", a, a) == -1 && errno == EPERM; }
static int parent_setns(void) { return setns(0, 0) == -1 && errno == EPERM; }
static int parent_dumpable(void) { return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == -1 && errno == EPERM; }
static int parent_ioctl(void) { return syscall(SYS_ioctl, 0, 0x5412 /* TIOCSTI */, "x") == -1 && errno == EPERM; }
static int parent_clone3(void) { return syscall(SYS_clone3, NULL, 0) == -1 && errno == ENOSYS; }
static int parent_newnet(void) { return syscall(SYS_clone, CLONE_NEWNET | SIGCHLD, NULL, NULL, NULL, NULL) == -1 && errno == EPERM; }
static int parent_exec_memory(void) { return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EPERM; }
static int parent_reboot(void) { return syscall(SYS_reboot, 0, 0, 0, NULL) == -1 && errno == EPERM; }
static int parent_time(void) { struct timespec t = { 0, 0 }; return clock_settime(CLOCK_REALTIME, &t) == -1 && errno == EPERM; }
static int parent_works(void)
{
	struct sockaddr_in	a = { .sin_family = AF_INET };
	int			fd = socket(AF_INET, SOCK_STREAM, 0), status;
	pid_t			pid;

	if (fd == -1 || bind(fd, (void *)&a, sizeof(a)) != 0 || listen(fd, 1) != 0 || open("/etc/passwd", O_RDONLY) == -1)
		return 0;
	pid = process_fork(true);
	if (pid == 0)
		_exit(process_is_first() && setresgid(UID, UID, UID) == 0 && setresuid(UID, UID, UID) == 0 ? 7 : 8);
	return waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7;
}

static const struct { const char *call; int (*f)(void); } supervising[] = {
	{ "ptrace", parent_ptrace }, { "io_uring_setup", parent_uring }, { "bpf", parent_bpf }, { "socket", parent_packet },
	{ "execve", parent_execve }, { "setns", parent_setns }, { "prctl", parent_dumpable }, { "ioctl", parent_ioctl },
	{ NULL, parent_clone3 }, { "clone", parent_newnet }, { "mmap", parent_exec_memory }, { "reboot", parent_reboot },
	{ "clock_settime", parent_time }, { NULL, parent_works },
};

/* Refused, said once, and the supervisor lives. */
START_TEST(the_supervisor_is_refused_what_it_does_not_need)
{
	char		named[64];
	const char	*first;
	struct inmate	in;
	int		log_fds[2], status;

	if (geteuid() != 0)
		return;
	ck_assert_int_eq(channel_pair(log_fds), 0);
	in.pid = fork();
	if (in.pid == 0) {
		close(log_fds[0]);
		log_init("test", log_fds[1]);
		layers = sandbox_enter_supervisor(SANDBOX_BEST_EFFORT);
		_exit((layers & LAYER_BIT(LAYER_FILTER)) != 0 && (layers & LAYER_BIT(LAYER_CAPABILITIES)) != 0 &&
		    (layers & LAYER_BIT(LAYER_NOT_DUMPABLE)) != 0 && supervising[_i].f() && supervising[_i].f() ? 0 : 1);
	}
	close(log_fds[1]);
	in.log = log_fds[0];
	status = inmate_end(&in);
	ck_assert_msg(status == 0, "%d: %x\n%s", _i, status, in.lines);
	if (supervising[_i].call == NULL) {
		ck_assert_str_eq(in.lines, "");
		return;
	}
	snprintf(named, sizeof(named), "(%s) is not allowed: refused\n", supervising[_i].call);
	first = strstr(in.lines, named);
	ck_assert_msg(first != NULL && strstr(first + 1, named) == NULL, "%s", in.lines);
}
END_TEST

START_TEST(layers_have_words)
{
	char	text[SANDBOX_LAYERS_TEXT];
	size_t	i;

	for (i = 0; i < SANDBOX_LAYERS; i++)
		ck_assert_ptr_nonnull(sandbox_layer_name((enum sandbox_layer)i));
	ck_assert_str_eq(sandbox_layers_text(0, text, sizeof(text)), "none");
	ck_assert_str_eq(sandbox_layers_text(LAYER_BIT(LAYER_NETWORK) | LAYER_BIT(LAYER_FILTER), text, sizeof(text)),
	    "net, filter");
	sandbox_layers_text(UINT32_MAX, text, sizeof(text));
	ck_assert_int_lt(strlen(text), sizeof(text) - 1);
	ck_assert_ptr_nonnull(strstr(text, "landlock, filter"));
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("sandbox");
	TCase	*c = tcase_create("sandbox");
	SRunner	*r;
	int	 failed;

	if (geteuid() != 0)
		printf("sandbox: not root, nothing is tested\n");
	tcase_set_timeout(c, 30);
	tcase_add_loop_test(c, what_is_forbidden_fails, 0, 2 * PROFILES * ATTEMPTS);
	tcase_add_loop_test(c, what_is_needed_works, 0, 2 * PROFILES);
	tcase_add_loop_test(c, only_the_log_writes_to_files, 0, PROFILES);
	tcase_add_loop_test(c, nothing_is_left_of_rights, 0, 2);
	tcase_add_loop_test(c, each_missing_layer_is_said_once, 0, 2 * (int)(sizeof(hosts) / sizeof(hosts[0])));
	tcase_add_loop_test(c, each_layer_says_whether_it_holds, 0, (int)(sizeof(lacking) / sizeof(lacking[0])));
	tcase_add_test(c, a_changed_root_is_empty);
	tcase_add_loop_test(c, the_supervisor_is_refused_what_it_does_not_need, 0,
	    (int)(sizeof(supervising) / sizeof(supervising[0])));
	tcase_add_test(c, layers_have_words);
	tcase_add_test(c, off_is_said_and_required_is_kept);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
