/* The keys of a block tls. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include "supervisor/config/duration.h"
#include "supervisor/config/fields.h"
#include "supervisor/config/suites.h"
#include "supervisor/config/tls.h"

#define PATH_MOST	4096	/* bytes; what a record takes */
#define DAY		86400.0	/* seconds */

void
tls_block_init(struct tls_block *b, enum tls_use use)
{
	*b = (struct tls_block){ .use = use };
}

void
tls_block_free(struct tls_block *b)
{
	free(b->pairs);
	free(b->pins);
}

static int
name_read(struct fields *f, const struct config_entry *e, struct tls_name *name)
{
	if (field_text(f, e, &name->path, PATH_MOST))
		name->at = e->value.at;
	return 0;
}

static struct tls_block *
block_of(struct fields *f)
{
	return f->owner;
}

/* -- files */

static int
certificate_read(struct fields *f, const struct config_entry *e)
{
	return name_read(f, e, &block_of(f)->pair.certificate);
}

static int
key_read(struct fields *f, const struct config_entry *e)
{
	return name_read(f, e, &block_of(f)->pair.key);
}

static int
password_read(struct fields *f, const struct config_entry *e)
{
	return name_read(f, e, &block_of(f)->pair.password);
}

static int
authority_read(struct fields *f, const struct config_entry *e)
{
	return name_read(f, e, &block_of(f)->authority);
}

static int
revoked_read(struct fields *f, const struct config_entry *e)
{
	return name_read(f, e, &block_of(f)->revoked);
}

static int
pair_certificate_read(struct fields *f, const struct config_entry *e)
{
	return name_read(f, e, &((struct tls_pair *)f->owner)->certificate);
}

static int
pair_key_read(struct fields *f, const struct config_entry *e)
{
	return name_read(f, e, &((struct tls_pair *)f->owner)->key);
}

static int
pair_password_read(struct fields *f, const struct config_entry *e)
{
	return name_read(f, e, &((struct tls_pair *)f->owner)->password);
}

/* One entry of certs. */
static int
pair_read(struct fields *f, const struct config_value *v)
{
	static const struct field	table[] = {
		{ "cert_file", pair_certificate_read }, { "key_file", pair_key_read },
		{ "key_password_file", pair_password_read },
	};
	struct tls_block		*b = block_of(f);
	struct tls_pair			 pair = { .certificate.path.len = 0 };
	struct fields			 inner = { f->t, "an entry of certs", &pair };
	unsigned			 before = f->t->errors->count;
	void				*pairs = b->pairs;
	int				 rc;

	rc = fields_read(&inner, v, table, sizeof(table) / sizeof(table[0]));
	if (rc != 0)
		return rc;
	if (f->t->errors->count == before && (pair.certificate.path.len == 0 || pair.key.path.len == 0))
		config_error(f->t->errors, v->at, "certs: expected both cert_file and key_file in each entry");
	if (config_room(&pairs, b->npairs, &b->pairs_room, sizeof(pair)) != 0)
		return -ENOMEM;
	b->pairs = pairs;
	b->pairs[b->npairs++] = pair;
	return 0;
}

static int
pairs_read(struct fields *f, const struct config_entry *e)
{
	size_t	i;
	int	rc = 0;

	if (e->value.kind != CONFIG_LIST) {
		field_expected(f, e, "a list of blocks of cert_file and key_file");
		return 0;
	}
	for (i = 0; i < e->value.list.count && rc == 0; i++)
		rc = pair_read(f, &e->value.list.items[i]);
	return rc;
}

/* -- what is asked of the other side */

static int
verify_read(struct fields *f, const struct config_entry *e)
{
	bool	value;

	if (field_boolean(f, e, &value))
		block_of(f)->verify |= value;
	return 0;
}

static int
map_read(struct fields *f, const struct config_entry *e)
{
	if (field_boolean(f, e, &block_of(f)->map))
		block_of(f)->verify |= block_of(f)->map;
	return 0;
}

static int
known_urls_read(struct fields *f, const struct config_entry *e)
{
	struct tls_block	*b = block_of(f);
	bool			 value = false;

	if (!field_boolean(f, e, &value) || !value)
		return 0;
	if (b->use == TLS_CLIENTS)
		config_error(f->t->errors, e->at,
		    "verify_cert_and_check_known_urls: clients have no URLs that are known, expected verify");
	b->known_urls = b->verify = true;
	return 0;
}

static int
insecure_read(struct fields *f, const struct config_entry *e)
{
	struct tls_block	*b = block_of(f);
	bool			 value = false;

	if (!field_boolean(f, e, &value))
		return 0;
	if (value && b->use == TLS_CLIENTS)
		config_warn(f->t->errors, e->at, "insecure has no effect on clients");
	else
		b->insecure = value;
	return 0;
}

/* Its 64 digits as 32 bytes. 0 or -EINVAL. */
static int
pin_parse(struct bytes text, uint8_t pin[32])
{
	size_t	i;
	int	digit;

	if (text.len != 64)
		return -EINVAL;
	for (i = 0; i < 64; i++) {
		digit = tolower((unsigned char)text.data[i]);
		if (!isxdigit(digit))
			return -EINVAL;
		digit -= digit <= '9' ? '0' : 'a' - 10;
		pin[i / 2] = (uint8_t)(i % 2 == 0 ? digit << 4 : pin[i / 2] | digit);
	}
	return 0;
}

static int
pins_read(struct fields *f, const struct config_entry *e)
{
	struct tls_block	*b = block_of(f);
	const struct config_value *v;
	void			*pins;
	char			 found[CONFIG_QUOTED];
	size_t			 i;

	if (e->value.kind != CONFIG_LIST) {
		field_expected(f, e, "a list of SHA-256 of SubjectPublicKeyInfo in hexadecimal");
		return 0;
	}
	for (i = 0; i < e->value.list.count; i++) {
		v = &e->value.list.items[i];
		pins = b->pins;
		if (config_room(&pins, b->npins, &b->pins_room, sizeof(*b->pins)) != 0)
			return -ENOMEM;
		b->pins = pins;
		if (v->kind == CONFIG_TEXT && pin_parse(v->text, b->pins[b->npins]) == 0)
			b->npins++;
		else
			config_error(f->t->errors, v->at, "pinned_certs: found %s, expected SHA-256 of a "
			    "SubjectPublicKeyInfo, 64 hexadecimal digits; put it in quotes", config_found(v, found));
	}
	return 0;
}

/* -- the handshake */

static int
insecure_suites_read(struct fields *f, const struct config_entry *e)
{
	field_boolean(f, e, &block_of(f)->insecure_suites);
	return 0;
}

/* One item of cipher_suites. */
static void
suite_read(struct fields *f, const struct config_value *v)
{
	struct tls_block	*b = block_of(f);
	char			 found[CONFIG_QUOTED];
	int			 place = v->kind == CONFIG_TEXT ? suite_find(v->text) : -ENOENT;

	if (place < 0) {
		config_error(f->t->errors, v->at, "cipher_suites: unrecognized cipher %s, expected a name "
		    "as TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", config_found(v, found));
		return;
	}
	if (suite_is_insecure(place) && b->insecure_at.line == 0)
		b->insecure_at = v->at;
	b->suites |= UINT64_C(1) << place;
}

static int
suites_read(struct fields *f, const struct config_entry *e)
{
	size_t	i;

	if (e->value.kind != CONFIG_LIST || e->value.list.count == 0) {
		field_expected(f, e, "a list of names, as [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256], that is not empty");
		return 0;
	}
	for (i = 0; i < e->value.list.count; i++)
		suite_read(f, &e->value.list.items[i]);
	return 0;
}

/* One item of curve_preferences. */
static void
curve_read(struct fields *f, const struct config_value *v)
{
	char	found[CONFIG_QUOTED];
	int	place = 0, rc = v->kind == CONFIG_TEXT ? curve_find(v->text, &place) : -ENOENT;

	if (rc == -ENOENT)
		config_error(f->t->errors, v->at, "curve_preferences: unrecognized curve preference %s, expected X25519, "
		    "CurveP256, CurveP384, CurveP521 or X25519MLKEM768", config_found(v, found));
	else if (rc == -ENOTSUP)
		config_warn(f->t->errors, v->at, "curve_preferences: %s is ignored, this OpenSSL does not have it",
		    config_found(v, found));
	else
		block_of(f)->curves |= UINT64_C(1) << place;
}

static int
curves_read(struct fields *f, const struct config_entry *e)
{
	unsigned	before = f->t->errors->count;
	size_t		i;

	if (e->value.kind != CONFIG_LIST || e->value.list.count == 0) {
		field_expected(f, e, "a list of names, as [X25519, CurveP256], that is not empty");
		return 0;
	}
	for (i = 0; i < e->value.list.count; i++)
		curve_read(f, &e->value.list.items[i]);
	if (block_of(f)->curves == 0 && f->t->errors->count == before)
		field_expected(f, e, "one at least that this OpenSSL has, as X25519");
	return 0;
}

static int
minimum_read(struct fields *f, const struct config_entry *e)
{
	char	found[CONFIG_QUOTED];
	int	rc = e->value.kind == CONFIG_TEXT ? tls_version_find(e->value.text, &block_of(f)->minimum) : -EINVAL;

	if (rc == -ERANGE)
		config_error(f->t->errors, e->value.at, "min_version: unsupported TLS version %s, expected \"1.2\" or \"1.3\"",
		    config_found(&e->value, found));
	else if (rc != 0)
		field_expected(f, e, "\"1.2\" or \"1.3\", in quotes");
	return 0;
}

static int
timeout_read(struct fields *f, const struct config_entry *e)
{
	double	seconds;

	if (!field_seconds(f, e, &seconds))
		return 0;
	if (seconds != 0 && (seconds < 0.001 || seconds > DAY))
		field_expected(f, e, "0.001 to 86400 seconds");
	else
		block_of(f)->timeout = seconds;
	return 0;
}

static int
rate_read(struct fields *f, const struct config_entry *e)
{
	int64_t	value;

	if (field_whole(f, e, &value))
		block_of(f)->rate = value < 0 ? 0 : (uint64_t)value;
	return 0;
}

/* Is the text one of two words, in any case? */
static bool
text_is(struct bytes text, const char *word, const char *other)
{
	return (text.len == strlen(word) && strncasecmp(text.data, word, text.len) == 0) ||
	    (text.len == strlen(other) && strncasecmp(text.data, other, text.len) == 0);
}

static int
first_read(struct fields *f, const struct config_entry *e)
{
	const struct config_value	*v = &e->value;
	struct tls_block		*b = block_of(f);
	double				 seconds = 0;

	if (v->kind == CONFIG_BOOLEAN) {
		b->first = v->boolean;
	} else if (v->kind == CONFIG_TEXT && text_is(v->text, "true", "on")) {
		b->first = true;
	} else if (v->kind == CONFIG_TEXT && text_is(v->text, "false", "off")) {
		b->first = false;
	} else if (v->kind == CONFIG_TEXT && text_is(v->text, "auto", "auto_fallback")) {
		b->first = true;
		b->fallback = TLS_FALLBACK;
	} else if (v->kind == CONFIG_TEXT && duration_parse(v->text, &seconds) == 0) {
		b->first = true;
		b->fallback = seconds < 0 ? 0 : seconds > DAY ? DAY : seconds;
	} else {
		field_expected(f, e, "true, false, auto, or a duration as \"300ms\" after which INFO is sent all the same");
	}
	return 0;
}

/* -- what is not here */

static int
store_read(struct fields *f, const struct config_entry *e)
{
	config_error(f->t->errors, e->at, "cert_store: there is one on Windows only, expected cert_file and key_file");
	return 0;
}

static void
match_without_effect(struct fields *f, const struct config_entry *e)
{
	config_warn(f->t->errors, e->at, "%.*s has no effect, there is a cert_store on Windows only",
	    (int)e->key.len, e->key.data);
}

static int
match_by_read(struct fields *f, const struct config_entry *e)
{
	struct bytes	text = e->value.kind == CONFIG_TEXT ? e->value.text : BYTES("");

	if (text_is(text, "subject", "issuer") || text_is(text, "thumbprint", "thumbprint"))
		match_without_effect(f, e);
	else
		field_expected(f, e, "subject, issuer or thumbprint");
	return 0;
}

static int
match_read(struct fields *f, const struct config_entry *e)
{
	if (e->value.kind == CONFIG_TEXT && e->value.text.len > 0)
		match_without_effect(f, e);
	else
		field_expected(f, e, "text; put it in quotes");
	return 0;
}

static int
match_authorities_read(struct fields *f, const struct config_entry *e)
{
	size_t	i;

	for (i = 0; e->value.kind == CONFIG_LIST && i < e->value.list.count; i++)
		if (e->value.list.items[i].kind != CONFIG_TEXT) {
			field_expected(f, e, "text or a list of texts");
			return 0;
		}
	match_without_effect(f, e);
	return 0;
}

static int
match_skip_read(struct fields *f, const struct config_entry *e)
{
	bool	value;

	if (field_boolean(f, e, &value))
		match_without_effect(f, e);
	return 0;
}

static int
ocsp_read(struct fields *f, const struct config_entry *e)
{
	if (!schema_value_is_off(&e->value))
		config_error(f->t->errors, e->at, "ocsp_peer: this version does not have OCSP yet");
	return 0;
}

int
tls_block_read(struct tls_block *b, struct tenants *t, const struct config_entry *e)
{
	static const struct field	table[] = {
		{ "cert_file", certificate_read }, { "key_file", key_read },
		{ "key_password_file", password_read }, { "certs,certificates", pairs_read },
		{ "ca_file", authority_read }, { "crl_file", revoked_read },
		{ "verify", verify_read }, { "verify_and_map", map_read },
		{ "verify_cert_and_check_known_urls", known_urls_read }, { "insecure", insecure_read },
		{ "pinned_certs", pins_read }, { "min_version", minimum_read },
		{ "cipher_suites", suites_read }, { "allow_insecure_cipher_suites", insecure_suites_read },
		{ "curve_preferences", curves_read }, { "timeout", timeout_read },
		{ "handshake_first,first,immediate", first_read }, { "connection_rate_limit", rate_read },
		{ "cert_store", store_read }, { "cert_match_by", match_by_read }, { "cert_match", match_read },
		{ "cert_match_skip_invalid", match_skip_read }, { "ca_certs_match", match_authorities_read },
		{ "ocsp_peer", ocsp_read },
	};
	struct fields			f = { t, "tls", b };

	b->given = true;
	b->at = e->at;
	return fields_read(&f, &e->value, table, sizeof(table) / sizeof(table[0]));
}
