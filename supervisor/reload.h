#ifndef SUPERVISOR_RELOAD_H
#define SUPERVISOR_RELOAD_H
/*
 * Other settings while the server runs (SIGHUP), for all processes or none:
 *
 *   IDLE
 *   CONFIGURING  the config process reads the file; not if only files of TLS have changed
 *   PREPARING    what the new settings need is open; every child that is ready
 *                was sent `prepare` and says whether it can
 *   COMMITTING   they are in force: every child that is ready was sent
 *                `commit` and says when it has followed
 *
 * docs/architecture.md, "How a reload goes".
 */
#include <ev.h>
#include "common/messages.h"
#include "common/settings.h"
#include "supervisor/documents.h"
#include "supervisor/listener.h"
#include "supervisor/tls.h"

struct supervisor;
struct process;

enum reload_state { RELOAD_IDLE, RELOAD_CONFIGURING, RELOAD_PREPARING, RELOAD_COMMITTING };

#define RELOAD_PATIENCE	5.0	/* seconds for an answer, or watchdog if that is less */

/*
 * Until the switch point the members are those that are to come; from it until
 * all have followed, those that were.
 */
struct reload {
	enum reload_state	 state;
	bool			 again;		/* was asked for meanwhile */
	bool			 files;		/* only files of certificates and keys have changed */
	unsigned		 asked;		/* `reload` of system, to be answered by this one's end ... */
	unsigned		 asked_again;	/* ... and by that of the next */
	char			 error[4097];	/* what system is told was wrong */
	uint64_t		 version, next;	/* in force; the last that was prepared */
	struct settings		 in_force;	/* as the file and the flags said it */
	struct settings		 configured;	/* the same for the other settings */
	struct settings		 settings;	/* with real ports and names */
	struct listeners	 listeners;
	struct documents	 documents;
	struct tls_files	 tls;		/* what its TLS document is made from */
	char			 digest[81];
	ev_timer		 patience;
	ev_tstamp		 began;
};

void reload_init(struct supervisor *s);
void reload_free(struct supervisor *s);

/* At start: what the file and the flags say, as a document (kept open). 0 or -errno. */
int reload_started(struct supervisor *s, int document);

/* What is only known when the listeners are bound, into *st: names, ports, the digest. 0 or -errno. */
int reload_complete(const struct supervisor *s, const struct listeners *all, const char *digest,
    struct settings *st);

/* SIGHUP. While the server starts or another reload is under way it is remembered. */
void reload_request(struct supervisor *s);

/*
 * Files of certificates or keys have changed: the same for them alone, with the settings in
 * force and no config process. Not while another reload is under way, which reads them too.
 */
void reload_files(struct supervisor *s);

/* As reload_request(), asked by system, which is told how it ends. */
void reload_request_of(struct process *system);

/* The server has begun to serve: what was remembered. */
void reload_serving(struct supervisor *s);

/* The server goes: no reload any more, and none that is under way. */
void reload_stop(struct supervisor *s);

/* It was started just now, with s->documents; it is ready: does it know the settings in force? */
void reload_process_started(struct process *p);
void reload_process_ready(struct process *p);

/* It has ended: who waits for it waits no more. */
void reload_process_gone(struct process *p);

/* prepared and committed. 0; -EBADMSG: it cannot have meant that. */
int reload_receive(struct process *p, const struct msg *m);

#endif
