#ifndef WORKER_LAME_DUCK_H
#define WORKER_LAME_DUCK_H
/*
 * Lame duck mode: clients are told, have some time to go elsewhere, and are
 * then closed one by one, spread over the rest of lame_duck_duration.
 */
#include <stdint.h>

struct worker;

/* `tell_lame_duck` came: this client alone is told, if it is here and takes INFO. */
void client_tell_lame_duck(struct worker *w, uint64_t cid);

/* `lame_duck` came. 0. */
int lame_duck_begin(struct worker *w);

/* At the end of a turn: `drained` when the last client is gone. */
void lame_duck_look(struct worker *w);
/* Stop what lame_duck_begin() started, if anything. */
void lame_duck_free(struct worker *w);
#endif
