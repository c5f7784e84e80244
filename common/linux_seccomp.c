/*
 * The list of system calls a child may still make. What is not on it is not
 * executed, and ends the process by SIGSYS.
 *
 * The kernel could kill at once (SECCOMP_RET_KILL_PROCESS), but then nobody
 * learns which call it was. So it is SECCOMP_RET_TRAP with a handler that
 * writes one line and dies. An attacker gains nothing by that: the call has
 * not been executed and never is, whatever the handler does; the handler
 * cannot be replaced, since rt_sigaction is not on the list; with SIGSYS
 * blocked, or no stack for its frame, the kernel kills instead.
 */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/linux_seccomp.h"
#include "common/log.h"
#include "common/process.h"

static const int allowed[] = {
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(pread64), SCMP_SYS(close),
	SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), SCMP_SYS(recvfrom), SCMP_SYS(sendto),
	SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_ctl), SCMP_SYS(poll), SCMP_SYS(timerfd_settime),
	SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(getrandom),
	SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(brk), SCMP_SYS(madvise), SCMP_SYS(futex),
	SCMP_SYS(fstat), SCMP_SYS(lseek), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getrusage),
	SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity),	/* malloc, when memory is short */
	SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(restart_syscall),
	SCMP_SYS(exit), SCMP_SYS(exit_group),
#ifdef SANITIZED
	SCMP_SYS(sigaltstack), SCMP_SYS(rt_sigaction), SCMP_SYS(prctl),
#endif
};

static const int allowed_sockets[] = {
	SCMP_SYS(shutdown), SCMP_SYS(getsockname), SCMP_SYS(getpeername),
};

static const int allowed_memfds[] = { SCMP_SYS(memfd_create), SCMP_SYS(ftruncate) };

/* Libraries try these and go on without; no reason to die. */
static const struct { int call, error; } refused[] = {
	{ SCMP_SYS(open), EPERM }, { SCMP_SYS(openat), EPERM }, { SCMP_SYS(openat2), EPERM },
	{ SCMP_SYS(stat), EPERM }, { SCMP_SYS(lstat), EPERM }, { SCMP_SYS(statx), EPERM },
	{ SCMP_SYS(access), EPERM }, { SCMP_SYS(faccessat), EPERM }, { SCMP_SYS(faccessat2), EPERM },
	{ SCMP_SYS(readlink), EPERM }, { SCMP_SYS(readlinkat), EPERM }, { SCMP_SYS(socket), EPERM },
	{ SCMP_SYS(sysinfo), EPERM },		/* qsort() asks how much memory there is */
	{ SCMP_SYS(rseq), ENOSYS }, { SCMP_SYS(clone3), ENOSYS },
};

static const int fcntls[] = {
	F_GETFD, F_SETFD, F_GETFL, F_GET_SEALS, F_ADD_SEALS, F_DUPFD_CLOEXEC,
};

static const struct { int level, option; } options[] = {
	{ IPPROTO_TCP, TCP_NODELAY }, { IPPROTO_TCP, TCP_CORK }, { IPPROTO_TCP, TCP_QUICKACK },
	{ SOL_SOCKET, SO_KEEPALIVE }, { SOL_SOCKET, SO_LINGER }, { SOL_SOCKET, SO_SNDBUF },
};

/* -- the name of what was trapped */

#define CALLS		512	/* numbers of the table; beyond it only the number is said */
static uint16_t	name_at[CALLS];
static char	names[16384];

/* All names beforehand: the handler must not allocate memory. */
static void
names_prepare(void)
{
	size_t	at = 1, len;
	char	*name;
	int	 i;

	for (i = 0; i < CALLS; i++) {
		name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i);
		if (name == NULL)
			continue;
		len = strlen(name) + 1;
		if (len <= sizeof(names) - at) {
			memcpy(names + at, name, len);
			name_at[i] = (uint16_t)at;
			at += len;
		}
		free(name);
	}
}

static size_t
number_write(char *out, unsigned n)
{
	char	digits[16];
	size_t	len = 0, i;

	do
		digits[len++] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	for (i = 0; i < len; i++)
		out[i] = digits[len - 1 - i];
	return len;
}

void
seccomp_tell(unsigned call, struct bytes after)
{
	static const char	 before[] = "sandbox: system call ";
	const char		*name = call < CALLS ? names + name_at[call] : "";
	const size_t		 name_len = strlen(name);
	char			 text[160];
	size_t			 len = sizeof(before) - 1;

	memcpy(text, before, len);
	len += number_write(text + len, call);
	if (name_len > 0 && name_len < 64) {
		memcpy(text + len, " (", 2);
		memcpy(text + len + 2, name, name_len);
		text[len + 2 + name_len] = ')';
		len += name_len + 3;
	}
	if (after.len <= sizeof(text) - len) {
		memcpy(text + len, after.data, after.len);
		len += after.len;
	}
	log_from_signal(LOG_ERROR, (struct bytes){ text, len });
}

/* Says which call it was, dies. Nothing here but async-signal-safe calls that are allowed. */
static void
trapped(int signal, siginfo_t *info, void *context)
{
	seccomp_tell((unsigned)info->si_syscall, BYTES(" is not allowed: ended"));
	raise(SIGSYS);		/* by default now, SA_RESETHAND; the first of a pid namespace ignores it */
	for (;;)
		_exit(PROCESS_SIGNALLED + SIGSYS);
}

int
seccomp_handle(void (*trap)(int, siginfo_t *, void *), int flags)
{
	struct sigaction	sa = { .sa_sigaction = trap, .sa_flags = SA_SIGINFO | SA_NODEFER | flags };

	names_prepare();
	sigemptyset(&sa.sa_mask);
	return sigaction(SIGSYS, &sa, NULL) == -1 ? -errno : 0;
}

/* -- the filter */

int
seccomp_allow(scmp_filter_ctx c, const int *calls, size_t count)
{
	size_t	i;
	int	rc = 0;

	for (i = 0; i < count && rc == 0; i++)
		rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, calls[i], 0);
	return rc;
}

/* Calls that depend on what they ask for. */
static int
memory_add(scmp_filter_ctx c)
{
	int	rc;

	rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
	    SCMP_CMP(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (rc == 0)
		rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
		    SCMP_CMP(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
#ifdef PR_SET_VMA
	if (rc == 0)		/* newer C libraries name their memory */
		rc = seccomp_rule_add(c, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(prctl), 1,
		    INT_IS(0, PR_SET_VMA));
#endif
	return rc;
}

static int
arguments_add(scmp_filter_ctx c)
{
	size_t	i;
	int	rc = 0;

	for (i = 0; i < sizeof(fcntls) / sizeof(fcntls[0]) && rc == 0; i++)
		rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, INT_IS(1, fcntls[i]));
	if (rc == 0)		/* fstat() of this C library */
		rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
		    INT_IS(3, AT_EMPTY_PATH));
	if (rc == 0)
		rc = seccomp_rule_add(c, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(newfstatat), 1,
		    SCMP_CMP(3, SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, 0));
	if (rc == 0)		/* raise(), abort(): ourselves only */
		rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, INT_IS(0, getpid()));
	return rc;
}

static int
sockets_add(scmp_filter_ctx c)
{
	size_t	i;
	int	rc;

	rc = seccomp_allow(c, allowed_sockets, sizeof(allowed_sockets) / sizeof(allowed_sockets[0]));
	for (i = 0; i < sizeof(options) / sizeof(options[0]) && rc == 0; i++)
		rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(setsockopt), 2,
		    INT_IS(1, options[i].level), INT_IS(2, options[i].option));
	if (rc == 0)
		rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(getsockopt), 2,
		    INT_IS(1, SOL_SOCKET), INT_IS(2, SO_ERROR));
	return rc;
}

/* A refused call that this architecture does not have is none. */
static int
refused_add(scmp_filter_ctx c)
{
	size_t	i;
	int	rc = 0;

	for (i = 0; i < sizeof(refused) / sizeof(refused[0]) && rc == 0; i++)
		if (refused[i].call >= 0)
			rc = seccomp_rule_add(c, SCMP_ACT_ERRNO((unsigned)refused[i].error),
			    refused[i].call, 0);
	return rc;
}

int
seccomp_attributes(scmp_filter_ctx c)
{
	int	rc;

	rc = seccomp_attr_set(c, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (rc == 0)
		rc = seccomp_attr_set(c, SCMP_FLTATR_CTL_TSYNC, 1);
	if (rc == 0)
		rc = seccomp_attr_set(c, SCMP_FLTATR_CTL_OPTIMIZE, 2);	/* binary search */
	if (rc == 0)
		rc = seccomp_attr_set(c, SCMP_FLTATR_API_SYSRAWRC, 1);	/* the kernel's own errno */
	return rc;
}

static int
filter_fill(scmp_filter_ctx c, const struct sandbox_profile *profile)
{
	int	rc = seccomp_attributes(c);

	if (rc == 0)
		rc = seccomp_allow(c, allowed, sizeof(allowed) / sizeof(allowed[0]));
	if (rc == 0)
		rc = memory_add(c);
	if (rc == 0)
		rc = arguments_add(c);
	if (rc == 0 && (profile->rights & SANDBOX_SOCKETS) != 0)
		rc = sockets_add(c);
	if (rc == 0 && (profile->rights & SANDBOX_MEMFDS) != 0)
		rc = seccomp_allow(c, allowed_memfds, sizeof(allowed_memfds) / sizeof(allowed_memfds[0]));
	if (rc == 0)
		rc = refused_add(c);
	return rc;
}

int
seccomp_enter(const struct sandbox_profile *profile)
{
	scmp_filter_ctx	c;
	int		rc;

	c = seccomp_init(SCMP_ACT_TRAP);
	if (c == NULL)
		return -ENOMEM;
	rc = filter_fill(c, profile);
	if (rc == 0)
		rc = seccomp_handle(trapped, SA_RESETHAND);
	if (rc == 0)
		rc = seccomp_load(c);
	seccomp_release(c);
	return rc;
}
