#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "supervisor/options.h"

enum option_kind {
	OPTION_SWITCH,	/* boolean settings, separated by a comma */
	OPTION_TEXT,	/* a text setting */
	OPTION_PORT,	/* a port: -1 any free one, 0 as if it were not given */
	OPTION_HTTP,	/* the same; 0 or more also turns http on */
	OPTION_CONFIG, OPTION_SIGNAL, OPTION_TEST, OPTION_VERSION, OPTION_HELP,
	OPTION_LATER,	/* known to other servers of the line, not to this version */
};

/* names: separated by commas. setting: name(s) in settings.def. */
static const struct option {
	const char		*names;
	enum option_kind	 kind;
	const char		*setting, *value, *help;
} options_table[] = {
	{ "a,addr,net", OPTION_TEXT, "host", "host", "address to listen on (default: 0.0.0.0)" },
	{ "p,port", OPTION_PORT, "port", "port", "port for clients (default: 4222; -1: a free one)" },
	{ "n,name,server_name", OPTION_TEXT, "server_name", "name", "name of this server (default: its id)" },
	{ "m,http_port", OPTION_HTTP, "http_port", "port", "port for HTTP monitoring (-1: a free one)" },
	{ "c,config", OPTION_CONFIG, NULL, "file", "configuration file" },
	{ "t", OPTION_TEST, NULL, NULL, "test the configuration and exit" },
	{ "P,pid", OPTION_TEXT, "pid_file", "file", "write the process id to this file" },
	{ "ports_file_dir", OPTION_TEXT, "ports_file_dir", "folder", "write the ports to <program>_<pid>.ports there" },
	{ "sl,signal", OPTION_SIGNAL, NULL, "signal[=pid]", "tell a running server: ldm, stop, quit, term, reopen, reload; pid: a number or a pid file" },
	{ "l,log", OPTION_TEXT, "log_file", "file", "log to this file instead of standard error" },
	{ "T,logtime", OPTION_SWITCH, "logtime", NULL, "time stamps in the log (default: true)" },
	{ "D,debug", OPTION_SWITCH, "debug", NULL, "log what helps to find a fault" },
	{ "V,trace", OPTION_SWITCH, "trace", NULL, "log every protocol line" },
	{ "DV", OPTION_SWITCH, "debug,trace", NULL, "both" },
	{ "v,version", OPTION_VERSION, NULL, NULL, "show the version" },
	{ "h,help", OPTION_HELP, NULL, NULL, "show this" },
	{ "ms,https_port,client_advertise,logtime_utc,s,syslog,r,remote_syslog,VV,DVV,"
	  "log_size_limit,max_traced_msg_len,js,jetstream,sd,store_dir,user,pass,auth,"
	  "tls,tlscert,tlskey,tlsverify,tlscacert,routes,cluster,cluster_listen,"
	  "cluster_name,no_advertise,cluster_advertise,connect_retries,profile,help_tls",
	  OPTION_LATER, NULL, NULL, NULL },
};
#define OPTIONS	(sizeof(options_table) / sizeof(options_table[0]))

/* Is `name` one of the comma-separated names? */
static bool
option_named(const char *names, struct bytes name)
{
	size_t len;

	for (;; names += len + 1) {
		len = strcspn(names, ",");
		if (bytes_equal((struct bytes){ names, len }, name))
			return true;
		if (names[len] == '\0')
			return false;
	}
}

static const struct option *
option_find(struct bytes name)
{
	size_t i;

	for (i = 0; i < OPTIONS; i++)
		if (option_named(options_table[i].names, name))
			return &options_table[i];
	return NULL;
}

static bool
option_takes_value(const struct option *opt)
{
	return opt->value != NULL;
}

/* As Go's strconv.ParseBool. 0 or -EINVAL. */
static int
boolean_parse(const char *text, bool *value)
{
	static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True" };
	static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False" };
	size_t i;

	for (i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		*value = strcmp(text, yes[i]) == 0;
		if (*value || strcmp(text, no[i]) == 0)
			return 0;
	}
	return -EINVAL;
}

static int
port_parse(const char *text, long *port)
{
	char *end;

	errno = 0;
	*port = strtol(text, &end, 0);
	return errno != 0 || end == text || *end != '\0' || *port < -1 || *port > 65535 ?
	    -EINVAL : 0;
}

static int
option_switch(struct options *o, const char *names, bool value)
{
	size_t len;
	int rc;

	for (;; names += len + 1) {
		len = strcspn(names, ",");
		rc = setting_set_boolean(&o->flags,
		    setting_find((struct bytes){ names, len }), value);
		if (rc != 0 || names[len] == '\0')
			return rc;
	}
}

static int
option_port(struct options *o, const struct option *opt, const char *value)
{
	long port;
	int rc;

	rc = port_parse(value, &port);
	if (rc != 0)
		return rc;
	if (opt->kind == OPTION_HTTP) {
		rc = option_switch(o, "http", port != 0);
		if (rc != 0)
			return rc;
	}
	if (port == 0)
		return 0;
	return setting_set_integer(&o->flags, setting_find(bytes_of(opt->setting)),
	    port == -1 ? 0 : (uint64_t)port);
}

/* value: NULL for a switch that was given without. */
static int
option_apply(struct options *o, const struct option *opt, const char *value)
{
	bool on = true;

	if (!option_takes_value(opt) && opt->kind != OPTION_LATER && value != NULL &&
	    boolean_parse(value, &on) != 0)
		return -EINVAL;
	switch (opt->kind) {
	case OPTION_SWITCH:
		return option_switch(o, opt->setting, on);
	case OPTION_TEXT:
		return setting_set_text(&o->flags, setting_find(bytes_of(opt->setting)),
		    bytes_of(value));
	case OPTION_PORT:
	case OPTION_HTTP:
		return option_port(o, opt, value);
	case OPTION_CONFIG:
		o->config = value;
		return 0;
	case OPTION_SIGNAL:
		o->signal = value;
		return 0;
	case OPTION_TEST:
		if (on && o->action == ACTION_RUN)
			o->action = ACTION_TEST;
		return 0;
	case OPTION_VERSION:
	case OPTION_HELP:
		if (on)
			o->action = opt->kind == OPTION_HELP ? ACTION_HELP : ACTION_VERSION;
		return 0;
	case OPTION_LATER:
		break;
	}
	return -ENOTSUP;
}

static int
option_fail(int rc, const struct option *opt, struct bytes name, const char *value,
    char *error, size_t size)
{
	if (rc == -ENOMEM)
		return rc;
	if (rc == -ENOTSUP)
		snprintf(error, size, "flag -%.*s is not supported by this version",
		    (int)name.len, name.data);
	else
		snprintf(error, size, "invalid %svalue \"%s\" for flag -%.*s: %s",
		    option_takes_value(opt) ? "" : "boolean ", value == NULL ? "" : value,
		    (int)name.len, name.data, rc == -ERANGE ? "out of range" : "parse error");
	return -EINVAL;
}

/* One flag at argv[*i]; *i is moved on to its value. */
static int
options_flag(struct options *o, char **argv, int *i, char *error, size_t size, bool *usage)
{
	const char *text = argv[*i] + (argv[*i][1] == '-' ? 2 : 1), *value = NULL;
	struct bytes name = { text, strcspn(text, "=") };
	const struct option *opt;
	int rc;

	*usage = true;
	if (name.len == 0 || *text == '-') {
		snprintf(error, size, "bad flag syntax: %s", argv[*i]);
		return -EINVAL;
	}
	opt = option_find(name);
	if (opt == NULL) {
		snprintf(error, size, "flag provided but not defined: -%.*s",
		    (int)name.len, name.data);
		return -EINVAL;
	}
	if (text[name.len] == '=')
		value = text + name.len + 1;
	else if (option_takes_value(opt) && argv[*i + 1] != NULL)
		value = argv[++*i];
	if (option_takes_value(opt) && value == NULL) {
		snprintf(error, size, "flag needs an argument: -%.*s",
		    (int)name.len, name.data);
		return -EINVAL;
	}
	rc = option_apply(o, opt, value);
	if (rc != 0)
		return option_fail(rc, opt, name, value, error, size);
	*usage = false;
	return 0;
}

/* What follows the flags: `version`, `help`, or nothing. */
static int
options_rest(struct options *o, char **rest, char *error, size_t size)
{
	if (*rest == NULL)
		return 0;
	if (strcasecmp(*rest, "version") == 0) {
		o->action = ACTION_VERSION;
	} else if (strcasecmp(*rest, "help") == 0) {
		o->action = ACTION_HELP;
	} else {
		snprintf(error, size, "unrecognized command: \"%s\"", *rest);
		return -EINVAL;
	}
	return 0;
}

int
options_parse(struct options *o, int argc, char **argv, char *error, size_t size, bool *usage)
{
	int i, rc;

	*o = (struct options){ .action = ACTION_RUN };
	*usage = false;
	*error = '\0';
	rc = settings_init(&o->flags);
	if (rc != 0)
		return rc;
	for (i = 1; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		rc = options_flag(o, argv, &i, error, size, usage);
		if (rc != 0)
			goto fail;
	}
	rc = options_rest(o, argv + i, error, size);
	if (rc != 0)
		goto fail;
	if (o->action == ACTION_TEST && o->config == NULL) {
		strlcpy(error, "must specify [-c, --config] option to check configuration file syntax", size);
		rc = -EINVAL;
		goto fail;
	}
	if (o->signal != NULL && (o->action == ACTION_RUN || o->action == ACTION_TEST))
		o->action = ACTION_SIGNAL;
	return 0;
 fail:
	settings_free(&o->flags);
	return rc;
}

void
options_free(struct options *o)
{
	settings_free(&o->flags);
}

void
options_usage(FILE *to)
{
	const struct option *opt;
	const char *name;
	char left[96];
	size_t i, len, at;

	fprintf(to, "\nUsage: %s [options]\n\n", getprogname());
	for (i = 0; i < OPTIONS; i++) {
		opt = &options_table[i];
		if (opt->kind == OPTION_LATER)
			continue;
		for (at = 0, name = opt->names;; name += len + 1) {
			len = strcspn(name, ",");
			at += (size_t)snprintf(left + at, sizeof(left) - at, "%s%s%.*s",
			    at == 0 ? "" : ", ", len > 2 ? "--" : "-", (int)len, name);
			if (name[len] == '\0')
				break;
		}
		if (opt->value != NULL)
			snprintf(left + at, sizeof(left) - at, " <%s>", opt->value);
		fprintf(to, "    %-34s %s\n", left, opt->help);
	}
	fputc('\n', to);
}
