/* A block tls as a whole: the command line over it, what has to hold, its records. */
#include <errno.h>
#include <stdio.h>
#include <strings.h>
#include <openssl/ssl.h>
#include "common/records.h"
#include "supervisor/config/suites.h"
#include "supervisor/config/tls.h"

#define MILLISECONDS_MOST	86400000
#define AUTH_TIMEOUT_MOST	86400.0

static const struct config_position	command_line = { .file = CONFIG_COMMAND_LINE };

static struct tls_name
name_of_flag(const char *path)
{
	return (struct tls_name){ bytes_of(path), command_line };
}

void
tls_block_override(struct tls_block *b, struct settings *s)
{
	if (s->has_flag_tls && !s->flag_tls) {
		b->given = false;
	} else if (s->has_flag_tls || s->has_flag_tlsverify || s->has_flag_tlscert || s->has_flag_tlskey ||
	    s->has_flag_tlscacert) {
		if (!b->given)
			b->at = command_line;
		b->given = b->flags = true;
		b->pair = (struct tls_pair){ name_of_flag(s->flag_tlscert), name_of_flag(s->flag_tlskey),
		    name_of_flag("") };
		b->npairs = 0;
		b->authority = name_of_flag(s->flag_tlscacert);
		b->verify = s->flag_tlsverify || b->map;
	}
	s->has_flag_tls = s->has_flag_tlsverify = false;
	s->has_flag_tlscert = s->has_flag_tlskey = s->has_flag_tlscacert = false;
}

bool
tls_key_of_flags(struct bytes key)
{
	static const char *const	names[] = {
		"cert_file", "key_file", "key_password_file", "certs", "certificates", "ca_file", "verify",
	};
	size_t				i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == key.len && strncasecmp(names[i], key.data, key.len) == 0)
			return true;
	return false;
}

/* -- checks */

static void
pair_check(const struct tls_block *b, struct config_errors *errors)
{
	const struct tls_pair	*p = &b->pair;

	if (b->flags && p->certificate.path.len == 0)
		config_error(errors, command_line, "TLS Server certificate must be present and valid: expected --tlscert");
	else if (b->flags && p->key.path.len == 0)
		config_error(errors, command_line, "TLS Server private key must be present and valid: expected --tlskey");
	else if (p->certificate.path.len > 0 && b->npairs > 0)
		config_error(errors, p->certificate.at, "found cert_file and certs, expected one of them");
	else if (p->certificate.path.len > 0 && p->key.path.len == 0)
		config_error(errors, p->certificate.at, "missing key_file beside cert_file");
	else if (p->certificate.path.len == 0 && p->key.path.len > 0)
		config_error(errors, p->key.at, "missing cert_file beside key_file");
	else if (p->certificate.path.len == 0 && b->npairs == 0)
		config_error(errors, b->at, "tls: expected cert_file and key_file, or certs");
	else if (p->certificate.path.len == 0 && p->password.path.len > 0)
		config_error(errors, p->password.at, "found key_password_file beside certs, expected it in their entries");
}

/* The names of insecure suites of a set, separated by commas. */
static void
insecure_names(uint64_t set, char out[SUITES_TEXT])
{
	size_t	at = 0;
	int	i;

	out[0] = '\0';
	for (i = 0; i < 64 && at < SUITES_TEXT; i++)
		if ((set >> i & 1) != 0 && suite_is_insecure(i))
			at += (size_t)snprintf(out + at, SUITES_TEXT - at, "%s%s", at == 0 ? "" : ", ", suite_name(i));
}

static void
suites_check(const struct tls_block *b, struct config_errors *errors)
{
	char	names[SUITES_TEXT];
	int	i;

	if (b->insecure_at.line == 0)
		return;
	if (!b->insecure_suites) {
		insecure_names(b->suites, names);
		config_error(errors, b->insecure_at,
		    "insecure cipher suites configured without 'allow_insecure_cipher_suites' option set: %s", names);
		return;
	}
	for (i = 0; i < 64; i++) {
		if ((b->suites >> i & 1) == 0)
			continue;
		if (suite_standing(i) == SUITE_RSA)
			config_error(errors, b->insecure_at, "cipher_suites: found %s, expected one with ECDHE: without it "
			    "whoever gets the key can read all that was recorded", suite_name(i));
		else if (suite_standing(i) == SUITE_BROKEN)
			config_error(errors, b->insecure_at, "cipher_suites: found %s, expected one with AES or ChaCha20: "
			    "its cipher is broken, and OpenSSL does not have it", suite_name(i));
	}
}

void
tls_block_check(const struct tls_block *b, struct config_errors *errors)
{
	if (!b->given)
		return;
	pair_check(b, errors);
	suites_check(b, errors);
	if (b->verify && b->authority.path.len == 0)
		config_error(errors, b->flags && !b->map ? command_line : b->at, "verify: expected ca_file too, "
		    "the authorities whose certificates are let in; those of the host are not taken");
	if (b->npins > 0 && !b->verify)
		config_warn(errors, b->at, "pinned_certs without verify: clients are not asked for certificates, so none gets in");
	if (b->revoked.path.len > 0 && !b->verify)
		config_warn(errors, b->revoked.at, "crl_file has no effect without verify");
}

/* Names of users: of a list, as a single user or a token is asked for all the same. */
static bool
names_are_there(const struct tenants *t)
{
	size_t	i;

	for (i = 0; i < t->nusers; i++)
		if (t->users[i].kind != USER_NKEY)
			return true;
	return false;
}

int
tls_block_follow(const struct tls_block *b, const struct tenants *t, struct settings *s,
    const struct schema_origins *origins)
{
	double	timeout = b->timeout == 0 ? TLS_TIMEOUT : b->timeout;
	int	rc;

	if (!b->given)
		return 0;
	if (!schema_is_said(origins, "auth_timeout") &&
	    (rc = setting_set_duration(s, setting_find(BYTES("auth_timeout")),
	    timeout + 1 < AUTH_TIMEOUT_MOST ? timeout + 1 : AUTH_TIMEOUT_MOST)) != 0)
		return rc;
	rc = setting_set_boolean(s, setting_find(BYTES("tls_asked")), true);
	return rc != 0 ? rc : setting_set_boolean(s, setting_find(BYTES("tls_maps_users")),
	    b->map && names_are_there(t));
}

/* -- records */

#define AT_MOST	4096	/* bytes of a place; what a record takes */

/* "file:line:column" into out. */
static struct bytes
at_print(const struct config_errors *errors, struct config_position at, char out[AT_MOST + 1])
{
	struct bytes	path = config_path(errors, at);
	char		place[32] = "";
	size_t		i;

	if (at.line > 0)
		snprintf(place, sizeof(place), ":%u:%u", at.line, at.column);
	if (path.len > AT_MOST - strlen(place))
		path.len = AT_MOST - strlen(place);
	snprintf(out, AT_MOST + 1, "%.*s%s", (int)path.len, path.data, place);
	for (i = 0; out[i] != '\0'; i++)
		if ((unsigned char)out[i] < ' ' || out[i] == 0x7f)
			out[i] = '?';
	return (struct bytes){ out, i };
}

/* Rounded up: a little is not nothing. */
static uint64_t
milliseconds(double seconds)
{
	uint64_t	n = (uint64_t)(seconds * 1000);

	if ((double)n < seconds * 1000)
		n++;
	return n < MILLISECONDS_MOST ? n : MILLISECONDS_MOST;
}

static int
context_write(const struct tls_block *b, const struct config_errors *errors, msgpack_sbuffer *out)
{
	const uint64_t	usual = suites_usual(), named = b->suites == 0 ? usual : b->suites;
	char		at[AT_MOST + 1], ciphers[SUITES_TEXT], suites[SUITES_TEXT], groups[SUITES_TEXT];
	uint64_t	minimum = b->minimum == 0 ? TLS1_2_VERSION : b->minimum;
	struct msg	m = { .type = MSG_tls_context };

	/* without a suite of TLS 1.2 there is no TLS 1.2; where none of 1.3 is named, all of them are meant */
	if (!suites_have(named, true))
		minimum = TLS1_3_VERSION;
	suites_print(suites_have(named, true) ? named : usual, true, ciphers);
	suites_print(suites_have(named, false) ? named : usual, false, suites);
	curves_print(b->curves == 0 ? curves_usual() : b->curves, groups);
	m.u.tls_context = (struct msg_tls_context){ .use = b->use, .at = at_print(errors, b->at, at),
	    .verify = b->verify, .map = b->map, .known_urls = b->known_urls, .insecure = b->insecure,
	    .minimum = minimum, .timeout = milliseconds(b->timeout == 0 ? TLS_TIMEOUT : b->timeout),
	    .first = b->first, .fallback = milliseconds(b->fallback), .ciphers = bytes_of(ciphers),
	    .suites = bytes_of(suites), .groups = bytes_of(groups), .rate = b->rate };
	return records_add(out, &m);
}

/* Nothing for a file that is not named. */
static int
file_write(const struct config_errors *errors, enum tls_file_kind kind, const struct tls_name *name,
    msgpack_sbuffer *out)
{
	char		at[AT_MOST + 1];
	struct msg	m = { .type = MSG_tls_file, .u.tls_file = { .kind = kind, .path = name->path } };

	if (name->path.len == 0)
		return 0;
	m.u.tls_file.at = at_print(errors, name->at, at);
	return records_add(out, &m);
}

static int
pair_write(const struct config_errors *errors, const struct tls_pair *p, msgpack_sbuffer *out)
{
	int	rc;

	if ((rc = file_write(errors, TLS_FILE_CERTIFICATE, &p->certificate, out)) != 0 ||
	    (rc = file_write(errors, TLS_FILE_KEY, &p->key, out)) != 0)
		return rc;
	return file_write(errors, TLS_FILE_PASSWORD, &p->password, out);
}

int
tls_block_write(const struct tls_block *b, const struct config_errors *errors, msgpack_sbuffer *out)
{
	struct msg	m = { .type = MSG_tls_pin };
	size_t		i;
	int		rc;

	if (!b->given)
		return 0;
	rc = context_write(b, errors, out);
	for (i = 0; i < b->npins && rc == 0; i++) {
		m.u.tls_pin.digest = (struct bytes){ (const char *)b->pins[i], sizeof(b->pins[i]) };
		rc = records_add(out, &m);
	}
	if (rc == 0)
		rc = pair_write(errors, &b->pair, out);
	for (i = 0; i < b->npairs && rc == 0; i++)
		rc = pair_write(errors, &b->pairs[i], out);
	if (rc == 0)
		rc = file_write(errors, TLS_FILE_AUTHORITY, &b->authority, out);
	return rc != 0 ? rc : file_write(errors, TLS_FILE_REVOKED, &b->revoked, out);
}
