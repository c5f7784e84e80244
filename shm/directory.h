#ifndef SHM_DIRECTORY_H
#define SHM_DIRECTORY_H
/*
 * The one segment that the supervisor writes: who may speak for which account,
 * and what it knows of the server. Everybody maps it read-only and may believe it.
 */
#include <stdatomic.h>
#include <stdint.h>
#include "common/account.h"
#include "common/messages.h"

#define PARTICIPANTS		64		/* one bit each */
#define DIRECTORY_ACCOUNTS	(ACCOUNT_MOST + 1)
#define PARTICIPANT_SYSTEM	60		/* workers have their slot's number, below it */

/* Counters that a dead process leaves behind, added up by the supervisor. */
struct departed {
	_Atomic uint64_t in_msgs, in_bytes, out_msgs, out_bytes, slow_consumers, stale_connections, stalled;
	_Atomic uint64_t over_limit[LIMITS];
};

struct directory {
	_Atomic uint64_t	started;		/* microseconds since 1970 */
	_Atomic uint64_t	total_connections;	/* accepted since then */
	_Atomic uint64_t	refused_connections;
	_Atomic uint64_t	connections;		/* now */
	_Atomic uint64_t	replaced;		/* children that died and were replaced */
	_Atomic uint64_t	lame_duck;		/* 1: leaving */
	struct departed		departed;
	_Alignas(64) _Atomic uint64_t participants[DIRECTORY_ACCOUNTS];	/* bit p: participant p may serve the account */
};
#define DIRECTORY_SIZE	(((sizeof(struct directory) + 4095) / 4096) * 4096)
#endif
