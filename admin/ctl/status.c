#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "admin/ctl/client.h"
#include "admin/ctl/ctl.h"
#include "admin/ctl/status.h"
#include "nats/utf8.h"

#define PROCESSES_MOST	1024	/* more than a server can have */

/* ---- what the server says, as JSON */

/* value is consumed; NULL is a failure, as no memory is. */
static void
put(struct status *s, json_t *object, const char *key, json_t *value)
{
	s->failed |= json_object_set_new(object, key, value) != 0;
}

static json_t *
text(struct bytes b)
{
	char *repaired = malloc(b.len * UTF8_GROWTH + 1);
	json_t *json = NULL;

	if (repaired != NULL)
		json = json_stringn(repaired, utf8_repair(repaired, b));
	free(repaired);
	return json;
}

static json_t *
number(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

/* Whole seconds since then; 0 if that is to come. */
static json_t *
seconds_since(const struct status *s, uint64_t started)
{
	return number(started != 0 && s->now > started ? (s->now - started) / 1000000 : 0);
}

/* The words of b. */
static json_t *
words(struct bytes b)
{
	json_t *list = json_array();
	const char *blank;
	size_t n;

	for (; b.len > 0; b.data += n, b.len -= n) {
		blank = memchr(b.data, ' ', b.len);
		n = blank == NULL ? b.len : (size_t)(blank - b.data);
		if (n > 0 && json_array_append_new(list, text((struct bytes){ b.data, n })) != 0) {
			json_decref(list);
			return NULL;
		}
		n += blank != NULL;
	}
	return list;
}

static void
server_add(struct status *s, const struct msg_status_server *m)
{
	json_t *server = json_object();

	put(s, server, "id", text(m->id));
	put(s, server, "name", text(m->name));
	put(s, server, "version", text(m->version));
	put(s, server, "nats_version", text(m->protocol));
	put(s, server, "uptime_seconds", seconds_since(s, m->started));
	put(s, server, "connections", number(m->connections));
	put(s, server, "config_digest", text(m->digest));
	put(s, s->json, "server", server);
	put(s, s->json, "processes", json_array());
}

static void
process_add(struct status *s, const struct msg_status_process *m)
{
	json_t *process = json_object();

	put(s, process, "program", text(m->program));
	put(s, process, "slot", number(m->slot));
	put(s, process, "state", text(m->state));
	put(s, process, "pid", number(m->pid));
	put(s, process, "uptime_seconds", seconds_since(s, m->started));
	put(s, process, "restarts", number(m->restarts));
	put(s, process, "cpu_seconds", json_real((double)m->cpu / 1e6));
	put(s, process, "memory_bytes", number(m->memory));
	put(s, process, "layers", words(m->layers));
	put(s, process, "missing", words(m->missing));
	s->failed |= json_array_append_new(json_object_get(s->json, "processes"), process) != 0;
}

int
status_receive(void *arg, const struct msg *m)
{
	struct status *s = arg;
	bool has_server = json_object_get(s->json, "processes") != NULL;

	if (m->type == MSG_status_server && !has_server)
		server_add(s, &m->u.status_server);
	else if (m->type == MSG_status_process && has_server && s->count++ < PROCESSES_MOST)
		process_add(s, &m->u.status_process);
	else if (m->type == MSG_status_end && has_server)
		return 1;
	else
		return -EBADMSG;
	return 0;
}

void
status_init(struct status *s, uint64_t now)
{
	*s = (struct status){ .json = json_object(), .now = now };
}

void
status_free(struct status *s)
{
	json_decref(s->json);
}

/* ---- for people */

static const char *
string_of(const json_t *object, const char *key, char out[512])
{
	const char *value = json_string_value(json_object_get(object, key));

	return ctl_printable(out, 512, bytes_of(value == NULL ? "" : value));
}

static uint64_t
number_of(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

/* "2d3h", "3h4m", "4m5s": the two largest units. */
static const char *
duration(char out[32], uint64_t seconds)
{
	static const struct { unsigned long long seconds; char unit; } units[] = {
		{ 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' },
	};
	size_t i;

	for (i = 0; i < 3; i++)
		if (seconds >= units[i].seconds) {
			snprintf(out, 32, "%llu%c%llu%c", seconds / units[i].seconds, units[i].unit,
			    seconds % units[i].seconds / units[i + 1].seconds, units[i + 1].unit);
			return out;
		}
	snprintf(out, 32, "%llus", (unsigned long long)seconds);
	return out;
}

static void
words_print(FILE *out, const char *before, const json_t *list)
{
	char word[512];
	json_t *item;
	size_t i;

	fprintf(out, "%s", before);
	json_array_foreach(list, i, item)
		fprintf(out, " %s", ctl_printable(word, sizeof(word), bytes_of(json_string_value(item))));
}

/* Whichever is shorter to say: what is there, or what is not. */
static void
sandbox_print(FILE *out, const json_t *process)
{
	const json_t *layers = json_object_get(process, "layers"), *missing = json_object_get(process, "missing");
	size_t has = json_array_size(layers), lacks = json_array_size(missing);

	if (has + lacks == 0)
		fprintf(out, "-");
	else if (lacks == 0)
		fprintf(out, "all %zu layers", has);
	else if (has == 0)
		fprintf(out, "none");
	else if (has > lacks)
		words_print(out, "all but", missing);
	else
		words_print(out, "only", layers);
}

static void
process_print(FILE *out, const json_t *process)
{
	char name[600], program[512], state[512], pid[32] = "-", up[32];

	snprintf(name, sizeof(name), "%s %llu", string_of(process, "program", program),
	    (unsigned long long)number_of(process, "slot"));
	if (number_of(process, "pid") != 0)
		snprintf(pid, sizeof(pid), "%llu", (unsigned long long)number_of(process, "pid"));
	fprintf(out, "%-12s %8s %8s %8llu %9.2fs %8.1fM  %-10s ", name, pid,
	    duration(up, number_of(process, "uptime_seconds")),
	    (unsigned long long)number_of(process, "restarts"),
	    json_real_value(json_object_get(process, "cpu_seconds")),
	    (double)number_of(process, "memory_bytes") / 1048576, string_of(process, "state", state));
	sandbox_print(out, process);
	fputc('\n', out);
}

void
status_print(const struct status *s, FILE *out)
{
	const json_t *server = json_object_get(s->json, "server");
	char name[512], version[512], protocol[512], digest[512], up[32];
	json_t *process;
	size_t i;

	fprintf(out, "%s: bulkhead %s (nats-server %s), up %s, %llu connections\n",
	    string_of(server, "name", name), string_of(server, "version", version),
	    string_of(server, "nats_version", protocol),
	    duration(up, number_of(server, "uptime_seconds")),
	    (unsigned long long)number_of(server, "connections"));
	if (*string_of(server, "config_digest", digest) != '\0')
		fprintf(out, "configuration %s\n", digest);
	fprintf(out, "\n%-12s %8s %8s %8s %10s %9s  %-10s %s\n", "PROCESS", "PID", "UP", "RESTARTS",
	    "CPU", "MEMORY", "STATE", "SANDBOX");
	json_array_foreach(json_object_get(s->json, "processes"), i, process)
		process_print(out, process);
}

/* ---- the command */

static int
status_run(const char *socket, bool json)
{
	struct timespec now;
	struct status s;
	int status;

	clock_gettime(CLOCK_REALTIME, &now);
	status_init(&s, (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
	status = client_ask(socket, "status", status_receive, &s);
	if (status == EXIT_SUCCESS && s.failed)
		status = ctl_fail("no memory");
	if (status == EXIT_SUCCESS && json) {
		json_dumpf(s.json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
		putchar('\n');
	} else if (status == EXIT_SUCCESS) {
		status_print(&s, stdout);
	}
	status_free(&s);
	return status == EXIT_SUCCESS ? ctl_finish(status) : status;
}

int
status_command(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' }, { "socket", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	const char *socket = getenv("BULKHEAD_SOCKET");
	bool json = false;
	int c;

	while ((c = getopt_long(argc, argv, "+s:", options, NULL)) != -1) {
		json = json || c == 'j';
		if (c == 's')
			socket = optarg;
		if (c == '?')
			return ctl_misused("wrong option of status");
	}
	if (optind < argc)
		return ctl_misused("status takes no argument: --socket names a server's control socket");
	return status_run(socket, json);
}
