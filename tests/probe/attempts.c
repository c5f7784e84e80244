/*
 * What a broken process would try, one system call or two each. Everything is
 * named by the test: paths, processes, what is to be signalled how.
 */
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/memfd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "tests/probe/probe.h"

#define PAGE	4096

static pid_t
number(const char *word)
{
	return (pid_t)strtol(word, NULL, 0);
}

/* -- files */

static long
try_open(char **w)
{
	return syscall(SYS_openat, AT_FDCWD, w[0], O_RDONLY | O_CLOEXEC);
}

static long
try_write(char **w)
{
	return syscall(SYS_openat, AT_FDCWD, w[0], O_WRONLY | O_CLOEXEC);
}

static long
try_create(char **w)
{
	return syscall(SYS_openat, AT_FDCWD, w[0], O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
}

static long
try_list(char **w)
{
	char	names[1024];
	long	fd = syscall(SYS_openat, AT_FDCWD, w[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd == -1 ? -1 : syscall(SYS_getdents64, fd, names, sizeof(names));
}

/* In a folder whose descriptor came from the test. */
static long
try_open_below(char **w)
{
	return syscall(SYS_openat, probe.given[0], w[0], O_RDONLY | O_CLOEXEC);
}

static long
try_stat(char **w)
{
	struct stat	st;

	return syscall(SYS_newfstatat, AT_FDCWD, w[0], &st, 0);
}

static long
try_readlink(char **w)
{
	char	target[256];

	return syscall(SYS_readlinkat, AT_FDCWD, w[0], target, sizeof(target));
}

static long
try_unlink(char **w)
{
	return syscall(SYS_unlinkat, AT_FDCWD, w[0], 0);
}

static long
try_mkdir(char **w)
{
	return syscall(SYS_mkdirat, AT_FDCWD, w[0], 0700);
}

static long
try_chdir(char **w)
{
	return syscall(SYS_chdir, w[0]);
}

/* -- sockets */

static long
try_socket(char **w)
{
	return syscall(SYS_socket, number(w[0]), number(w[1]), 0);
}

static long
try_socketpair(char **w)
{
	int	fds[2];

	return syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, fds);
}

static struct sockaddr_in
loopback(const char *port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)number(port)),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static long
try_connect(char **w)
{
	const struct sockaddr_in	a = loopback(w[0]);
	long				fd = syscall(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd == -1 ? -1 : syscall(SYS_connect, fd, &a, sizeof(a));
}

static long
try_bind(char **w)
{
	const struct sockaddr_in	a = loopback("0");
	long				fd = syscall(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd == -1 ? -1 : syscall(SYS_bind, fd, &a, sizeof(a));
}

static long
try_datagram(char **w)
{
	const struct sockaddr_in	a = loopback(w[0]);
	long				fd = syscall(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd == -1 ? -1 : syscall(SYS_sendto, fd, "x", 1, MSG_NOSIGNAL, &a, sizeof(a));
}

/* "@name": an abstract one. */
static long
try_connect_unix(char **w)
{
	struct sockaddr_un	a = { .sun_family = AF_UNIX };
	const size_t		len = strnlen(w[0], sizeof(a.sun_path) - 1);
	long			fd = syscall(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	memcpy(a.sun_path, w[0], len);
	if (a.sun_path[0] == '@')
		a.sun_path[0] = '\0';
	return fd == -1 ? -1 : syscall(SYS_connect, fd, &a, offsetof(struct sockaddr_un, sun_path) + len);
}

static long
try_io_uring(char **w)
{
	char	parameters[256] = { 0 };

	return syscall(SYS_io_uring_setup, 1, parameters);
}

/* -- sockets of clients, which a worker holds */

static int
client_socket(void)
{
	struct sockaddr_storage	a;
	socklen_t		len;
	struct stat		st;

	for (int fd = CHILD_CHANNEL + 1; fd < 1024; fd++) {
		len = sizeof(a);
		if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) &&
		    syscall(SYS_getpeername, fd, &a, &len) == 0 && a.ss_family == AF_INET)
			return fd;
	}
	return -1;
}

static long
try_client_option(char **w)
{
	int	one = 1;

	return syscall(SYS_setsockopt, client_socket(), number(w[0]), number(w[1]), &one, sizeof(one));
}

static long
try_client_listen(char **w)
{
	return syscall(SYS_listen, client_socket(), 1);
}

static long
try_client_accept(char **w)
{
	return syscall(SYS_accept4, client_socket(), NULL, NULL, 0);
}

static long
try_client_bind(char **w)
{
	const struct sockaddr_in	a = loopback("0");

	return syscall(SYS_bind, client_socket(), &a, sizeof(a));
}

static long
try_client_disconnect(char **w)
{
	const struct sockaddr	a = { .sa_family = AF_UNSPEC };

	return syscall(SYS_connect, client_socket(), &a, sizeof(a));
}

/* A connection without connect(2). */
static long
try_client_fast_open(char **w)
{
	const struct sockaddr_in	a = loopback(w[0]);

	return syscall(SYS_sendto, client_socket(), "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, &a, sizeof(a));
}

/* -- programs and processes */

static long
try_exec(char **w)
{
	char	*none[] = { NULL };

	return syscall(SYS_execve, w[0], none, none);
}

static long
try_exec_descriptor(char **w)
{
	char	*none[] = { NULL };

	return syscall(SYS_execveat, probe.given[0], "", none, none, AT_EMPTY_PATH);
}

static long
try_fork(char **w)
{
	const long	pid = syscall(SYS_fork);

	if (pid == 0)
		syscall(SYS_exit_group, 0);
	return pid;
}

static long
try_clone(char **w)
{
	const long	pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

	if (pid == 0)
		syscall(SYS_exit_group, 0);
	return pid;
}

static long
try_vfork(char **w)
{
	const pid_t	pid = vfork();

	if (pid == 0)
		_exit(0);
	return pid;
}

static long
try_kill(char **w)
{
	return syscall(SYS_kill, number(w[0]), number(w[1]));
}

static long
try_tgkill(char **w)
{
	return syscall(SYS_tgkill, number(w[0]), number(w[0]), number(w[1]));
}

static long
try_pidfd_open(char **w)
{
	return syscall(SYS_pidfd_open, number(w[0]), 0);
}

/* With a descriptor of the process that came from the test. */
static long
try_pidfd_signal(char **w)
{
	return syscall(SYS_pidfd_send_signal, probe.given[0], number(w[0]), NULL, 0);
}

static long
try_pidfd_getfd(char **w)
{
	return syscall(SYS_pidfd_getfd, probe.given[0], CHILD_CHANNEL, 0);
}

static long
try_ptrace(char **w)
{
	return syscall(SYS_ptrace, PTRACE_SEIZE, number(w[0]), NULL, NULL);
}

static long
try_vm_read(char **w)
{
	char			 byte;
	const struct iovec	 to = { &byte, 1 }, from = { probe.own.base != NULL ? probe.own.base : &byte, 1 };

	return syscall(SYS_process_vm_readv, number(w[0]), &to, 1, &from, 1, 0);
}

static long
try_vm_write(char **w)
{
	char			 byte = 0;
	const struct iovec	 v = { &byte, 1 };

	return syscall(SYS_process_vm_writev, number(w[0]), &v, 1, &v, 1, 0);
}

/* -- a sibling's segment, by its descriptor and where it is mapped */

static long
try_peer_map(char **w)
{
	return mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, probe.peer.fd, 0) == MAP_FAILED ? -1 : 0;
}

static long
try_peer_write(char **w)
{
	return write(probe.peer.fd, "x", 1);
}

static long
try_peer_truncate(char **w)
{
	return syscall(SYS_ftruncate, probe.peer.fd, 0);
}

static long
try_peer_punch(char **w)
{
	return syscall(SYS_fallocate, probe.peer.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0l, (long)PAGE);
}

static long
try_peer_remove(char **w)
{
	return madvise(probe.peer.base, PAGE, MADV_REMOVE);
}

static long
try_peer_seal(char **w)
{
	return fcntl(probe.peer.fd, F_ADD_SEALS, F_SEAL_WRITE);
}

static long
try_peer_reopen(char **w)
{
	char	path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", probe.peer.fd);
	return syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
}

static long
try_peer_protect(char **w)
{
	return mprotect(probe.peer.base, PAGE, PROT_READ | PROT_WRITE);
}

static long
try_directory_map(char **w)
{
	return mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, probe.directory.fd, 0) == MAP_FAILED ? -1 : 0;
}

static long
try_directory_write(char **w)
{
	return write(probe.directory.fd, "x", 1);
}

/* -- memory that is executed */

static long
try_own_execute(char **w)
{
	return mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, probe.own.fd, 0) == MAP_FAILED ? -1 : 0;
}

static long
try_own_protect(char **w)
{
	return mprotect(probe.own.base, PAGE, PROT_READ | PROT_EXEC);
}

static long
try_map_execute(char **w)
{
	return mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	    MAP_FAILED ? -1 : 0;
}

static long
try_protect_execute(char **w)
{
	void	*p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? -1 : mprotect(p, PAGE, PROT_READ | PROT_EXEC);
}

static long
try_memfd(char **w)
{
	return syscall(SYS_memfd_create, "probe", MFD_CLOEXEC);
}

static long
try_memfd_execute(char **w)
{
	const long	fd = syscall(SYS_memfd_create, "probe", MFD_CLOEXEC);

	if (fd == -1 || write((int)fd, "\xc3", 1) == -1)
		return -1;
	return mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, (int)fd, 0) == MAP_FAILED ? -1 : 0;
}

static long
try_personality(char **w)
{
	return syscall(SYS_personality, READ_IMPLIES_EXEC);
}

/* -- descriptors that are shared with others */

static long
try_set_flags(char **w)
{
	return fcntl(CHILD_CHANNEL, F_SETFL, O_NONBLOCK);
}

static long
try_set_owner(char **w)
{
	return fcntl(CHILD_CHANNEL, F_SETOWN, number(w[0]));
}

static long
try_ioctl(char **w)
{
	int	one = 1;

	return syscall(SYS_ioctl, CHILD_CHANNEL, strtoul(w[0], NULL, 0), &one);
}

/* -- rights */

static long
try_prctl(char **w)
{
	return syscall(SYS_prctl, number(w[0]), number(w[1]), number(w[2]), 0, 0);
}

static long
try_setuid(char **w)
{
	return syscall(SYS_setuid, 0);
}

static long
try_capset(char **w)
{
	struct __user_cap_header_struct	h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct	all[_LINUX_CAPABILITY_U32S_3] = { { ~0u, ~0u, 0 }, { 0, 0, 0 } };

	return syscall(SYS_capset, &h, all);
}

static long
try_unshare(char **w)
{
	return syscall(SYS_unshare, number(w[0]));
}

static long
try_mount(char **w)
{
	return syscall(SYS_mount, "none", "/", "tmpfs", 0, NULL);
}

static long
try_setns(char **w)
{
	return syscall(SYS_setns, probe.given[0], 0);
}

static long
try_chroot(char **w)
{
	return syscall(SYS_chroot, w[0]);
}

static long
try_bpf(char **w)
{
	char	attributes[128] = { 0 };

	return syscall(SYS_bpf, 5 /* BPF_PROG_LOAD */, attributes, sizeof(attributes));
}

static long
try_perf(char **w)
{
	char	attributes[128] = { 0 };

	return syscall(SYS_perf_event_open, attributes, number(w[0]), -1, -1, 0);
}

static long
try_keyctl(char **w)
{
	return syscall(SYS_add_key, "user", "probe", "x", 1, -2 /* the process' keyring */);
}

static long
try_userfaultfd(char **w)
{
	return syscall(SYS_userfaultfd, O_CLOEXEC);
}

static long
try_module(char **w)
{
	return syscall(SYS_init_module, "", 0, "");
}

/* The numbers are wrong on purpose: rights are looked at first. */
static long
try_reboot(char **w)
{
	return syscall(SYS_reboot, 1, 2, 3, NULL);
}

static long
try_clock(char **w)
{
	struct timespec	t;

	clock_gettime(CLOCK_REALTIME, &t);
	return syscall(SYS_clock_settime, CLOCK_REALTIME, &t);
}

static long
try_hostname(char **w)
{
	return syscall(SYS_sethostname, "probe", 5);
}

static long
try_limit(char **w)
{
	const struct rlimit	l = { RLIM_INFINITY, RLIM_INFINITY };

	return syscall(SYS_prlimit64, number(w[0]), number(w[1]), &l, NULL);
}

static long
try_handler(char **w)
{
	return syscall(SYS_rt_sigaction, SIGSYS, NULL, NULL, 8);
}

static long
try_priority(char **w)
{
	return syscall(SYS_setpriority, PRIO_PROCESS, number(w[0]), 19);
}

static long
try_shared_memory(char **w)
{
	return syscall(SYS_shmget, 0 /* IPC_PRIVATE */, PAGE, 0600);
}

/* What works, so that a probe that answers nothing but refusals is seen. */
static long
try_nothing(char **w)
{
	return syscall(SYS_getpid) > 0 ? 0 : -1;
}

#define ATTEMPT(name)	{ #name, try_##name }
const struct probe_action probe_attempts[] = {
	ATTEMPT(nothing),
	ATTEMPT(open), ATTEMPT(write), ATTEMPT(create), ATTEMPT(list), ATTEMPT(open_below), ATTEMPT(stat),
	ATTEMPT(readlink), ATTEMPT(unlink), ATTEMPT(mkdir), ATTEMPT(chdir),
	ATTEMPT(socket), ATTEMPT(socketpair), ATTEMPT(connect), ATTEMPT(bind), ATTEMPT(datagram),
	ATTEMPT(connect_unix), ATTEMPT(io_uring),
	ATTEMPT(client_option), ATTEMPT(client_listen), ATTEMPT(client_accept), ATTEMPT(client_bind),
	ATTEMPT(client_disconnect), ATTEMPT(client_fast_open),
	ATTEMPT(exec), ATTEMPT(exec_descriptor), ATTEMPT(fork), ATTEMPT(clone), ATTEMPT(vfork),
	ATTEMPT(kill), ATTEMPT(tgkill), ATTEMPT(pidfd_open), ATTEMPT(pidfd_signal), ATTEMPT(pidfd_getfd),
	ATTEMPT(ptrace), ATTEMPT(vm_read), ATTEMPT(vm_write),
	ATTEMPT(peer_map), ATTEMPT(peer_write), ATTEMPT(peer_truncate), ATTEMPT(peer_punch), ATTEMPT(peer_remove),
	ATTEMPT(peer_seal), ATTEMPT(peer_reopen), ATTEMPT(peer_protect), ATTEMPT(directory_map),
	ATTEMPT(directory_write),
	ATTEMPT(own_execute), ATTEMPT(own_protect), ATTEMPT(map_execute), ATTEMPT(protect_execute),
	ATTEMPT(memfd), ATTEMPT(memfd_execute), ATTEMPT(personality),
	ATTEMPT(set_flags), ATTEMPT(set_owner), ATTEMPT(ioctl),
	ATTEMPT(prctl), ATTEMPT(setuid), ATTEMPT(capset), ATTEMPT(unshare), ATTEMPT(mount), ATTEMPT(setns),
	ATTEMPT(chroot), ATTEMPT(bpf), ATTEMPT(perf), ATTEMPT(keyctl), ATTEMPT(userfaultfd), ATTEMPT(module),
	ATTEMPT(reboot), ATTEMPT(clock), ATTEMPT(hostname), ATTEMPT(limit), ATTEMPT(handler), ATTEMPT(priority),
	ATTEMPT(shared_memory),
	{ NULL, NULL }
};
