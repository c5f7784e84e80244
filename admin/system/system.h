#ifndef SYSTEM_SYSTEM_H
#define SYSTEM_SYSTEM_H
/*
 * The system process: it answers what is asked about the server, over HTTP by
 * monitor and in the system account itself, and says there what happens. It
 * is a participant of the fabric like a worker, and only reads what others show.
 */
#include <sys/queue.h>
#include "admin/system/object.h"
#include "admin/system/reports.h"
#include "broker/participant.h"
#include "common/child.h"

struct request;
TAILQ_HEAD(request_list, request);
struct answer;
TAILQ_HEAD(answer_list, answer);

/* ---- bus.c: being a participant */

struct bus {
	struct participant	 part;
	ev_prepare		 turn_end;
	ev_check		 turn_begin;
	ev_idle			 busy;
	ev_timer		 again;
	bool			 more;		/* lanes have more to drain */
	bool			 unblocked;	/* a full lane has space */
	uint32_t		 now;		/* our subscription to EVENTS_NOW; 0: there is none */
};

/* ---- inbox.c: what is asked in the system account */

#define ASKERS		64u		/* queues, one for those whose names have one hash */
#define REQUESTS_BYTES	(4u << 20)	/* what requests that wait may take, all together */
#define REQUEST_COST	4096u		/* ... each with so much more */
#define ANSWERS_BYTES	(16u << 20)	/* the same of answers, for whom a lane is full */
#define RELOADS_MOST	16u		/* that wait for the end of a reload */

struct inbox {
	struct asker { struct request_list waiting; uint32_t bytes; } askers[ASKERS];
	unsigned		 turn;		/* whose request was answered last */
	uint32_t		 bytes;
	struct answer_list	 answers;
	size_t			 held;		/* bytes of these */
	char			*reloads[RELOADS_MOST];	/* whom to tell of it */
	unsigned		 nreloads;
};

/* ---- events.c: what happens */

#define STATSZ_PERIOD	10.0	/* seconds */
#define CONNS_PERIOD	3	/* of these, between two CONNS of an account that does not change */

struct events {
	char		*noted;		/* what workers said in this turn: struct note and body, one after the other */
	size_t		 noted_len, noted_room;
	ev_timer	 statsz;
	ev_timer	 counting;	/* while it runs accounts that changed are not counted yet */
	unsigned	 ticks;
	uint32_t	*changed;	/* accounts whose number of clients did */
	uint32_t	 nchanged, room;
	uint8_t		 is_changed[DIRECTORY_ACCOUNTS / 8];	/* the same, a bit for each */
};

/* ---- control.c: what bulkheadctl asks */

#define CONTROL_MOST	64u	/* connections; who comes then takes the oldest one's place ... */
#define CONTROL_EACH	8u	/* ... and so does the ninth of one user among that user's */
#define CONTROL_PATIENCE 10.0	/* seconds in which it has to ask, and to read the answer */
#define CONTROL_REST	0.05	/* seconds between its answers, at least */

struct control_client;
TAILQ_HEAD(control_clients, control_client);

struct control { struct control_clients clients; unsigned count; };	/* the oldest first */

struct system {
	struct child	 child;
	struct channel	 monitor;	/* fd -1: there is none */
	struct reporter	 reporter;
	struct accounts	*accounts, *next_accounts;
	struct secure	 next_secure;
	struct bus	 bus;
	struct inbox	 inbox;
	struct events	 events;
	struct control	 control;
	ev_timer	 memory;	/* runs for a moment after a large answer */
	uint64_t	 sequence;	/* of what we say */
};

/* Before the sandbox. 0 or -errno. */
int bus_init(struct system *s);
void bus_free(struct system *s);
/* Does the server speak in a system account, and are we part of the fabric? */
bool bus_speaks(const struct system *s);
/* Is anybody there interested? */
bool bus_wanted(struct system *s, uint32_t account, const char *subject);
/* What is published there in the system account is for inbox_add(). */
void bus_subscribe_requests(struct system *s, struct bytes subject);
/* Workers are to tell all events at once, or only those that somebody subscribed to. Not from within the broker. */
void bus_hear_at_once(struct system *s, bool on);
/* -EAGAIN: a lane is full, nothing was done. 0 otherwise. */
int bus_publish(struct system *s, uint32_t account, const char *subject, struct bytes body);

void inbox_init(struct inbox *q);
void inbox_free(struct inbox *q);
/* Subscribe to all that is answered. */
void inbox_subscribe(struct system *s);
/* A message in the system account; from within the broker. */
void inbox_add(struct system *s, const struct message *m);
/* Answer one. True: there are more that could be. */
bool inbox_work(struct system *s);
/* `reloaded`; error.len 0: it is in force. */
void inbox_reloaded(struct system *s, struct bytes error);

void events_init(struct system *s);
void events_free(struct system *s);
/* Somebody may listen from now on: accounts, workers or clients are other ones. */
void events_look(struct system *s);
/* A message of a worker about its clients; past: nobody listened when they left. From within the broker. */
void events_receive(struct system *s, struct bytes body, bool past);
/* At the end of a turn. */
void events_work(struct system *s);
/* `leaving` */
void events_leaving(struct system *s, bool lame_duck);
/* What CONNS says of an account; of itself an event. NULL: no memory. */
char *conns_text(struct system *s, const char *name, const struct tally *t);

/* memory.c: an answer of so many bytes was made */
void memory_used(struct system *s, size_t bytes);
void memory_init(struct system *s);
void memory_free(struct system *s);

/* server.c: what we are, with the next sequence number; and the same under "server" */
struct object server_object(struct system *s);
void server_put(struct object *o, struct system *s);
/* As compact JSON, freed with it; NULL: no memory. */
char *object_text(struct object *o);

void control_init(struct control *c);
/* Close all connections. */
void control_free(struct control *c);
/* A connection of that user, who may look. fd is consumed. */
void control_add(struct system *s, uint32_t uid, int fd);
#endif
