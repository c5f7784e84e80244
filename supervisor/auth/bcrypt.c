#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <crypt.h>
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>
#include <openssl/crypto.h>
#include "supervisor/auth/bcrypt.h"

#define HASH_TEXT	60u	/* $2b$10$, 22 characters of salt, 31 of hash */
#define PREFIX		4u	/* "$2b$" */
#define PASSWORD_MOST	72u	/* bytes that bcrypt looks at */
#define STACK		(256u << 10)
#define FIRST_NICE	10		/* a ninth of a processor that one other thread wants */

enum { IDLE, WORK, DONE };

struct queue;

struct bcrypt_job {
	TAILQ_ENTRY(bcrypt_job)	 entry;
	struct queue		*queue;		/* NULL: a thread has it */
	void			*of;		/* NULL: cancelled */
	bool			 right;
	char			 hash[HASH_TEXT + 1], password[PASSWORD_MOST + 1];
};
TAILQ_HEAD(jobs, bcrypt_job);

/* Of one source; only while there are jobs. */
struct queue {
	struct map_node		 node;
	TAILQ_ENTRY(queue)	 turn;
	struct source		 from;
	struct jobs		 jobs;
	size_t			 count;
};
TAILQ_HEAD(queues, queue);

struct thread {
	pthread_t		 id;
	bool			 first;
	int			 wake, done;	/* eventfds; done is the same for all */
	_Atomic int		 state;
	_Atomic bool		 ending;
	struct bcrypt_job	*job;
	struct crypt_data	*data;
};

struct bcrypt {
	struct ev_loop		*loop;
	ev_io			 finished;
	struct map		 queues;	/* by source */
	struct queues		 turns;		/* whose is next */
	size_t			 waiting, running;
	unsigned		 threads, started;
	int			 done_fd;
	bcrypt_done		*done;
	bcrypt_may		*may;
	void			*arg;
	struct thread		 all[BCRYPT_THREADS];
};

bool
bcrypt_is(struct bytes s)
{
	return s.len >= 7 && s.data[0] == '$' && s.data[1] == '2' &&
	    s.data[2] != '\0' && strchr("abxy", s.data[2]) != NULL && s.data[3] == '$' &&
	    isdigit((unsigned char)s.data[4]) && isdigit((unsigned char)s.data[5]) && s.data[6] == '$';
}

/* -- a thread */

/*
 * The hash of the password under the salt of the known one. libxcrypt gives some passwords of
 * "$2a$" another hash than its first implementation, to warn of a bug of others; as "$2b$" it has the right one.
 */
static void
job_do(struct bcrypt_job *job, struct crypt_data *data)
{
	const char	*is;

	if (job->hash[2] == 'a' || job->hash[2] == 'y')
		job->hash[2] = 'b';
	is = crypt_r(job->password, job->hash, data);
	job->right = is != NULL && strlen(is) == HASH_TEXT &&
	    CRYPTO_memcmp(is + PREFIX, job->hash + PREFIX, HASH_TEXT - PREFIX) == 0;
	explicit_bzero(job->password, sizeof(job->password));
	explicit_bzero(data, sizeof(*data));
}

/* One is added to an eventfd that nobody fills. */
static void
signal_send(int fd)
{
	const uint64_t	one = 1;
	ssize_t		n;

	do
		n = write(fd, &one, sizeof(one));
	while (n == -1 && errno == EINTR);
}

static void *
thread_run(void *arg)
{
	struct thread		*t = arg;
	const struct sched_param none = { 0 };
	uint64_t		 value;

	/* Of this thread alone; where it is not allowed, it is as others. */
	if (t->first)
		(void)setpriority(PRIO_PROCESS, 0, FIRST_NICE);
	else
		(void)sched_setscheduler(0, SCHED_IDLE, &none);
	atomic_store_explicit(&t->state, DONE, memory_order_release);
	signal_send(t->done);
	while (!atomic_load_explicit(&t->ending, memory_order_acquire)) {
		if (read(t->wake, &value, sizeof(value)) != sizeof(value) ||
		    atomic_load_explicit(&t->state, memory_order_acquire) != WORK)
			continue;
		job_do(t->job, t->data);
		atomic_store_explicit(&t->state, DONE, memory_order_release);
		signal_send(t->done);
	}
	return NULL;
}

/* -- the loop */

static struct queue *
queue_find(struct bcrypt *b, struct source from)
{
	struct map_node	*n;

	for (n = map_first(&b->queues, source_hash(from)); n != NULL; n = map_next(n))
		if (source_equal(((struct queue *)n)->from, from))
			return (struct queue *)n;
	return NULL;
}

static struct queue *
queue_make(struct bcrypt *b, struct source from)
{
	struct queue	*q = queue_find(b, from);

	if (q != NULL || (q = malloc(sizeof(*q))) == NULL)
		return q;
	*q = (struct queue){ .from = from };
	TAILQ_INIT(&q->jobs);
	map_add(&b->queues, &q->node, source_hash(from));
	TAILQ_INSERT_TAIL(&b->turns, q, turn);
	return q;
}

static void
queue_take(struct bcrypt *b, struct bcrypt_job *job)
{
	struct queue	*q = job->queue;

	TAILQ_REMOVE(&q->jobs, job, entry);
	job->queue = NULL;
	b->waiting--;
	if (--q->count > 0)
		return;
	TAILQ_REMOVE(&b->turns, q, turn);
	map_remove(&b->queues, &q->node);
	free(q);
}

static void
job_free(struct bcrypt_job *job)
{
	explicit_bzero(job, sizeof(*job));
	free(job);
}

/* The next job, of the source whose turn it is. */
static struct bcrypt_job *
job_next(struct bcrypt *b)
{
	struct queue		*q = TAILQ_FIRST(&b->turns);
	struct bcrypt_job	*job;

	if (q == NULL)
		return NULL;
	TAILQ_REMOVE(&b->turns, q, turn);
	TAILQ_INSERT_TAIL(&b->turns, q, turn);
	job = TAILQ_FIRST(&q->jobs);
	queue_take(b, job);
	return job;
}

static struct bcrypt_job *
job_allowed(struct bcrypt *b)
{
	struct bcrypt_job	*job;

	while ((job = job_next(b)) != NULL && !b->may(b->arg, job->of))
		job_free(job);
	return job;
}

/* waited: the jobs did, for a thread. While one is free nothing waits but what comes right then. */
static void
threads_feed(struct bcrypt *b, bool waited)
{
	struct thread	*t;
	unsigned	 i;

	for (i = 0; i < b->started; i++) {
		t = &b->all[i];
		if (atomic_load_explicit(&t->state, memory_order_relaxed) != IDLE)
			continue;
		if ((t->job = waited ? job_allowed(b) : job_next(b)) == NULL)
			return;
		b->running++;
		atomic_store_explicit(&t->state, WORK, memory_order_release);
		signal_send(t->wake);
	}
}

static void
finished_take(struct ev_loop *loop, ev_io *w, int revents)
{
	struct bcrypt		*b = w->data;
	struct bcrypt_job	*job;
	uint64_t		 value;
	unsigned		 i;

	(void)!read(b->done_fd, &value, sizeof(value));
	for (i = 0; i < b->started; i++) {
		if (atomic_load_explicit(&b->all[i].state, memory_order_acquire) != DONE)
			continue;
		job = b->all[i].job;
		b->all[i].job = NULL;
		atomic_store_explicit(&b->all[i].state, IDLE, memory_order_relaxed);
		b->running--;
		if (job->of != NULL)
			b->done(b->arg, job->of, job->right);
		job_free(job);
	}
	threads_feed(b, true);
}

/* The longest queue, when all are too long together. */
static struct queue *
queue_longest(struct bcrypt *b)
{
	struct queue	*q, *longest = TAILQ_FIRST(&b->turns);

	TAILQ_FOREACH(q, &b->turns, turn)
		if (q->count > longest->count)
			longest = q;
	return longest;
}

/* Make room at the cost of who has the most. False: it is this source. */
static bool
queue_make_room(struct bcrypt *b, struct source from)
{
	struct queue		*longest;
	struct bcrypt_job	*job;

	if (b->waiting < BCRYPT_JOBS)
		return true;
	longest = queue_longest(b);
	if (source_equal(longest->from, from))
		return false;
	job = TAILQ_LAST(&longest->jobs, jobs);
	queue_take(b, job);
	b->done(b->arg, job->of, false);
	job_free(job);
	return true;
}

struct bcrypt_job *
bcrypt_submit(struct bcrypt *b, struct source from, struct bytes hash, struct bytes password, void *of)
{
	const size_t		 len = password.len < PASSWORD_MOST ? password.len : PASSWORD_MOST;
	struct bcrypt_job	*job;

	if (!queue_make_room(b, from) || (job = calloc(1, sizeof(*job))) == NULL)
		return NULL;
	if ((job->queue = queue_make(b, from)) == NULL) {
		free(job);
		return NULL;
	}
	job->of = of;
	memcpy(job->hash, hash.data, hash.len < HASH_TEXT ? hash.len : HASH_TEXT);
	memcpy(job->password, password.data, len);
	TAILQ_INSERT_TAIL(&job->queue->jobs, job, entry);
	job->queue->count++;
	b->waiting++;
	threads_feed(b, false);
	return job;
}

void
bcrypt_cancel(struct bcrypt *b, struct bcrypt_job *job)
{
	if (job->queue == NULL) {
		job->of = NULL;
		return;
	}
	queue_take(b, job);
	job_free(job);
}

size_t
bcrypt_jobs(const struct bcrypt *b)
{
	return b->waiting + b->running;
}

/* -- life */

static int
thread_init(struct bcrypt *b, struct thread *t)
{
	t->first = t == &b->all[0];
	t->done = b->done_fd;
	t->wake = eventfd(0, EFD_CLOEXEC);	/* blocks: the thread waits in it */
	if (t->wake == -1)
		return -errno;
	t->data = calloc(1, sizeof(*t->data));
	return t->data == NULL ? -ENOMEM : 0;
}

int
bcrypt_new(struct bcrypt **out, struct ev_loop *loop, unsigned threads, bcrypt_done *done,
    bcrypt_may *may, void *arg)
{
	struct bcrypt	*b = calloc(1, sizeof(*b));
	unsigned	 i;
	int		 rc;

	if (b == NULL)
		return -ENOMEM;
	b->loop = loop;
	b->threads = threads;
	b->done = done;
	b->may = may;
	b->arg = arg;
	TAILQ_INIT(&b->turns);
	for (i = 0; i < BCRYPT_THREADS; i++)
		b->all[i].wake = -1;
	b->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = b->done_fd == -1 ? -errno : map_init(&b->queues);
	for (i = 0; i < threads && rc == 0; i++)
		rc = thread_init(b, &b->all[i]);
	ev_io_init(&b->finished, finished_take, b->done_fd, EV_READ);
	b->finished.data = b;
	if (rc != 0) {
		bcrypt_free(b);
		return rc;
	}
	ev_io_start(loop, &b->finished);
	*out = b;
	return 0;
}

/* The last of them says that it waits. */
static void
threads_await(struct bcrypt *b)
{
	struct pollfd	p = { .fd = b->done_fd, .events = POLLIN };
	uint64_t	value;
	unsigned	i = 0;

	while (i < b->started) {
		if (atomic_load_explicit(&b->all[i].state, memory_order_acquire) == DONE)
			i++;
		else if (poll(&p, 1, -1) == 1)
			(void)!read(b->done_fd, &value, sizeof(value));
	}
	for (i = 0; i < b->started; i++)
		atomic_store_explicit(&b->all[i].state, IDLE, memory_order_relaxed);
	(void)!read(b->done_fd, &value, sizeof(value));
}

int
bcrypt_start(struct bcrypt *b)
{
	pthread_attr_t	attributes;
	int		rc;

	if ((rc = pthread_attr_init(&attributes)) != 0)
		return -rc;
	rc = pthread_attr_setstacksize(&attributes, STACK);
	while (rc == 0 && b->started < b->threads) {
		rc = pthread_create(&b->all[b->started].id, &attributes, thread_run, &b->all[b->started]);
		b->started += rc == 0;
	}
	pthread_attr_destroy(&attributes);
	threads_await(b);
	return b->started > 0 ? 0 : -rc;
}

static void
threads_end(struct bcrypt *b)
{
	unsigned	i;

	for (i = 0; i < b->started; i++) {
		atomic_store_explicit(&b->all[i].ending, true, memory_order_release);
		signal_send(b->all[i].wake);
		pthread_join(b->all[i].id, NULL);
		if (b->all[i].job != NULL)
			job_free(b->all[i].job);
	}
}

void
bcrypt_free(struct bcrypt *b)
{
	struct bcrypt_job	*job;
	unsigned		 i;

	if (b == NULL)
		return;
	ev_io_stop(b->loop, &b->finished);
	while ((job = job_next(b)) != NULL)
		job_free(job);
	threads_end(b);
	for (i = 0; i < b->threads; i++) {
		if (b->all[i].wake != -1)
			close(b->all[i].wake);
		free(b->all[i].data);
	}
	map_free(&b->queues);
	if (b->done_fd != -1)
		close(b->done_fd);
	free(b);
}
