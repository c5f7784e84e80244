#include <ctype.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "common/records.h"
#include "tls/chain.h"
#include "tls/names.h"
#include "tls/stream.h"

#define NAME_MOST	8192u	/* of certificate_name */
#define NAMES_MOST	16384u	/* of `login` */

/* A text that is being put together; full: it does not fit, and is of no use. */
struct text { char data[NAME_MOST]; size_t len; bool full; };

static void
text_add(struct text *t, const char *data, size_t len)
{
	if (len > sizeof(t->data) - t->len) {
		t->full = true;
		return;
	}
	memcpy(t->data + t->len, data, len);
	t->len += len;
}

static void
text_say(struct text *t, const char *word)
{
	text_add(t, word, strlen(word));
}

/* No NUL and nothing else that controls: such a name is nobody's. */
static bool
name_is_plain(struct bytes name)
{
	size_t	i;

	for (i = 0; i < name.len; i++)
		if ((unsigned char)name.data[i] < ' ' || name.data[i] == 0x7f)
			return false;
	return name.len > 0 && name.len <= NAME_MOST;
}

static int
name_add(msgpack_sbuffer *out, size_t start, enum certificate_name_kind kind, struct bytes name)
{
	const struct msg	m = { .type = MSG_certificate_name,
				    .u.certificate_name = { .kind = kind, .name = name } };
	int			rc;

	if (!name_is_plain(name))
		return 0;
	rc = records_add(out, &m);
	return rc == 0 && out->size - start > NAMES_MOST ? -EMSGSIZE : rc;
}

/* -- names beside the subject */

static int
alternatives_add(msgpack_sbuffer *out, size_t start, const GENERAL_NAMES *all, int type,
    enum certificate_name_kind kind)
{
	const GENERAL_NAME	*g;
	const ASN1_IA5STRING	*s;
	int			 i, rc = 0;

	for (i = 0; rc == 0 && i < sk_GENERAL_NAME_num(all); i++) {
		g = sk_GENERAL_NAME_value(all, i);
		if (g->type != type)
			continue;
		s = g->d.ia5;
		rc = name_add(out, start, kind,
		    (struct bytes){ (const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s) });
	}
	return rc;
}

/* -- the subject */

/* The attributes that the real server has names for, in the order in which it sorts a subject that it prints. */
static const struct { int nid; const char *name; } attributes[] = {
	{ NID_countryName, "C" }, { NID_organizationName, "O" }, { NID_organizationalUnitName, "OU" },
	{ NID_localityName, "L" }, { NID_stateOrProvinceName, "ST" }, { NID_streetAddress, "STREET" },
	{ NID_postalCode, "POSTALCODE" }, { NID_commonName, "CN" }, { NID_serialNumber, "SERIALNUMBER" },
};
#define ATTRIBUTES	(sizeof(attributes) / sizeof(attributes[0]))

static const char *
attribute_name(int nid)
{
	size_t	i;

	for (i = 0; i < ATTRIBUTES; i++)
		if (attributes[i].nid == nid)
			return attributes[i].name;
	return nid == NID_domainComponent ? "DC" : NULL;
}

/* A value, with a backslash before what RFC 2253 reads otherwise. */
static void
value_say(struct text *t, const unsigned char *value, size_t len)
{
	size_t	i;
	bool	escaped;

	for (i = 0; i < len; i++) {
		escaped = strchr(",+\"\\<>;", value[i]) != NULL || (value[i] == '#' && i == 0) ||
		    (value[i] == ' ' && (i == 0 || i == len - 1));
		if (value[i] == '\0' || value[i] < ' ')
			t->full = true;
		if (escaped)
			text_say(t, "\\");
		text_add(t, (const char *)&value[i], 1);
	}
}

/* "CN=a", escaped or as it is. What is no text leaves t of no use. */
static void
attribute_say(struct text *t, const char *name, const X509_NAME_ENTRY *e, bool escape)
{
	unsigned char	*value;
	const int	 len = ASN1_STRING_to_UTF8(&value, X509_NAME_ENTRY_get_data(e));

	if (len < 0) {
		t->full = true;
		return;
	}
	text_say(t, name);
	text_say(t, "=");
	if (escape)
		value_say(t, value, (size_t)len);
	else
		text_add(t, (const char *)value, (size_t)len);
	OPENSSL_free(value);
}

/* All of it, last part first. False: an attribute has no name of its own, so that it is not compared as one. */
static bool
subject_distinguished(struct text *t, const X509_NAME *subject)
{
	int	i, part = -1;

	for (i = X509_NAME_entry_count(subject) - 1; i >= 0; i--) {
		const X509_NAME_ENTRY	*e = X509_NAME_get_entry(subject, i);
		const char		*name = attribute_name(OBJ_obj2nid(X509_NAME_ENTRY_get_object(e)));

		if (name == NULL)
			return false;
		if (t->len > 0)
			text_say(t, X509_NAME_ENTRY_set(e) == part ? "+" : ",");
		part = X509_NAME_ENTRY_set(e);
		attribute_say(t, name, e, true);
	}
	return t->len > 0 && !t->full;
}

/* Those of one kind; between them `between`. */
static void
attributes_say(struct text *t, const X509_NAME *subject, int nid, const char *name, const char *before,
    const char *between, bool last, bool escape)
{
	const char	*sign = before;
	int		 at = -1, found = -1;

	while ((at = X509_NAME_get_index_by_NID(subject, nid, at)) >= 0) {
		found = at;
		if (last)
			continue;
		text_say(t, t->len == 0 ? "" : sign);
		sign = between;
		attribute_say(t, name, X509_NAME_get_entry(subject, at), escape);
	}
	if (!last || found < 0)
		return;
	text_say(t, t->len == 0 ? "" : sign);
	attribute_say(t, name, X509_NAME_get_entry(subject, found), escape);
}

/*
 * As the real server prints it: sorted by attribute, those of one kind as one part, and what has
 * no name among them left out. Of common names and serial numbers there is one.
 */
static void
subject_printed(struct text *t, const X509_NAME *subject)
{
	size_t	i;

	for (i = ATTRIBUTES; i-- > 0;)
		attributes_say(t, subject, attributes[i].nid, attributes[i].name, ",", "+",
		    attributes[i].nid == NID_commonName || attributes[i].nid == NID_serialNumber, true);
}

/* An attribute that has no name in this table: "1.2.3=#" and the value in hexadecimal, as a printable or UTF-8 string. */
static void
nameless_say(struct text *t, const X509_NAME_ENTRY *e)
{
	static const char	 plain[] = " '()+,-./:=?";
	unsigned char		*value;
	const int		 len = ASN1_STRING_to_UTF8(&value, X509_NAME_ENTRY_get_data(e));
	char			 oid[80], hex[4];
	bool			 printable = true;
	int			 i;

	if (len < 0 || len > 127) {	/* a longer one has a length of several bytes, and is of no interest */
		t->full = true;
		if (len >= 0)
			OPENSSL_free(value);
		return;
	}
	for (i = 0; i < len; i++)
		printable = printable && value[i] != '\0' && (isalnum(value[i]) || strchr(plain, value[i]) != NULL);
	OBJ_obj2txt(oid, sizeof(oid), X509_NAME_ENTRY_get_object(e), 1);
	text_say(t, t->len == 0 ? "" : ",");
	text_say(t, oid);
	text_say(t, printable ? "=#13" : "=#0c");
	for (i = -1; i < len; i++) {
		snprintf(hex, sizeof(hex), "%02x", i < 0 ? (unsigned)len : value[i]);
		text_say(t, hex);
	}
	OPENSSL_free(value);
}

/* For people: the rest behind what has names. */
static void
subject_report(struct text *t, const X509_NAME *subject)
{
	const char	*name;
	int		 i;

	subject_printed(t, subject);
	for (i = X509_NAME_entry_count(subject) - 1; i >= 0; i--) {
		const X509_NAME_ENTRY	*e = X509_NAME_get_entry(subject, i);

		name = attribute_name(OBJ_obj2nid(X509_NAME_ENTRY_get_object(e)));
		if (name == NULL || strcmp(name, "DC") == 0)
			nameless_say(t, e);
	}
}

static int
text_take(msgpack_sbuffer *out, size_t start, enum certificate_name_kind kind, const struct text *t)
{
	return t->full ? 0 : name_add(out, start, kind, (struct bytes){ t->data, t->len });
}

/* Compared as a distinguished name; then as it is printed, with its domain components and without. */
static int
subject_add(msgpack_sbuffer *out, size_t start, const X509_NAME *subject)
{
	struct text	t = { .len = 0 };
	int		rc = 0;

	if (subject_distinguished(&t, subject))
		rc = text_take(out, start, CERTIFICATE_SUBJECT, &t);
	t.len = 0;
	t.full = false;
	subject_printed(&t, subject);
	if (rc == 0 && X509_NAME_get_index_by_NID(subject, NID_domainComponent, -1) >= 0) {
		struct text	whole = t;

		attributes_say(&whole, subject, NID_domainComponent, "DC", ",", ",", false, false);
		rc = text_take(out, start, CERTIFICATE_TEXT, &whole);
	}
	return rc != 0 ? rc : text_take(out, start, CERTIFICATE_TEXT, &t);
}

static int
names_add(msgpack_sbuffer *out, const X509 *x)
{
	const size_t	 start = out->size;
	GENERAL_NAMES	*all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	int		 rc = 0;

	if (all != NULL) {
		rc = alternatives_add(out, start, all, GEN_EMAIL, CERTIFICATE_EMAIL);
		if (rc == 0)
			rc = alternatives_add(out, start, all, GEN_DNS, CERTIFICATE_DNS);
		if (rc == 0)
			rc = alternatives_add(out, start, all, GEN_URI, CERTIFICATE_URI);
		GENERAL_NAMES_free(all);
	}
	return rc != 0 ? rc : subject_add(out, start, X509_get_subject_name(x));
}

int
tls_names(const struct tls_stream *s, msgpack_sbuffer *out)
{
	const size_t	 start = out->size;
	X509		*x = tls_established(s) ? tls_peer(s) : NULL;
	int		 rc = x == NULL ? 0 : names_add(out, x);

	X509_free(x);
	if (rc != 0)
		out->size = start;
	return rc;
}

void
names_subject(const X509 *x, char *text, size_t size)
{
	struct text	t = { .len = 0 };

	subject_report(&t, X509_get_subject_name(x));
	snprintf(text, size, "%.*s", (int)t.len, t.data);
}

bool
tls_peer_facts(const struct tls_stream *s, struct tls_peer *out)
{
	X509	*x = tls_established(s) ? tls_peer(s) : NULL;
	bool	 ok = x != NULL && chain_key_digest(x, out->key) &&
		    X509_digest(x, EVP_sha256(), out->certificate, NULL) == 1;

	if (ok)
		names_subject(x, out->subject, sizeof(out->subject));
	X509_free(x);
	return ok;
}
