#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>
#include "common/linux_capabilities.h"
#include "common/process.h"

void
process_name(const char *name)
{
	prctl(PR_SET_NAME, name, 0, 0, 0);
}

void
process_end_with_parent(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}

/* clone3(2) has its flags in memory, where no filter sees them: many hosts forbid it for that. */
static pid_t
fork_into(unsigned long spaces)
{
	return (pid_t)syscall(SYS_clone, spaces | SIGCHLD, NULL, NULL, NULL, NULL);
}

pid_t
process_fork(bool apart)
{
	pid_t	pid;

	if (!apart)
		return fork();
	pid = fork_into(CLONE_NEWPID);
	if (pid != -1 || geteuid() == 0)	/* root would lose the other uids in a user namespace */
		return pid != -1 ? pid : fork();
	pid = fork_into(CLONE_NEWUSER | CLONE_NEWPID);
	if (pid == 0)
		capabilities_hand_on();
	return pid != -1 ? pid : fork();
}

bool
process_is_first(void)
{
	return getpid() == 1 && getppid() == 0;
}

/* Sent by somebody: end. A fault of ours: it happens again, by default now, which ends even us. */
static void
signalled(int number, siginfo_t *info, void *context)
{
	if (info->si_code <= 0)
		_exit(PROCESS_SIGNALLED + number);
}

void
process_end_by_signals(void)
{
	static const int	numbers[] = { SIGTERM, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP,
				    SIGALRM, SIGVTALRM, SIGPROF, SIGXCPU };
	struct sigaction	sa = { .sa_sigaction = signalled, .sa_flags = SA_SIGINFO | SA_RESETHAND }, was;
	size_t			i;

	sigemptyset(&sa.sa_mask);
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (sigaction(numbers[i], NULL, &was) == 0 && was.sa_handler == SIG_DFL)
			(void)sigaction(numbers[i], &sa, NULL);
}
