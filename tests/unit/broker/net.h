#ifndef TESTS_BROKER_NET_H
#define TESTS_BROKER_NET_H
/*
 * Some brokers in one process, joined by real segments, and a program for each
 * that records what it was asked to do. Everything is static: each test is a
 * program of its own.
 */
#include <sys/eventfd.h>
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "broker/private.h"

#define NODES		4
#define CONNECTIONS	4096
#define UNUSED		__attribute__((unused))

struct arrival {
	unsigned	 node;
	uint32_t	 connection, slot, header;
	char		*subject, *reply, *body, *digits;
	size_t		 len;
	bool		 shared;	/* in a block */
};

struct heard { unsigned node; uint32_t connection; uint64_t cid; char subject[64], reply[64]; };
struct complaint { unsigned node, peer; bool hung; char what[96]; };

struct net;
struct node {
	struct net	*net;
	unsigned	 number;
	struct broker	*b;
	struct segment	 partition, tables;
	int		 partition_fd;
	uint64_t	 incarnation;
	int		 woken[NODES];		/* eventfds that wake this one, by who writes */
	unsigned	 unblocked;
	char		 refuses[CONNECTIONS], slow[CONNECTIONS], leaves[CONNECTIONS];
};

struct net {
	unsigned	 nodes;
	size_t		 bulk, small, max_payload;
	struct segment	 directory;
	uint8_t		 secret[INDEX_SECRET];
	uint64_t	 incarnations;
	struct node	 node[NODES];
	bool		 quiet;			/* count only */
	size_t		 count;
	struct arrival	*got;
	size_t		 ngot, room;
	struct heard	 no_responders[256], paced[256];
	size_t		 nno_responders, npaced;
	struct complaint complaints[256];
	size_t		 ncomplaints;
	struct { unsigned node; uint32_t connection, slot; } removed[256];
	size_t		 nremoved;
};

static UNUSED char *
text_of(struct bytes b)
{
	char *text = malloc(b.len + 1);

	if (text == NULL)
		abort();
	if (b.len != 0)
		memcpy(text, b.data, b.len);
	text[b.len] = '\0';
	return text;
}

static UNUSED enum delivery
net_deliver(void *program, uint32_t connection, struct subscription *sub, const struct message *m)
{
	struct node	*n = program;
	struct net	*net = n->net;
	struct arrival	*d;
	uint32_t	 slot = (uint32_t)(sub - n->b->subs);

	/* Check notes each assertion in a file: too slow for each delivery. */
	if (sub->connection != connection || sub->record == 0)
		ck_abort_msg("delivered to a subscription that is gone");
	if (connection < CONNECTIONS && n->refuses[connection])
		return DELIVERY_REFUSED;
	net->count++;
	if (!net->quiet) {
		if (net->ngot == net->room) {
			net->room = net->room == 0 ? 1024 : net->room * 2;
			net->got = realloc(net->got, net->room * sizeof(*net->got));
			if (net->got == NULL)
				abort();
		}
		d = &net->got[net->ngot++];
		*d = (struct arrival){ n->number, connection, slot, m->header, text_of(m->subject),
		    text_of(m->reply), text_of(m->body), text_of(m->size_text), m->body.len, m->block != NULL };
		if (m->block != NULL) {
			if (m->body.data < m->block->data ||
			    m->body.data + m->body.len > m->block->data + m->block->size)
				ck_abort_msg("a body outside of its block");
		}
	}
	if (connection < CONNECTIONS && n->leaves[connection] != 0) {
		broker_unsubscribe(n->b, slot);
		if (n->leaves[connection] == 2)		/* and the next */
			broker_unsubscribe(n->b, slot + 1);
	}
	return connection < CONNECTIONS && n->slow[connection] ? DELIVERED_SLOWLY : DELIVERED;
}

static UNUSED void
net_hear(struct heard *h, struct node *n, uint32_t connection, uint64_t cid)
{
	*h = (struct heard){ .node = n->number, .connection = connection, .cid = cid };
}

static UNUSED void
net_no_responders(void *program, uint32_t connection, uint64_t cid, struct bytes subject,
    struct bytes reply)
{
	struct node	*n = program;
	struct heard	*h = &n->net->no_responders[n->net->nno_responders++ % 256];

	net_hear(h, n, connection, cid);
	snprintf(h->subject, sizeof(h->subject), "%.*s", (int)subject.len, subject.data);
	snprintf(h->reply, sizeof(h->reply), "%.*s", (int)reply.len, reply.data);
}

static UNUSED void
net_pace(void *program, uint32_t connection, uint64_t cid)
{
	struct node *n = program;

	net_hear(&n->net->paced[n->net->npaced++ % 256], n, connection, cid);
}

static UNUSED void
net_unblocked(void *program)
{
	((struct node *)program)->unblocked++;
}

static UNUSED void
net_removed(void *program, uint32_t connection, uint32_t slot)
{
	struct node	*n = program;
	size_t		 i = n->net->nremoved++ % 256;

	n->net->removed[i].node = n->number;
	n->net->removed[i].connection = connection;
	n->net->removed[i].slot = slot;
}

static UNUSED void
net_complain(void *program, unsigned peer, uint64_t incarnation, bool hung, const char *what)
{
	struct node		*n = program;
	struct complaint	*c = &n->net->complaints[n->net->ncomplaints++ % 256];

	ck_assert_uint_eq(incarnation, n->b->peers[peer]->incarnation);
	*c = (struct complaint){ .node = n->number, .peer = peer, .hung = hung };
	snprintf(c->what, sizeof(c->what), "%s", what);
}

static const struct broker_calls net_calls UNUSED = {
	net_deliver, net_no_responders, net_pace, net_unblocked, net_removed, net_complain
};

/* ---- building */

static UNUSED void
segments_make(struct segment *partition, int *partition_fd, struct segment *tables)
{
	int fd = segment_create("partition", INDEX_SIZE);

	ck_assert_int_ge(fd, 0);
	*partition_fd = dup(fd);
	ck_assert_int_eq(segment_map_own(partition, fd, INDEX_SIZE), 0);
	fd = segment_create("tables", (TABLES_SIZE + 4095) & ~(size_t)4095);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(segment_map_own(tables, fd, (TABLES_SIZE + 4095) & ~(size_t)4095), 0);
}

static UNUSED void
node_start(struct net *net, unsigned i)
{
	struct node		*n = &net->node[i];
	struct broker_config	 config = { .participant = i, .secret = net->secret,
	    .calls = &net_calls, .program = n, .max_payload = net->max_payload, .watchdog = 60 };

	n->net = net;
	n->number = i;
	n->incarnation = ++net->incarnations;
	segments_make(&n->partition, &n->partition_fd, &n->tables);
	ck_assert_int_eq(broker_new(&n->b, &config, &net->directory, &n->partition, &n->tables), 0);
}

static UNUSED void
node_stop(struct net *net, unsigned i)
{
	struct node	*n = &net->node[i];
	unsigned	 j;

	broker_free(n->b);
	n->b = NULL;
	segment_unmap(&n->partition);
	segment_unmap(&n->tables);
	close(n->partition_fd);
	for (j = 0; j < net->nodes; j++)
		if (n->woken[j] != 0) {
			close(n->woken[j]);
			n->woken[j] = 0;
		}
}

static UNUSED struct segment
partition_view(struct node *n)
{
	struct segment seg;

	ck_assert_int_eq(segment_map_peer(&seg, dup(n->partition_fd), INDEX_SIZE), 0);
	return seg;
}

/* i's lane to j: the descriptor that j maps. */
static UNUSED int
lane_make(struct net *net, struct lane *lane)
{
	int fd = segment_create("lane", LANE_SIZE(net->bulk, net->small)), other;

	ck_assert_int_ge(fd, 0);
	other = dup(fd);
	ck_assert_int_eq(lane_open(lane, fd, net->bulk, net->small), 0);
	return other;
}

static UNUSED void
nodes_join(struct net *net, unsigned i, unsigned j)
{
	struct node	*a = &net->node[i], *b = &net->node[j];
	struct lane	 ab, ba;
	struct segment	 seg;
	int		 ab_fd = lane_make(net, &ab), ba_fd = lane_make(net, &ba);

	b->woken[i] = eventfd(0, EFD_NONBLOCK);
	a->woken[j] = eventfd(0, EFD_NONBLOCK);
	ck_assert_int_eq(broker_add_lane(a->b, j, b->incarnation, &ab, dup(b->woken[i])), 0);
	ck_assert_int_eq(broker_add_lane(b->b, i, a->incarnation, &ba, dup(a->woken[j])), 0);
	seg = partition_view(b);
	ck_assert_int_eq(broker_add_peer(a->b, j, b->incarnation, &seg, ba_fd), 0);
	seg = partition_view(a);
	ck_assert_int_eq(broker_add_peer(b->b, i, a->incarnation, &seg, ab_fd), 0);
}

static UNUSED struct directory *
net_directory(struct net *net)
{
	return net->directory.base;
}

static UNUSED struct net *
net_new(unsigned nodes, size_t bulk, size_t small)
{
	struct net	*net = calloc(1, sizeof(*net));
	unsigned	 i, j;

	ck_assert_ptr_nonnull(net);
	net->nodes = nodes;
	net->bulk = bulk;
	net->small = small;
	net->max_payload = 1 << 20;
	net->directory.size = DIRECTORY_SIZE;
	net->directory.base = calloc(1, DIRECTORY_SIZE);
	for (i = 1; i < 64; i++)
		net_directory(net)->participants[i] = UINT64_MAX;
	for (i = 0; i < INDEX_SECRET; i++)
		net->secret[i] = (uint8_t)(i * 37 + 11);
	for (i = 0; i < nodes; i++)
		node_start(net, i);
	for (i = 0; i < nodes; i++)
		for (j = i + 1; j < nodes; j++)
			nodes_join(net, i, j);
	return net;
}

static UNUSED void
net_clear(struct net *net)
{
	size_t i;

	for (i = 0; i < net->ngot; i++) {
		free(net->got[i].subject);
		free(net->got[i].reply);
		free(net->got[i].body);
		free(net->got[i].digits);
	}
	net->ngot = net->count = net->nno_responders = net->npaced = net->ncomplaints = net->nremoved = 0;
}

static UNUSED void
net_free(struct net *net)
{
	unsigned i;

	net_clear(net);
	for (i = 0; i < net->nodes; i++)
		if (net->node[i].b != NULL)
			node_stop(net, i);
	free(net->directory.base);
	free(net->got);
	free(net);
}

/* A node dies and a new one takes its number. */
static UNUSED void
node_replace(struct net *net, unsigned i)
{
	uint64_t	old = net->node[i].incarnation;
	unsigned	j;

	node_stop(net, i);
	for (j = 0; j < net->nodes; j++)
		if (j != i)
			broker_remove_peer(net->node[j].b, i, old);
	node_start(net, i);
	for (j = 0; j < net->nodes; j++)
		if (j != i) {
			close(net->node[j].woken[i]);
			nodes_join(net, i, j);
		}
}

/* ---- using */

static UNUSED uint32_t
sub(struct net *net, unsigned node, uint32_t connection, const char *subject, const char *queue)
{
	uint32_t slot;

	if (broker_subscribe(net->node[node].b, ACCOUNT_GLOBAL, connection, bytes_of(subject),
	    queue == NULL ? (struct bytes){ NULL, 0 } : bytes_of(queue), &slot) != 0)
		ck_abort_msg("broker_subscribe");
	return slot;
}

static UNUSED enum published
pub_message(struct net *net, unsigned node, const struct message *m, uint64_t cid)
{
	struct publish_hint hint = { 0 };

	broker_refresh(net->node[node].b);
	return broker_publish(net->node[node].b, m, cid, &hint);
}

static UNUSED enum published
pub(struct net *net, unsigned node, const char *subject, const char *body)
{
	struct message m = { .account = ACCOUNT_GLOBAL, .subject = bytes_of(subject),
	    .body = bytes_of(body), .publisher = 1000, .echo = true };

	return pub_message(net, node, &m, 77);
}

/* A request that wants to hear of no responders. */
static UNUSED enum published
request(struct net *net, unsigned node, const char *subject, const char *reply, uint64_t cid)
{
	struct message m = { .account = ACCOUNT_GLOBAL, .subject = bytes_of(subject),
	    .reply = bytes_of(reply), .body = BYTES("ask"), .publisher = 1000, .echo = true,
	    .wants_503 = true };

	return pub_message(net, node, &m, cid);
}

static UNUSED void
node_turn(struct node *n)
{
	broker_wake(n->b);
	while (broker_drain(n->b, 65536))
		broker_flush(n->b);
	broker_flush(n->b);
}

/* Was it woken? As the event loop would find out. */
static UNUSED bool
node_woken(struct node *n)
{
	uint64_t	value;
	unsigned	i;
	bool		woken = false;

	for (i = 0; i < NODES; i++)
		if (n->woken[i] > 0 && read(n->woken[i], &value, sizeof(value)) == sizeof(value))
			woken = true;
	return woken;
}

/* All work until all sleep and nobody is woken. */
static UNUSED void
net_settle(struct net *net)
{
	unsigned	i, round;
	bool		busy = true;

	for (round = 0; busy; round++) {
		if (round >= 100000)
			ck_abort_msg("no end of work");
		busy = false;
		for (i = 0; i < net->nodes; i++)
			if (net->node[i].b != NULL)
				node_turn(&net->node[i]);
		for (i = 0; i < net->nodes; i++)
			if (net->node[i].b != NULL && !broker_sleep(net->node[i].b))
				busy = true;
		for (i = 0; i < net->nodes; i++)
			if (net->node[i].b != NULL && node_woken(&net->node[i]))
				busy = true;
	}
	for (i = 0; i < net->nodes; i++)
		if (net->node[i].b != NULL)
			broker_wake(net->node[i].b);
}

static UNUSED size_t
got(const struct net *net, unsigned node, uint32_t connection)
{
	size_t i, n = 0;

	for (i = 0; i < net->ngot; i++)
		n += net->got[i].node == node && net->got[i].connection == connection;
	return n;
}

static UNUSED int
tests_run(Suite *s)
{
	SRunner	*r = srunner_create(s);
	int	 failed;

	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
#endif
