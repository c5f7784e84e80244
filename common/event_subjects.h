#ifndef COMMON_EVENT_SUBJECTS_H
#define COMMON_EVENT_SUBJECTS_H
/*
 * Where processes tell each other of clients, in ACCOUNT_SERVER, and where the
 * system account hears of them: system says it there, and a worker asks the
 * index whether anybody would hear it.
 */

/* Bodies are records `client_event`. */
#define EVENTS_SUBJECT	"event"		/* what somebody may hear now: one record */
#define EVENTS_PAST	"event.past"	/* those that left while nobody listened: many records */
/* Nothing is said here: system subscribes to it while somebody of the system account may be connected. */
#define EVENTS_NOW	"event.now"

/* An account's, in ACCOUNT_SYSTEM: its name is between the two parts. */
#define OF_ACCOUNT	"$SYS.ACCOUNT."
#define OF_ACCOUNT_OLD	"$SYS.SERVER.ACCOUNT."
#define CONNECT_EVENT	".CONNECT"
#define DISCONNECT_EVENT ".DISCONNECT"
#define CONNS_EVENT	".SERVER.CONNS"
#define CONNS_EVENT_OLD	".CONNS"	/* behind OF_ACCOUNT_OLD */

/* Of who was not let in: the server's id is between the two parts; and in the account that it would be in. */
#define OF_SERVER	"$SYS.SERVER."
#define AUTH_ERROR_EVENT ".CLIENT.AUTH.ERR"
#define AUTH_ERROR_OWN	"$SYS.ACCOUNT.CLIENT.AUTH.ERR"
#endif
