#include "admin/system/system.h"
#include "admin/system/times.h"
#include "nats/info.h"

struct object
server_object(struct system *s)
{
	const struct settings	*st = s->reporter.settings;
	struct object		 server = OBJECT();
	json_t			*tags = json_array();
	size_t			 i;

	put_text(&server, "name", st->server_name[0] != '\0' ? st->server_name : st->server_id);
	put_text(&server, "host", st->host);
	put_text(&server, "id", st->server_id);
	put_text(&server, "ver", NATS_VERSION);
	for (i = 0; i < st->server_tags.count; i++)
		server.failed |= json_array_append_new(tags, text_json(bytes_of(st->server_tags.items[i]))) != 0;
	if (st->server_tags.count > 0)
		put(&server, "tags", json_incref(tags));
	json_decref(tags);
	put_boolean(&server, "jetstream", false);
	put_number(&server, "flags", 0);
	put_number(&server, "seq", ++s->sequence);
	put_time(&server, "time", times_now());
	return server;
}

void
server_put(struct object *o, struct system *s)
{
	struct object	server = server_object(s);

	put_object(o, "server", &server);
}

char *
object_text(struct object *o)
{
	char	*text = o->failed ? NULL : json_dumps(o->json, JSON_COMPACT | JSON_REAL_PRECISION(12));

	json_decref(o->json);
	return text;
}
