#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <openssl/evp.h>
#include "nats/utf8.h"
#include "supervisor/config/digest.h"

/*
 * The bytes have to be those of Go's encoder, else the digest is another one.
 * jansson cannot be told to write them: 0.1 comes out with 17 digits, control
 * characters in upper case, and text that is not UTF-8 not at all.
 */

static EVP_MD	*sha256;

/* Where the JSON goes, in pieces. */
struct sink {
	int		(*write)(void *to, const void *data, size_t len);
	void		*to;
	int		 error;
};

static void
put(struct sink *out, const char *data, size_t len)
{
	if (out->error == 0 && len > 0)
		out->error = out->write(out->to, data, len);
}

static void
put_text(struct sink *out, const char *text)
{
	put(out, text, strlen(text));
}

/* How Go writes the sequence of n bytes at s; NULL: as it is. */
static const char *
escaped(const unsigned char *s, size_t n, char buf[8])
{
	static const struct { char c; const char *as; } named[] = {
		{ '"', "\\\"" }, { '\\', "\\\\" }, { '\n', "\\n" }, { '\r', "\\r" },
		{ '\t', "\\t" }, { '\b', "\\b" }, { '\f', "\\f" },
	};
	size_t	i;

	if (n == 0)
		return "\\ufffd";
	for (i = 0; n == 1 && i < sizeof(named) / sizeof(named[0]); i++)
		if (s[0] == (unsigned char)named[i].c)
			return named[i].as;
	if (n == 1 && (s[0] < 0x20 || s[0] == '<' || s[0] == '>' || s[0] == '&')) {
		snprintf(buf, 8, "\\u%04x", s[0]);
		return buf;
	}
	if (n == 3 && s[0] == 0xe2 && s[1] == 0x80 && (s[2] == 0xa8 || s[2] == 0xa9))
		return s[2] == 0xa8 ? "\\u2028" : "\\u2029";
	return NULL;
}

static void
put_string(struct sink *out, struct bytes b)
{
	const unsigned char	*s = (const unsigned char *)b.data;
	const char		*as;
	char			 buf[8];
	uint32_t		 character;
	size_t			 i, n, start = 0;

	put(out, "\"", 1);
	for (i = 0; i < b.len; i += n == 0 ? 1 : n) {
		n = utf8_decode((struct bytes){ b.data + i, b.len - i }, &character);
		as = escaped(s + i, n, buf);
		if (as == NULL)
			continue;
		put(out, b.data + start, i - start);
		put_text(out, as);
		start = i + (n == 0 ? 1 : n);
	}
	put(out, b.data + start, b.len - start);
	put(out, "\"", 1);
}

/* The shortest digits that read back as v, laid out as Go does. */
static void
put_real(struct sink *out, double v)
{
	char	text[32], digits[20], *e;
	int	precision, exponent, n, i;

	if (v == 0) {
		put_text(out, signbit(v) ? "-0" : "0");
		return;
	}
	for (precision = 0; precision < 17; precision++) {
		snprintf(text, sizeof(text), "%.*e", precision, fabs(v));
		if (strtod(text, NULL) == fabs(v))
			break;
	}
	e = strchr(text, 'e');
	exponent = (int)strtol(e + 1, NULL, 10);
	*e = '\0';
	for (n = 0, i = 0; text[i] != '\0'; i++)
		if (text[i] != '.')
			digits[n++] = text[i];
	if (v < 0)
		put(out, "-", 1);
	if (fabs(v) < 1e-6 || fabs(v) >= 1e21) {
		put_text(out, text);
		snprintf(text, sizeof(text), exponent < 0 ? "e%d" : "e+%02d", exponent);
		put_text(out, text);
		return;
	}
	if (exponent < 0)
		put_text(out, "0.");
	for (i = -1; i > exponent; i--)
		put(out, "0", 1);
	for (i = 0; i < n || i <= exponent; i++) {
		if (i > 0 && i == exponent + 1)
			put(out, ".", 1);
		put(out, i < n ? &digits[i] : "0", 1);
	}
}

static void put_value(struct sink *out, const struct config_value *v);

static void
put_map(struct sink *out, const struct config_value *map)
{
	const struct config_entry	**sorted;
	size_t				  i, n;

	sorted = config_map_sorted(map, &n);
	if (sorted == NULL) {
		out->error = -ENOMEM;
		return;
	}
	put(out, "{", 1);
	for (i = 0; i < n; i++) {
		if (i > 0)
			put(out, ",", 1);
		put_string(out, sorted[i]->key);
		put(out, ":", 1);
		put_value(out, &sorted[i]->value);
	}
	put(out, "}", 1);
	free(sorted);
}

/* As deep as the parser let it become. */
static void
put_value(struct sink *out, const struct config_value *v)
{
	char	number[24];
	size_t	i;

	switch (v->kind) {
	case CONFIG_INTEGER:
		snprintf(number, sizeof(number), "%lld", (long long)v->integer);
		put_text(out, number);
		break;
	case CONFIG_REAL:
		put_real(out, v->real);
		break;
	case CONFIG_BOOLEAN:
		put_text(out, v->boolean ? "true" : "false");
		break;
	case CONFIG_TEXT:
	case CONFIG_TIME:
		put_string(out, v->text);
		break;
	case CONFIG_LIST:
		put(out, "[", 1);
		for (i = 0; i < v->list.count; i++) {
			if (i > 0)
				put(out, ",", 1);
			put_value(out, &v->list.items[i]);
		}
		put(out, "]", 1);
		break;
	case CONFIG_MAP:
		put_map(out, v);
		break;
	}
}

static int
write_digest(void *to, const void *data, size_t len)
{
	return EVP_DigestUpdate(to, data, len) == 1 ? 0 : -EIO;
}

static int
write_stream(void *to, const void *data, size_t len)
{
	return fwrite(data, 1, len, to) == len ? 0 : -ENOMEM;
}

int
digest_prepare(void)
{
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
		return -EIO;
	if (sha256 == NULL)
		sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	return sha256 == NULL ? -EIO : 0;
}

/* Ends md. 0, -EIO. */
static int
digest_finish(EVP_MD_CTX *md, char text[DIGEST_TEXT])
{
	unsigned char	hash[EVP_MAX_MD_SIZE];
	unsigned	len, i;

	if (EVP_DigestFinal_ex(md, hash, &len) != 1 || len != 32)
		return -EIO;
	memcpy(text, "sha256:", 8);
	for (i = 0; i < len; i++)
		snprintf(text + 7 + i * 2, 3, "%02x", hash[i]);
	return 0;
}

int
digest_config(const struct config_value *map, char text[DIGEST_TEXT])
{
	EVP_MD_CTX	*md = EVP_MD_CTX_new();
	struct sink	 out = { write_digest, md, 0 };

	if (md == NULL)
		return -ENOMEM;
	if (EVP_DigestInit_ex(md, sha256, NULL) != 1)
		out.error = -EIO;
	put_value(&out, map);
	put(&out, "\n", 1);
	if (out.error == 0)
		out.error = digest_finish(md, text);
	EVP_MD_CTX_free(md);
	return out.error;
}

int
digest_texts(const struct bytes *texts, size_t count, char text[DIGEST_TEXT])
{
	EVP_MD_CTX	*md = EVP_MD_CTX_new();
	size_t		 i;
	int		 rc = 0;

	if (md == NULL)
		return -ENOMEM;
	if (EVP_DigestInit_ex(md, sha256, NULL) != 1)
		rc = -EIO;
	for (i = 0; i < count && rc == 0; i++)
		rc = write_digest(md, texts[i].data, texts[i].len);
	if (rc == 0)
		rc = digest_finish(md, text);
	EVP_MD_CTX_free(md);
	return rc;
}

char *
digest_json(const struct config_value *map, size_t *len)
{
	char		*text = NULL;
	FILE		*f = open_memstream(&text, len);
	struct sink	 out = { write_stream, f, 0 };

	if (f == NULL)
		return NULL;
	put_value(&out, map);
	put(&out, "\n", 1);
	if (fclose(f) != 0 || out.error != 0) {
		free(text);
		return NULL;
	}
	return text;
}
