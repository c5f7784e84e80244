#include <string.h>
#include "admin/system/object.h"
#include "admin/system/reports.h"
#include "admin/system/times.h"
#include "common/sandbox.h"
#include "nats/info.h"

static void
put_nanoseconds(struct object *o, const char *key, double seconds)
{
	put_number(o, key, (uint64_t)(seconds * 1e9 + 0.5));
}

static void
identity(struct object *o, const struct settings *s)
{
	put_text(o, "server_id", s->server_id);
	put_text(o, "server_name", s->server_name[0] != '\0' ? s->server_name : s->server_id);
	put_text(o, "version", NATS_VERSION);
	put_number(o, "proto", 1);
	put_text(o, "go", "");		/* written in C */
	put_text(o, "host", s->host);
	put_number(o, "port", s->port);
	if (s->auth_required)
		put_boolean(o, "auth_required", true);
}

static void
secure(struct object *o, const struct reporter *r)
{
	if (!r->secure.clients)
		return;
	if (!r->settings->allow_non_tls)
		put_boolean(o, "tls_required", true);
	if (r->secure.verify)
		put_boolean(o, "tls_verify", true);
}

static void
limits(struct object *o, const struct reporter *r)
{
	const struct settings	*s = r->settings;

	put(o, "max_connections", json_integer(s->max_connections == 0 ? -1 :
	    (json_int_t)s->max_connections));
	if (s->max_subscriptions != 0)
		put_number(o, "max_subscriptions", s->max_subscriptions);
	put_nanoseconds(o, "ping_interval", s->ping_interval);
	put_number(o, "ping_max", s->ping_max);
	put_text(o, "http_host", s->http_host[0] != '\0' ? s->http_host : s->host);
	put_number(o, "http_port", s->http_port);
	put_text(o, "http_base_path", "");
	put_number(o, "https_port", 0);
	put_real(o, "auth_timeout", s->auth_timeout);
	put_number(o, "max_control_line", s->max_control_line);
	put_number(o, "max_payload", s->max_payload);
	put_number(o, "max_pending", s->max_pending);
	put(o, "cluster", json_object());
	put(o, "gateway", json_object());
	put(o, "leaf", json_object());
	put(o, "mqtt", json_object());
	put(o, "websocket", json_object());
	put(o, "jetstream", json_object());
	put_real(o, "tls_timeout", r->secure.timeout);
	put_nanoseconds(o, "write_deadline", s->write_deadline);
	if (strcmp(s->write_timeout, "default") != 0)
		put_text(o, "write_timeout", s->write_timeout);
}

/* Left out where there are none, as by the 2.x server. */
static void
tags(struct object *o, const struct settings *s)
{
	json_t	*list = json_array(), *tag;
	size_t	 i;

	for (i = 0; i < s->server_tags.count; i++) {
		tag = text_json(bytes_of(s->server_tags.items[i]));
		if (json_array_append_new(list, tag) != 0)
			o->failed = true;
	}
	if (s->server_tags.count > 0)
		put(o, "tags", list);
	else
		json_decref(list);
}

static void
times(struct object *o, struct reporter *r, const struct totals *t)
{
	uint64_t	now = times_now();
	char		text[TIMES_TEXT];

	put_text(o, "start", times_stamp(text, t->started));
	put_text(o, "now", times_stamp(text, now));
	put_text(o, "uptime", times_uptime(text, now > t->started ? (now - t->started) / 1000000 : 0));
	put_number(o, "mem", usage_memory(&r->usage));
	put_number(o, "cores", (uint64_t)r->processors);
	put_number(o, "gomaxprocs", r->view.live);	/* workers: what runs at the same time */
	put_real(o, "cpu", usage_percent(&r->usage));
}

static void
counters(struct object *o, const struct totals *t)
{
	put_number(o, "connections", t->connections);
	put_number(o, "total_connections", t->total_connections);
	put_number(o, "routes", 0);
	put_number(o, "remotes", 0);
	put_number(o, "leafnodes", 0);
	put_number(o, "in_msgs", t->in_msgs);
	put_number(o, "in_bytes", t->in_bytes);
	put_number(o, "in_client_msgs", t->in_msgs);
	put_number(o, "in_client_bytes", t->in_bytes);
	put_number(o, "out_msgs", t->out_msgs);
	put_number(o, "out_bytes", t->out_bytes);
	put_number(o, "out_client_msgs", t->out_msgs);
	put_number(o, "out_client_bytes", t->out_bytes);
	put_number(o, "slow_consumers", t->slow_consumers);
	put_number(o, "stale_connections", t->stale_connections);
	put_number(o, "stalled_clients", t->stalled);
	put_number(o, "subscriptions", t->subscriptions);
}

static void
requests(struct object *o, const struct reporter *r)
{
	struct object	stats = OBJECT();
	unsigned	i;

	for (i = 0; i < REPORTS; i++)
		if (r->asked[i] > 0)
			put_number(&stats, reports_path(i), r->asked[i]);
	put_object(o, "http_req_stats", &stats);
}

/* How many of what kind of connection; there are clients only. */
static void
by_kind(struct object *o, const char *key, uint64_t clients)
{
	struct object	stats = OBJECT();

	put_number(&stats, "clients", clients);
	put_number(&stats, "routes", 0);
	put_number(&stats, "gateways", 0);
	put_number(&stats, "leafs", 0);
	put_object(o, key, &stats);
}

/* How often a limit of an account or a user was reached: those that workers look after. */
static void
over_limit(struct object *o, const struct totals *t)
{
	static const struct { enum limit limit; const char *key; } counted[] = {
		{ LIMIT_SUBSCRIPTIONS, "max_subscriptions" }, { LIMIT_PAYLOAD, "max_payload" },
		{ LIMIT_MESSAGES, "max_messages_per_second" }, { LIMIT_BYTES, "max_bytes_per_second" },
		{ LIMIT_PENDING, "max_pending" }, { LIMIT_MEMORY, "max_memory" },
	};
	struct object	limits = OBJECT();

	for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++)
		put_number_any(&limits, counted[i].key, t->over_limit[counted[i].limit]);
	put_object(o, "over_limit", &limits);
}

static void
put_layers(struct object *o, const char *key, uint32_t bits)
{
	json_t	*list = json_array();
	size_t	 i;

	for (i = 0; i < SANDBOX_LAYERS; i++)
		if ((bits >> i & 1) != 0 && json_array_append_new(list,
		    json_string(sandbox_layer_name((enum sandbox_layer)i))) != 0)
			o->failed = true;
	put(o, key, list);
}

/* Without what it uses: that is in the status, and of all together above. */
static void
processes(struct object *o, const struct usage *u)
{
	json_t	*list = json_array();
	size_t	 i;

	for (i = 0; i < u->count; i++) {
		const struct msg_process	*f = &u->processes[i].facts;
		struct object			 p = OBJECT();

		put_text(&p, "program", role_name((enum role)f->role));
		put_number(&p, "slot", f->slot);
		put_number(&p, "pid", f->pid);
		put_number(&p, "restarts", f->restarts);
		put_layers(&p, "layers", (uint32_t)f->layers);
		put_last(o, list, &p);
	}
	put(o, "processes", list);
}

static void
our_own(struct object *o, const struct reporter *r, const struct totals *t)
{
	struct object	own = OBJECT();

	put_text(&own, "version", BULKHEAD_VERSION);
	put_number(&own, "workers", r->view.live);
	put_number(&own, "replaced", t->replaced);
	over_limit(&own, t);
	processes(&own, &r->usage);
	put_object(o, "bulkhead", &own);
}

json_t *
varz_make(struct reporter *r, const json_t *options, struct refused *refused)
{
	struct object	 o;
	struct totals	 t;
	char		 start[TIMES_TEXT];

	if (r->view.directory.base == NULL)
		return report_refuse(refused, 503, "the server is starting\n");
	o = OBJECT();
	view_totals(&r->view, &t);
	identity(&o, r->settings);
	secure(&o, r);
	limits(&o, r);
	times(&o, r, &t);
	counters(&o, &t);
	requests(&o, r);
	put_text(&o, "config_load_time", times_stamp(start, r->settings->config_load_time != 0 ?
	    r->settings->config_load_time : t.started));
	put_text(&o, "config_digest", r->settings->config_digest);
	tags(&o, r->settings);
	if (r->settings->system_account[0] != '\0')
		put_text(&o, "system_account", r->settings->system_account);
	by_kind(&o, "slow_consumer_stats", t.slow_consumers);
	by_kind(&o, "stale_connection_stats", t.stale_connections);
	if (r->secure.clients)
		put_text(&o, "tls_cert_not_after", times_stamp(start, r->secure.not_after));
	our_own(&o, r, &t);
	return object_json(&o);
}
