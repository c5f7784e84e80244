/*
 * What it costs that keys are elsewhere: the processor time of one TLS handshake on the server's side,
 * with the library tls/ and the signer's code in a process of its own, beside OpenSSL with the key in
 * the server's process. Clients are processes of their own, whose time does not count.
 *
 *	tls_bench CERTIFICATE KEY VERSION [HANDSHAKES [CLIENTS]]	(1.2 or 1.3)
 */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "common/loop.h"
#include "common/memfd.h"
#include "common/records.h"
#include "supervisor/signer/signer.h"
#include "tls/stream.h"

#define KEY	1u	/* the number of ours */

struct options { const char *certificate, *key; int version; size_t handshakes, clients; };

/* Nanoseconds of processor time, as each process measured its own. */
static struct shared { uint64_t server, signer; bool failed; } *shared;

static uint64_t
cpu(void)
{
	struct timespec	ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* A child that does not outlive us. */
static pid_t
child(void)
{
	pid_t	pid = fork();

	if (pid == -1)
		err(1, "fork");
	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

/* -- the document, as the supervisor would make it */

static struct bytes
file_read(const char *path)
{
	static char	 room[2][1 << 16];
	static unsigned	 turn;
	char		*data = room[turn++ % 2];
	int		 fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t		 n = fd == -1 ? -1 : read(fd, data, sizeof(room[0]));

	if (n == -1)
		err(1, "%s", path);
	close(fd);
	return (struct bytes){ data, (size_t)n };
}

static int
document_make(const struct options *o)
{
	const struct msg	context = { .type = MSG_tls_context, .u.tls_context = { .use = TLS_CLIENTS,
				    .at = BYTES("bench"), .minimum = TLS1_2_VERSION, .timeout = 2000 } };
	const struct msg	certificate = { .type = MSG_tls_certificate, .u.tls_certificate = { .key = KEY,
				    .path = BYTES("certificate"), .chain = file_read(o->certificate) } };
	msgpack_sbuffer		out;
	int			fd;

	msgpack_sbuffer_init(&out);
	if (records_add(&out, &context) != 0 || records_add(&out, &certificate) != 0 || (fd = records_seal(&out)) < 0)
		errx(1, "no document");
	msgpack_sbuffer_destroy(&out);
	return fd;
}

/* -- the signer: its own code, without sandbox */

static int
key_seal(const char *path)
{
	int	fd = memfd_sealed("key", file_read(path));

	if (fd < 0)
		errx(1, "no memory for the key");
	return fd;
}

static void
signer_tell(struct signer *s, const struct msg *m, int fd)
{
	int	rc = signer_receive(s, m, &fd);

	if (rc != 0)
		errx(1, "signer: %s", strerror(-rc));
}

/* It has what the supervisor gives, but no supervisor. */
static void
signer_start(struct signer *s, const struct options *o, int document, int asker)
{
	const struct msg	key = { .type = MSG_signing_key, .u.signing_key = { .key = KEY, .path = BYTES("key") } };
	const struct msg	keys = { .type = MSG_signing_keys };
	const struct msg	channel = { .type = MSG_asker_channel, .u.asker_channel = { .role = ROLE_WORKER, .incarnation = 1 } };

	if (keys_setup(1) < 0)
		errx(1, "no memory");
	tls_load();
	*s = (struct signer){ .child = { .loop = loop_new(), .tls = document, .supervisor = { .fd = -1 } } };
	if (signer_init(s) != 0)
		errx(1, "no memory");
	signer_tell(s, &key, key_seal(o->key));
	signer_tell(s, &keys, -1);
	if (s->in_force.count == 0)
		errx(1, "signer: %s", s->error);
	signer_tell(s, &channel, asker);
}

static volatile sig_atomic_t	over;

static void
on_term(int signo)
{
	over = 1;
}

/* Until it is told that it is over. */
static void
signer_run(const struct options *o, int document, int asker, int ready)
{
	static struct signer	s;
	uint64_t		before;

	signal(SIGTERM, on_term);
	signer_start(&s, o, document, asker);
	before = cpu();
	(void)!write(ready, "", 1);
	while (!over)
		ev_run(s.child.loop, EVRUN_ONCE);
	shared->signer = cpu() - before;
	_exit(0);
}

/* -- clients */

static bool
client_connect(SSL_CTX *ctx, const struct sockaddr_in *where)
{
	int	 fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), n;
	SSL	*ssl = SSL_new(ctx);
	char	 byte;

	if (fd == -1 || connect(fd, (const struct sockaddr *)where, sizeof(*where)) != 0)
		err(1, "connect");
	SSL_set_fd(ssl, fd);
	n = SSL_connect(ssl);
	if (n == 1)
		n = SSL_read(ssl, &byte, 1);
	SSL_free(ssl);
	close(fd);
	return n == 1;
}

static void
client_run(const struct options *o, const struct sockaddr_in *where)
{
	SSL_CTX	*ctx = SSL_CTX_new(TLS_client_method());
	size_t	 i;

	SSL_CTX_set_min_proto_version(ctx, o->version);
	SSL_CTX_set_max_proto_version(ctx, o->version);
	for (i = 0; i < o->handshakes / o->clients; i++)
		if (!client_connect(ctx, where))
			shared->failed = true;
	_exit(0);
}

/* -- the server: the same loop for both; a connection is greeted with a byte, and closed when the client has it */

struct server {
	struct ev_loop		*loop;
	ev_io			 accept;
	size_t			 left;		/* connections that did not end yet */
	SSL_CTX			*plain;		/* OpenSSL alone, with the key; or else */
	struct signing		 signing;
	struct tls_buffers	 buffers;
	struct tls_tickets	 tickets;
	struct tls_context	*context;
};

struct connection {
	ev_io			 io;
	struct server		*server;
	SSL			*ssl;
	struct tls_stream	*stream;
	bool			 greeted;
};

static void
connection_end(struct connection *c)
{
	struct server	*s = c->server;

	ev_io_stop(s->loop, &c->io);
	SSL_free(c->ssl);
	tls_stream_free(c->stream);
	close(c->io.fd);
	free(c);
	if (--s->left == 0)
		ev_break(s->loop, EVBREAK_ALL);
}

static bool
connection_greet(struct connection *c)
{
	const struct iovec	hello = { .iov_base = (void *)(uintptr_t)"+", .iov_len = 1 };

	c->greeted = true;
	return c->ssl != NULL ? SSL_write(c->ssl, "+", 1) == 1 : tls_write(c->stream, &hello, 1) == 1;
}

/* False: it failed. */
static bool
connection_shake(struct connection *c)
{
	int	n;

	if (c->ssl != NULL) {
		ERR_clear_error();
		if ((n = SSL_do_handshake(c->ssl)) == 1)
			return connection_greet(c);
		return SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ;
	}
	if ((n = tls_handshake(c->stream)) == 0)
		return connection_greet(c);
	return n == -EAGAIN || n == -EINPROGRESS;
}

/* False: it is over. */
static bool
connection_read(struct connection *c)
{
	char	data[64];
	int	n;

	if (c->ssl == NULL)
		return tls_read(c->stream, data, sizeof(data)) > 0 || errno == EAGAIN;
	ERR_clear_error();
	n = SSL_read(c->ssl, data, sizeof(data));
	return n > 0 || SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ;
}

static void
connection_step(struct connection *c)
{
	if (!c->greeted && !connection_shake(c)) {
		shared->failed = true;
		connection_end(c);
	} else if (c->greeted && !connection_read(c))
		connection_end(c);
}

static void
connection_ready(struct ev_loop *loop, ev_io *w, int events)
{
	connection_step((struct connection *)w);
}

static void
connection_wake(void *arg)
{
	connection_step(arg);
}

static void
connection_new(struct server *s, int fd)
{
	struct connection	*c = calloc(1, sizeof(*c));

	if (c == NULL)
		errx(1, "no memory");
	c->server = s;
	if (s->plain != NULL) {
		c->ssl = SSL_new(s->plain);
		SSL_set_fd(c->ssl, fd);
		SSL_set_accept_state(c->ssl);
	} else
		c->stream = tls_stream_new(s->context, &s->buffers, fd, connection_wake, c);
	ev_io_init(&c->io, connection_ready, fd, EV_READ);
	ev_io_start(s->loop, &c->io);
}

static void
server_accept(struct ev_loop *loop, ev_io *w, int events)
{
	int	fd;

	while ((fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) != -1)
		connection_new(w->data, fd);
}

static void
server_lost(struct signing *s)
{
	errx(1, "the signer is gone");
}

static void
server_ours(struct server *s, int document, int signer)
{
	static char	keys[TICKET_KEY] = "a key of tickets";
	char		error[512];

	tls_tickets_set(&s->tickets, (struct bytes){ keys, sizeof(keys) });
	if (tls_buffers_init(&s->buffers) != 0 || signing_init(&s->signing, s->loop, ROLE_WORKER, server_lost, s) != 0)
		errx(1, "no memory");
	if (tls_context_read(&s->context, document, ROLE_WORKER, TLS_CLIENTS, &s->signing, &s->tickets,
	    error, sizeof(error)) != 0)
		errx(1, "%s", error);
	signing_channel(&s->signing, signer);
}

/* What tls/ chooses too, so that both do the same: one ticket, no buffers while idle, no reading in small pieces. */
static void
server_plain(struct server *s, const struct options *o)
{
	SSL_CTX	*c = s->plain = SSL_CTX_new(TLS_server_method());

	if (SSL_CTX_use_certificate_chain_file(c, o->certificate) != 1 ||
	    SSL_CTX_use_PrivateKey_file(c, o->key, SSL_FILETYPE_PEM) != 1)
		errx(1, "%s, %s: unusable", o->certificate, o->key);
	SSL_CTX_set_options(c, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_cipher_list(c, "ECDHE+AESGCM");
	SSL_CTX_set_ciphersuites(c, "TLS_AES_128_GCM_SHA256");
	SSL_CTX_set1_groups_list(c, "X25519:P-256");
	SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(c, 1);
	SSL_CTX_set_read_ahead(c, 1);
}

static void
server_run(const struct options *o, int listener, int document, int signer)
{
	static struct server	s;
	uint64_t		before;

	s = (struct server){ .loop = loop_new(), .left = o->handshakes / o->clients * o->clients };
	if (signer == -1)
		server_plain(&s, o);
	else
		server_ours(&s, document, signer);
	ev_io_init(&s.accept, server_accept, listener, EV_READ);
	s.accept.data = &s;
	ev_io_start(s.loop, &s.accept);
	before = cpu();
	ev_run(s.loop, 0);
	shared->server = cpu() - before;
	_exit(0);
}

/* -- one run */

static int
listener_new(struct sockaddr_in *where)
{
	socklen_t	len = sizeof(*where);
	int		fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	*where = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (fd == -1 || bind(fd, (struct sockaddr *)where, len) != 0 || listen(fd, 1024) != 0 ||
	    getsockname(fd, (struct sockaddr *)where, &len) != 0)
		err(1, "listen");
	return fd;
}

/* The signer's process, which is ready. */
static pid_t
signer_fork(const struct options *o, int document, int asker)
{
	int	ready[2];
	char	byte;
	pid_t	pid;

	if (pipe2(ready, O_CLOEXEC) != 0)
		err(1, "pipe");
	if ((pid = child()) == 0)
		signer_run(o, document, asker, ready[1]);
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		errx(1, "no signer");
	close(ready[0]);
	return pid;
}

static void
wait_for(pid_t pid)
{
	int	status;

	if (waitpid(pid, &status, 0) != pid || status != 0)
		errx(1, "a process failed");
}

/* Nanoseconds of both processes for a handshake. */
static double
run(const struct options *o, bool ours, double *in_signer)
{
	struct sockaddr_in	where;
	int			ends[2] = { -1, -1 }, listener = listener_new(&where), document = document_make(o);
	pid_t			signer = -1, server;
	const double		count = (double)(o->handshakes / o->clients * o->clients);
	size_t			i;

	*shared = (struct shared){ .server = 0 };
	if (ours && channel_pair(ends) != 0)
		err(1, "channel");
	if (ours)
		signer = signer_fork(o, document, ends[0]);
	if ((server = child()) == 0)
		server_run(o, listener, document, ends[1]);
	for (i = 0; i < o->clients; i++)
		if (child() == 0)
			client_run(o, &where);
	wait_for(server);
	if (ours) {
		kill(signer, SIGTERM);
		wait_for(signer);
		close(ends[0]);
		close(ends[1]);
	}
	for (i = 0; i < o->clients; i++)
		wait(NULL);
	close(listener);
	close(document);
	*in_signer = (double)shared->signer / count;
	return (double)(shared->server + shared->signer) / count;
}

int
main(int argc, char **argv)
{
	struct options	o = { .handshakes = 1000, .clients = 8 };
	double		plain, ours, in_signer, none;

	if (argc < 4 || argc > 6)
		errx(2, "usage: tls_bench CERTIFICATE KEY 1.2|1.3 [HANDSHAKES [CLIENTS]]");
	o.certificate = argv[1];
	o.key = argv[2];
	o.version = strcmp(argv[3], "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
	if (argc > 4)
		o.handshakes = strtoul(argv[4], NULL, 10);
	if (argc > 5)
		o.clients = strtoul(argv[5], NULL, 10);
	if (o.clients == 0 || o.handshakes < o.clients)
		errx(2, "fewer handshakes than clients");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		err(1, "mmap");
	plain = run(&o, false, &none);
	if (shared->failed)
		errx(1, "a handshake failed with the key in the process");
	ours = run(&o, true, &in_signer);
	if (shared->failed)
		errx(1, "a handshake failed with the signer");
	printf("{\"version\":\"%s\",\"clients\":%zu,\"in_process_ns\":%.0f,\"ours_ns\":%.0f,\"signer_ns\":%.0f,\"ratio\":%.3f}\n",
	    argv[3], o.clients, plain, ours, in_signer, ours / plain);
	return 0;
}
