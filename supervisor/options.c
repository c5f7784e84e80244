#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "supervisor/options.h"

enum option_kind {
	OPTION_SWITCH,	/* boolean settings, separated by a comma */
	OPTION_TEXT,	/* a text setting */
	OPTION_SECRET,	/* the same; no message repeats it */
	OPTION_HOST,	/* the same; empty is the default */
	OPTION_COUNT,	/* a number setting; below 0 is 0 */
	OPTION_PORT,	/* a port: -1 any free one, 0 the default */
	OPTION_HTTP,	/* the same; 0 turns http off, others turn it on */
	OPTION_CONFIG, OPTION_SIGNAL, OPTION_TEST, OPTION_PRINT, OPTION_VERSION, OPTION_HELP,
	OPTION_HELP_TLS,
	OPTION_LATER,	/* setting is a LATER of settings.def: known to nats-server, not to this version */
};

enum option_group { GROUP_SERVER, GROUP_AUTH, GROUP_TLS, GROUP_LOG, GROUP_COMMON, GROUP_LATER };

static const char *const groups[] = {
	[GROUP_SERVER] = "Server", [GROUP_AUTH] = "Authorization", [GROUP_TLS] = "TLS", [GROUP_LOG] = "Log", [GROUP_COMMON] = "Others",
	[GROUP_LATER] = "Known to nats-server, refused by this version",
};

/*
 * names: separated by commas. setting: name(s) in settings.def. value: what
 * the usage calls it; NULL: a switch.
 */
static const struct option {
	enum option_group	 group;
	const char		*names;
	enum option_kind	 kind;
	const char		*setting, *value, *help;
} options_table[] = {
	{ GROUP_SERVER, "a,addr,net", OPTION_HOST, "host", "host", "address to listen on (default: 0.0.0.0)" },
	{ GROUP_SERVER, "p,port", OPTION_PORT, "port", "port", "port for clients (default: 4222; -1: a free one)" },
	{ GROUP_SERVER, "n,name,server_name", OPTION_TEXT, "server_name", "name", "name of this server (default: its id)" },
	{ GROUP_SERVER, "client_advertise", OPTION_TEXT, "client_advertise", "host[:port]", "address that clients are told in place of ours" },
	{ GROUP_SERVER, "m,http_port", OPTION_HTTP, "http_port", "port", "port for HTTP monitoring (-1: a free one)" },
	{ GROUP_SERVER, "c,config", OPTION_CONFIG, NULL, "file", "configuration file" },
	{ GROUP_SERVER, "t", OPTION_TEST, NULL, NULL, "test the configuration and exit" },
	{ GROUP_SERVER, "print-config", OPTION_PRINT, NULL, NULL, "show all settings and where each comes from, and exit" },
	{ GROUP_SERVER, "P,pid", OPTION_TEXT, "pid_file", "file", "write the process id to this file" },
	{ GROUP_SERVER, "ports_file_dir", OPTION_TEXT, "ports_file_dir", "folder", "write the ports to <program>_<pid>.ports there" },
	{ GROUP_SERVER, "sl,signal", OPTION_SIGNAL, NULL, "signal[=pid]", "tell a running server: ldm, stop, quit, term, reopen, reload; pid: a number or a pid file" },
	{ GROUP_AUTH, "user", OPTION_TEXT, "flag_user", "name", "user that clients have to be" },
	{ GROUP_AUTH, "pass", OPTION_SECRET, "flag_pass", "password", "password of that user" },
	{ GROUP_AUTH, "auth", OPTION_SECRET, "flag_token", "token", "token that clients have to have" },
	{ GROUP_TLS, "tls", OPTION_SWITCH, "flag_tls", NULL, "clients connect over TLS; needs a certificate" },
	{ GROUP_TLS, "tlscert", OPTION_TEXT, "flag_tlscert", "file", "the server's certificate" },
	{ GROUP_TLS, "tlskey", OPTION_TEXT, "flag_tlskey", "file", "its private key" },
	{ GROUP_TLS, "tlsverify", OPTION_SWITCH, "flag_tlsverify", NULL, "and clients show a certificate" },
	{ GROUP_TLS, "tlscacert", OPTION_TEXT, "flag_tlscacert", "file", "who signs those" },
	{ GROUP_LOG, "l,log", OPTION_TEXT, "log_file", "file", "log to this file instead of standard error" },
	{ GROUP_LOG, "log_size_limit", OPTION_COUNT, "logfile_size_limit", "bytes", "begin a new file at this size (default: 0, never)" },
	{ GROUP_LOG, "T,logtime", OPTION_SWITCH, "logtime", NULL, "time stamps in the log (default: true)" },
	{ GROUP_LOG, "logtime_utc", OPTION_SWITCH, "logtime_utc", NULL, "time stamps are UTC" },
	{ GROUP_LOG, "s,syslog", OPTION_SWITCH, "syslog", NULL, "log to the system's log" },
	{ GROUP_LOG, "r,remote_syslog", OPTION_TEXT, "remote_syslog", "address", "with -s: log there, as udp://localhost:514" },
	{ GROUP_LOG, "D,debug", OPTION_SWITCH, "debug", NULL, "log what helps to find a fault" },
	{ GROUP_LOG, "V,trace", OPTION_SWITCH, "trace", NULL, "log every protocol line" },
	{ GROUP_LOG, "VV", OPTION_SWITCH, "trace,trace_verbose", NULL, "those of the system account too" },
	{ GROUP_LOG, "DV", OPTION_SWITCH, "debug,trace", NULL, "-D and -V" },
	{ GROUP_LOG, "DVV", OPTION_SWITCH, "debug,trace,trace_verbose", NULL, "-D and -VV" },
	{ GROUP_LOG, "max_traced_msg_len", OPTION_COUNT, "max_traced_msg_len", "bytes", "of a message that a trace shows (default: 0, all)" },
	{ GROUP_COMMON, "h,help", OPTION_HELP, NULL, NULL, "show this" },
	{ GROUP_COMMON, "v,version", OPTION_VERSION, NULL, NULL, "show the version" },
	{ GROUP_COMMON, "help_tls", OPTION_HELP_TLS, NULL, NULL, "show what there is to say about TLS" },
	{ GROUP_LATER, "js,jetstream", OPTION_LATER, "jetstream", NULL, NULL },
	{ GROUP_LATER, "sd,store_dir", OPTION_LATER, "store_dir", "folder", NULL },
	{ GROUP_LATER, "ms,https_port", OPTION_LATER, "https_port", "port", NULL },
	{ GROUP_LATER, "routes", OPTION_LATER, "cluster", "urls", NULL },
	{ GROUP_LATER, "cluster,cluster_listen", OPTION_LATER, "cluster", "url", NULL },
	{ GROUP_LATER, "cluster_name", OPTION_LATER, "cluster", "name", NULL },
	{ GROUP_LATER, "no_advertise", OPTION_LATER, "cluster", NULL, NULL },
	{ GROUP_LATER, "cluster_advertise", OPTION_LATER, "cluster", "address", NULL },
	{ GROUP_LATER, "connect_retries", OPTION_LATER, "cluster", "number", NULL },
	{ GROUP_LATER, "profile", OPTION_LATER, "prof_port", "port", NULL },
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

/* As Go's strconv.ParseInt with base 0. 0 or -EINVAL. */
static int
number_parse(const char *text, long long *number)
{
	char *end;

	errno = 0;
	*number = strtoll(text, &end, 0);
	return errno != 0 || end == text || *end != '\0' ||
	    isspace((unsigned char)*text) ? -EINVAL : 0;
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
option_text(struct options *o, const struct option *opt, const char *value)
{
	if (opt->kind == OPTION_HOST && *value == '\0')
		value = "0.0.0.0";
	return setting_set_text(&o->flags, setting_find(bytes_of(opt->setting)), bytes_of(value));
}

static int
option_count(struct options *o, const struct option *opt, const char *value)
{
	const struct setting *which = setting_find(bytes_of(opt->setting));
	long long n;

	if (number_parse(value, &n) != 0)
		return -EINVAL;
	if ((double)n > which->most)
		n = (long long)which->most;
	return setting_set_integer(&o->flags, which, n < 0 ? 0 : (uint64_t)n);
}

#define PORT_CLIENTS	4222	/* what 0 means */

static int
option_port(struct options *o, const struct option *opt, const char *value)
{
	long long port;
	int rc;

	rc = number_parse(value, &port);
	if (rc != 0)
		return rc;
	if (port < -1 || port > 65535)
		return -ERANGE;
	if (opt->kind == OPTION_HTTP) {
		rc = option_switch(o, "http", port != 0);
		if (rc != 0)
			return rc;
	} else if (port == 0) {
		port = PORT_CLIENTS;
	}
	return setting_set_integer(&o->flags, setting_find(bytes_of(opt->setting)),
	    port == -1 ? 0 : (uint64_t)port);
}

/* What it asks for is done unless something later in `enum action` is asked for too. */
static void
option_action(struct options *o, enum action action)
{
	if (action > o->action)
		o->action = action;
}

static void
option_act(struct options *o, const struct option *opt)
{
	static const enum action actions[] = {
		[OPTION_TEST] = ACTION_TEST, [OPTION_PRINT] = ACTION_PRINT,
		[OPTION_SIGNAL] = ACTION_SIGNAL, [OPTION_VERSION] = ACTION_VERSION,
		[OPTION_HELP] = ACTION_HELP, [OPTION_HELP_TLS] = ACTION_HELP_TLS,
	};

	option_action(o, actions[opt->kind]);
}

/* `-tls=false`, `-profile 0` ask for nothing. */
static int
option_later(const char *value, bool on)
{
	return on && (value == NULL || (*value != '\0' && strcmp(value, "0") != 0)) ? -ENOTSUP : 0;
}

/* value: NULL for a switch that was given without. */
static int
option_apply(struct options *o, const struct option *opt, const char *value)
{
	bool on = true;

	if (!option_takes_value(opt) && value != NULL && boolean_parse(value, &on) != 0)
		return -EINVAL;
	switch (opt->kind) {
	case OPTION_SWITCH:
		return option_switch(o, opt->setting, on);
	case OPTION_TEXT:
	case OPTION_SECRET:
	case OPTION_HOST:
		return option_text(o, opt, value);
	case OPTION_COUNT:
		return option_count(o, opt, value);
	case OPTION_PORT:
	case OPTION_HTTP:
		return option_port(o, opt, value);
	case OPTION_CONFIG:
		o->config = value;
		return 0;
	case OPTION_SIGNAL:
		o->signal = value;
		on = *value != '\0';
		break;
	case OPTION_TEST:
	case OPTION_PRINT:
	case OPTION_VERSION:
	case OPTION_HELP:
	case OPTION_HELP_TLS:
		break;
	case OPTION_LATER:
		return option_later(value, on);
	}
	if (on)
		option_act(o, opt);
	return 0;
}

/* -EINVAL with the sentence. *usage: does the usage text help? */
static int
option_fail(int rc, const struct option *opt, struct bytes name, const char *value,
    char *error, size_t size, bool *usage)
{
	if (rc == -ENOMEM)
		return rc;
	*usage = rc != -ENOTSUP;
	if (rc == -ENOTSUP)
		snprintf(error, size, "flag -%.*s: this version does not have %s yet",
		    (int)name.len, name.data, later_find(bytes_of(opt->setting))->what);
	else
		snprintf(error, size, "invalid %svalue \"%s\" for flag -%.*s: %s",
		    option_takes_value(opt) ? "" : "boolean ",
		    opt->kind == OPTION_SECRET ? "[REDACTED]" : value == NULL ? "" : value,
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
		return option_fail(rc, opt, name, value, error, size, usage);
	*usage = false;
	return 0;
}

/* What follows the flags: `version`, `help`, or nothing. */
static int
options_rest(struct options *o, char **rest, char *error, size_t size)
{
	if (*rest == NULL || o->action >= ACTION_HELP_TLS)
		return 0;
	if (strcasecmp(*rest, "version") == 0) {
		option_action(o, ACTION_VERSION);
	} else if (strcasecmp(*rest, "help") == 0) {
		option_action(o, ACTION_HELP);
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
	return 0;
 fail:
	settings_free(&o->flags);
	return rc;
}

void
options_hide(char **argv)
{
	const struct option *opt;
	struct bytes name;
	char *value;

	for (argv++; *argv != NULL && (*argv)[0] == '-' && (*argv)[1] != '\0'; argv++) {
		name.data = *argv + (strncmp(*argv, "--", 2) == 0 ? 2 : 1);
		name.len = strcspn(name.data, "=");
		opt = option_find(name);
		if (opt == NULL || !option_takes_value(opt))
			continue;
		value = strchr(*argv, '=');
		value = value != NULL ? value + 1 : *++argv;
		if (value == NULL)
			return;
		if (opt->kind == OPTION_SECRET)
			memset(value, '*', strlen(value));
	}
}

void
options_free(struct options *o)
{
	settings_free(&o->flags);
}

/* "-p, --port <port>" */
static void
usage_names(const struct option *opt, char *text, size_t size)
{
	const char *name = opt->names;
	size_t len, at = 0;

	for (;; name += len + 1) {
		len = strcspn(name, ",");
		at += (size_t)snprintf(text + at, size - at, "%s%s%.*s", at == 0 ? "" : ", ",
		    islower((unsigned char)name[0]) && len > 2 ? "--" : "-", (int)len, name);
		if (name[len] == '\0')
			break;
	}
	if (opt->value != NULL)
		snprintf(text + at, size - at, " <%s>", opt->value);
}

void
options_usage(FILE *to)
{
	const struct option *opt;
	char left[96];
	size_t i;

	fprintf(to, "\nUsage: %s [options]\n", getprogname());
	for (i = 0; i < OPTIONS; i++) {
		opt = &options_table[i];
		if (i == 0 || opt->group != options_table[i - 1].group)
			fprintf(to, "\n%s:\n", groups[opt->group]);
		usage_names(opt, left, sizeof(left));
		fprintf(to, "    %-40s %s\n", left, opt->kind == OPTION_LATER ?
		    later_find(bytes_of(opt->setting))->what : opt->help);
	}
	fputc('\n', to);
}

void
options_usage_tls(FILE *to)
{
	fputs("\n"
	    "A block in the configuration file says how clients are met:\n"
	    "\n"
	    "    tls {\n"
	    "        cert_file: \"server-cert.pem\"   # what the server shows, with its chain\n"
	    "        key_file:  \"server-key.pem\"    # the private key to it\n"
	    "        ca_file:   \"ca.pem\"            # who signs the certificates of clients\n"
	    "        verify:    true                # clients must have one\n"
	    "        timeout:   \"2s\"                # for the handshake\n"
	    "    }\n"
	    "\n"
	    "    certs               list of {cert_file, key_file}; the client's server name chooses\n"
	    "    key_password_file   its first line opens an encrypted key\n"
	    "    verify_and_map      the certificate also says which user it is\n"
	    "    crl_file            certificates that are revoked\n"
	    "    pinned_certs        list of SHA-256 of the keys that clients may have\n"
	    "    min_version         \"1.2\" or \"1.3\"\n"
	    "    cipher_suites       list of names, as TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\n"
	    "    allow_insecure_cipher_suites   also those of CBC with SHA-256\n"
	    "    curve_preferences   list of X25519, CurveP256, CurveP384, CurveP521, X25519MLKEM768\n"
	    "    handshake_first     no INFO before the handshake; auto or a duration: for so long\n"
	    "    connection_rate_limit   handshakes a second\n"
	    "\n"
	    "Outside of it, allow_non_tls: true lets clients in without TLS too.\n"
	    "On the command line: --tls, --tlscert, --tlskey, --tlsverify, --tlscacert take the\n"
	    "place of the block's files and verify; --tls=false turns TLS off. See bulkhead.conf(5).\n"
	    "\n", to);
}
