/*
 * What the supervisor may call, and so what a child may between its start and
 * its own filter: loading a program, making namespaces, giving up rights. A
 * child's list is within it, so that there what is forbidden is the child's business.
 *
 * What is not on the list fails with EPERM, and the first time is logged: name services that
 * the system's administrator has chosen run in the supervisor's asker (supervisor/lookup.c),
 * and may try what nobody knows here. It is a trap, as with children, so a
 * child that is not yet in its own filter dies of such a call.
 */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/ioctl.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <ucontext.h>
#include "common/linux_seccomp.h"

/* Names that Debian 12's headers lack. */
#ifndef PR_SET_MDWE
#define PR_SET_MDWE	65
#endif

static const int allowed[] = {
	/* descriptors, time, memory: as children, and what a program's start needs */
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(pread64), SCMP_SYS(pwrite64),
	SCMP_SYS(close), SCMP_SYS(close_range), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(fcntl),
	SCMP_SYS(pipe), SCMP_SYS(pipe2), SCMP_SYS(eventfd2), SCMP_SYS(lseek), SCMP_SYS(sendfile),
	SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
	SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select), SCMP_SYS(pselect6),
	SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime), SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres),
	SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(getrandom),
	SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(brk), SCMP_SYS(madvise), SCMP_SYS(futex),
	SCMP_SYS(mlock), SCMP_SYS(mlock2),	/* the signer's keys */
	SCMP_SYS(membarrier), SCMP_SYS(rseq), SCMP_SYS(arch_prctl), SCMP_SYS(set_tid_address),
	SCMP_SYS(set_robust_list), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction), SCMP_SYS(sigaltstack),
	SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group),
	SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(gettid), SCMP_SYS(getuid), SCMP_SYS(geteuid),
	SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(getresuid), SCMP_SYS(getresgid), SCMP_SYS(getgroups),
	SCMP_SYS(getrusage), SCMP_SYS(sysinfo), SCMP_SYS(uname), SCMP_SYS(getpgrp), SCMP_SYS(getsid),
	SCMP_SYS(prlimit64), SCMP_SYS(getrlimit), SCMP_SYS(setrlimit),
	/* files: of the configuration, certificates, logs, the pid file, name services */
	SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(openat2), SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(fstat),
	SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(statfs), SCMP_SYS(fstatfs), SCMP_SYS(access),
	SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat),
	SCMP_SYS(getdents64), SCMP_SYS(getcwd), SCMP_SYS(chdir), SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(rmdir),
	SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2),
	SCMP_SYS(link), SCMP_SYS(linkat), SCMP_SYS(umask), SCMP_SYS(chmod), SCMP_SYS(fchmod), SCMP_SYS(fchmodat),
	SCMP_SYS(chown), SCMP_SYS(lchown), SCMP_SYS(fchown), SCMP_SYS(fchownat), SCMP_SYS(ftruncate),
	SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(flock), SCMP_SYS(memfd_create), SCMP_SYS(copy_file_range),
	/* sockets; socket(2) itself by its family, below */
	SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), SCMP_SYS(recvfrom), SCMP_SYS(sendto), SCMP_SYS(sendmmsg),
	SCMP_SYS(recvmmsg), SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(connect),
	SCMP_SYS(shutdown), SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(setsockopt), SCMP_SYS(getsockopt),
	/* children */
	SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(kill), SCMP_SYS(tgkill), SCMP_SYS(wait4), SCMP_SYS(waitid),
	SCMP_SYS(pidfd_open), SCMP_SYS(pidfd_send_signal),
	SCMP_SYS(setgroups), SCMP_SYS(setresuid), SCMP_SYS(setresgid), SCMP_SYS(capget), SCMP_SYS(capset),
	SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(seccomp),
	SCMP_SYS(landlock_create_ruleset), SCMP_SYS(landlock_restrict_self),
	SCMP_SYS(getpriority), SCMP_SYS(setpriority), SCMP_SYS(sched_setscheduler),	/* of threads */
};

static const int families[] = { AF_UNIX, AF_INET, AF_INET6 };

static const int ioctls[] = { FIONREAD, FIONBIO, TCGETS };

/* Of ourselves, and of a child that gives up rights. */
static const int prctls[] = {
	PR_SET_NAME, PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS, PR_SET_MDWE, PR_CAPBSET_READ, PR_CAPBSET_DROP,
	PR_CAP_AMBIENT, PR_GET_SECCOMP, PR_GET_DUMPABLE,
#ifdef PR_SET_VMA
	PR_SET_VMA,
#endif
};

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

static int
memory_add(scmp_filter_ctx c, int call)
{
	int	rc;

	rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, call, 1, SCMP_CMP(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (rc == 0)		/* code is loaded, but never where it can be written */
		rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, call, 1, SCMP_CMP(2, SCMP_CMP_MASKED_EQ, PROT_WRITE, 0));
	return rc;
}

/* A new process, in the namespaces of process_fork() at most; one that runs what is in a descriptor. */
static int
start_add(scmp_filter_ctx c)
{
	const uint64_t	spaces = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
	int		rc;

	rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, SCMP_CMP(0, SCMP_CMP_MASKED_EQ, spaces, 0));
	if (rc == 0)		/* its flags cannot be seen */
		rc = seccomp_rule_add(c, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (rc == 0)
		rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(execveat), 1, INT_IS(4, AT_EMPTY_PATH));
	if (rc == 0)		/* a clock's namespace is nothing we need */
		rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(unshare), 1,
		    SCMP_CMP(0, SCMP_CMP_MASKED_EQ, 0x00000080 /* CLONE_NEWTIME */, 0));
	return rc;
}

static int
arguments_add(scmp_filter_ctx c)
{
	size_t	i;
	int	rc = 0;

	for (i = 0; i < COUNT(families) && rc == 0; i++)
		rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, INT_IS(0, families[i]));
	if (rc == 0)		/* getaddrinfo(3) asks which addresses there are, by NETLINK_ROUTE */
		rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, INT_IS(0, AF_NETLINK), INT_IS(2, 0));
	if (rc == 0)
		rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1, INT_IS(0, AF_UNIX));
	for (i = 0; i < COUNT(ioctls) && rc == 0; i++)
		rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, INT_IS(1, ioctls[i]));
	for (i = 0; i < COUNT(prctls) && rc == 0; i++)
		rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, INT_IS(0, prctls[i]));
	if (rc == 0)
		rc = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 2, INT_IS(0, PR_SET_DUMPABLE),
		    SCMP_CMP(1, SCMP_CMP_MASKED_EQ, UINT64_MAX, 0));
	return rc;
}

static int
filter_fill(scmp_filter_ctx c)
{
	int	rc = seccomp_attributes(c);

	if (rc == 0)
		rc = seccomp_allow(c, allowed, COUNT(allowed));
	if (rc == 0)
		rc = memory_add(c, SCMP_SYS(mmap));
	if (rc == 0)
		rc = memory_add(c, SCMP_SYS(mprotect));
	if (rc == 0)
		rc = start_add(c);
	if (rc == 0)
		rc = arguments_add(c);
	return rc;
}

/* -- what is refused */

#define CALLS	512	/* those with higher numbers are told each time */
static bool	told[CALLS];

/* False: nobody knows here where this processor has a call's result. */
static bool
result_set(void *context, long result)
{
	ucontext_t	*u = context;

#if defined(__x86_64__)
	u->uc_mcontext.gregs[REG_RAX] = result;
	return true;
#elif defined(__aarch64__)
	u->uc_mcontext.regs[0] = (unsigned long long)result;
	return true;
#else
	return false;
#endif
}

/* The call has not been made. It returns as if the kernel had said no. */
static void
refused(int signal, siginfo_t *info, void *context)
{
	const unsigned	call = (unsigned)info->si_syscall;
	const int	saved = errno;

	if (call >= CALLS || !told[call])
		seccomp_tell(call, BYTES(" is not allowed: refused"));
	if (call < CALLS)
		told[call] = true;
	errno = saved;
	if (!result_set(context, -EPERM))
		_Exit(128 + SIGSYS);
}

int
seccomp_enter_supervisor(void)
{
	scmp_filter_ctx	c = seccomp_init(SCMP_ACT_TRAP);
	int		rc;

	if (c == NULL)
		return -ENOMEM;
	rc = filter_fill(c);
	if (rc == 0)
		rc = seccomp_handle(refused, 0);
	if (rc == 0)
		rc = seccomp_load(c);
	seccomp_release(c);
	return rc;
}
