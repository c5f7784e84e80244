#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/prov_ssl.h>
#include <openssl/x509.h>
#include "common/log.h"
#include "common/records.h"
#include "supervisor/signer/inventory.h"

#define DAY		86400
#define SOON		(30 * DAY)	/* is warned of */
#define PATH_SHOWN	120		/* bytes of a path in a refusal */

/* -- refusals */

static const char *
path_end(const char *path)
{
	const size_t	len = strlen(path);

	return len > PATH_SHOWN ? path + len - PATH_SHOWN : path;
}

static const char *
path_dots(const char *path)
{
	return strlen(path) > PATH_SHOWN ? "..." : "";
}

void
inventory_blame(char error[BLAME_MAX], const char *what, const char *path, const char *key)
{
	if (key == NULL)
		snprintf(error, BLAME_MAX, "%.200s (certificate %s%s)", what, path_dots(path), path_end(path));
	else
		snprintf(error, BLAME_MAX, "%.200s (certificate %s%s, key %s%s)", what, path_dots(path), path_end(path),
		    path_dots(key), path_end(key));
}

/* -- one certificate */

static void
certificate_free(struct certificate *c)
{
	free(c->path);
	free(c->subject);
	EVP_PKEY_free(c->public);
}

static time_t
time_of(const ASN1_TIME *t)
{
	struct tm	tm;

	return ASN1_TIME_to_tm(t, &tm) == 1 ? timegm(&tm) : 0;
}

/* NULL: no memory. */
static char *
subject_of(const X509 *x)
{
	BIO	*out = BIO_new(BIO_s_mem());
	char	*data, *text = NULL;
	long	 len;

	if (out != NULL && X509_NAME_print_ex(out, X509_get_subject_name(x), 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0 &&
	    (len = BIO_get_mem_data(out, &data)) >= 0)
		text = strndup(data == NULL ? "" : data, (size_t)len);
	BIO_free(out);
	return text;
}

/* 0; -EBADMSG: its key is none; -ENOMEM. */
static int
certificate_fill(struct certificate *c, X509 *x, struct bytes path)
{
	c->from = time_of(X509_get0_notBefore(x));
	c->until = time_of(X509_get0_notAfter(x));
	c->path = strndup(path.data, path.len);
	c->subject = subject_of(x);
	if (c->path == NULL || c->subject == NULL)
		return -ENOMEM;
	if (c->key == 0)
		return 0;
	c->public = X509_get_pubkey(x);
	return c->public == NULL ? -EBADMSG : 0;
}

static int
certificate_add(struct inventory *all, struct certificate one, X509 *x, struct bytes path)
{
	struct certificate	*more;
	const size_t		 room = all->room + all->room / 2 + 8;
	int			 rc;

	if (all->count == all->room) {
		if ((more = reallocarray(all->all, room, sizeof(*more))) == NULL)
			return -ENOMEM;
		all->all = more;
		all->room = room;
	}
	rc = certificate_fill(&one, x, path);
	if (rc == 0)
		all->all[all->count++] = one;
	else
		certificate_free(&one);
	return rc;
}

/* -- a document */

struct reading { struct inventory *into; enum tls_use use; bool tls13; char *error; };

/* All certificates of a PEM text; the key is the first one's. */
static int
chain_read(struct reading *r, struct bytes pem, struct bytes path, uint64_t key)
{
	struct certificate	 c = { .key = key, .use = r->use, .tls13 = r->tls13 };
	BIO			*in = BIO_new_mem_buf(pem.data, (int)pem.len);
	X509			*x;
	unsigned		 count = 0;
	int			 rc = in == NULL ? -ENOMEM : 0;
	bool			 ended;

	ERR_clear_error();
	while (rc == 0 && (x = PEM_read_bio_X509(in, NULL, NULL, NULL)) != NULL) {
		rc = certificate_add(r->into, c, x, path);
		X509_free(x);
		c.key = 0;
		count++;
	}
	ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
	if (rc == 0 && (count == 0 || !ended))
		rc = -EBADMSG;
	ERR_clear_error();
	BIO_free(in);
	return rc;
}

static int
own_read(struct reading *r, const struct msg_tls_certificate *m)
{
	const int	 rc = r->use == TLS_NOTHING ? -EBADMSG : chain_read(r, m->chain, m->path, m->key);
	char		*path;

	if (rc == 0)
		return 0;
	path = strndup(m->path.data, m->path.len);
	inventory_blame(r->error, rc == -ENOMEM ? "the signer has no memory for a certificate" :
	    "error parsing X509 certificate/key pair: x509: malformed certificate", path == NULL ? "" : path, NULL);
	free(path);
	return rc;
}

/* An authority that cannot be read is the context's matter (tls/context.h): here it is only looked at for its end. */
static int
record_read(void *arg, const struct msg *m)
{
	const struct msg_tls_authority	*a = &m->u.tls_authority;
	struct reading			*r = arg;

	switch (m->type) {
	case MSG_tls_context:
		r->use = (enum tls_use)m->u.tls_context.use;
		r->tls13 = m->u.tls_context.minimum >= TLS1_3_VERSION;
		return 0;
	case MSG_tls_certificate:
		return own_read(r, &m->u.tls_certificate);
	case MSG_tls_authority:
		return chain_read(r, a->certificate, a->path, 0) == -ENOMEM ? -ENOMEM : 0;
	default:
		return 0;
	}
}

int
inventory_read(struct inventory *c, int document, char error[BLAME_MAX])
{
	struct reading	 r = { .into = c, .error = error };
	const char	*why;
	int		 rc;

	error[0] = '\0';
	rc = records_read(document, ROLE_SUPERVISOR, ROLE_SIGNER, record_read, &r, &why);
	if (rc == 0)
		return 0;
	if (error[0] == '\0')
		snprintf(error, BLAME_MAX, "the signer cannot read the TLS document: %s (%s)", why, strerror(-rc));
	inventory_free(c);
	return rc;
}

void
inventory_free(struct inventory *c)
{
	while (c->count > 0)
		certificate_free(&c->all[--c->count]);
	free(c->all);
	*c = (struct inventory){ .count = 0 };
}

const struct certificate *
inventory_find(const struct inventory *c, uint64_t key)
{
	size_t	i;

	for (i = 0; i < c->count; i++)
		if (c->all[i].key == key)
			return &c->all[i];
	return NULL;
}

/* -- how long they last */

static void
certificate_log(const struct certificate *c, time_t now)
{
	const time_t	left = c->until - now, *shown = now < c->from ? &c->from : &c->until;
	const long long	days = (long long)left / DAY;
	char		date[32];
	struct tm	tm;

	if (gmtime_r(shown, &tm) == NULL || strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
		date[0] = '\0';
	if (now < c->from)
		log_warn("TLS certificate %s (%s) is not valid before %s", c->path, c->subject, date);
	else if (left <= 0)
		log_warn("TLS certificate %s (%s) expired %s", c->path, c->subject, date);
	else if (left < SOON)
		log_warn("TLS certificate %s (%s) expires %s, days left: %lld", c->path, c->subject, date, days);
	else if (c->key != 0)
		log_info("TLS certificate %s (%s) expires %s, days left: %lld", c->path, c->subject, date, days);
}

void
inventory_log(const struct inventory *c, time_t now)
{
	size_t	i;

	for (i = 0; i < c->count; i++)
		certificate_log(&c->all[i], now);
}
