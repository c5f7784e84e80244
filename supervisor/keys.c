#include <errno.h>
#include "supervisor/keys.h"
#include "supervisor/supervisor.h"

void
keys_send(struct process *signer, const struct tls_files *f, uint64_t version)
{
	size_t i;

	for (i = 0; i < f->count; i++) {
		const struct tls_file *file = &f->items[i];
		struct msg key = { .type = MSG_signing_key, .u.signing_key = { .version = version,
		    .key = file->key, .path = bytes_of(file->path),
		    .locked = i + 1 < f->count && file[1].kind == TLS_FILE_PASSWORD } };
		struct msg password = { .type = MSG_key_password, .u.key_password = {
		    .key = file->key, .path = bytes_of(file->path) } };
		if (file->kind == TLS_FILE_KEY)
			process_send(signer, &key, &file->content);
		else if (file->kind == TLS_FILE_PASSWORD)
			process_send(signer, &password, &file->content);
	}
}

void
keys_sent(struct process *signer, uint64_t version)
{
	struct msg m = { .type = MSG_signing_keys, .u.signing_keys.version = version };

	process_send(signer, &m, NULL);
}

int
keys_receive(struct process *signer, const struct msg_keys_loaded *m)
{
	struct supervisor *s = signer->supervisor;

	if (signer->state == PROCESS_ENDING)
		return 0;
	if (signer->keyed)
		return -EBADMSG;
	if (m->refused.len > 0) {
		startup_keys_refused(signer, m->refused);
		return 0;
	}
	signer->keyed = true;
	if (!signer->stopped)
		ev_timer_stop(s->loop, &signer->patience);
	startup_keys_loaded(s);
	return 0;
}

bool
keys_awaited(struct supervisor *s)
{
	struct process *signer = process_find(&s->processes, ROLE_SIGNER, 0);

	return signer != NULL && signer->wanted && !signer->keyed;
}
