#include <sys/mman.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include "common/memfd.h"
#include "supervisor/signer/keyfile.h"
#include "supervisor/signer/keys.h"

#define LOCKED_EACH	16384u		/* bytes of locked memory: four large RSA keys */
#define LOCKED_LEAST	(1u << 20)
#define LOCKED_PIECE	32		/* its smallest piece */
#define LOCKED_SPARE	64u		/* keys of a reload, beside those at the start */

/* -- memory: OpenSSL wipes most of what held a key, and with this all of it */

static void *
memory_new(size_t size, const char *file, int line)
{
	return malloc(size);
}

static void
memory_free(void *p, const char *file, int line)
{
	if (p != NULL)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

static void *
memory_resize(void *p, size_t size, const char *file, int line)
{
	const size_t	 had = p == NULL ? 0 : malloc_usable_size(p);
	void		*more;

	if (size <= had && size > 0)
		return p;
	if ((more = malloc(size)) == NULL)
		return NULL;
	if (had > 0)
		memcpy(more, p, had < size ? had : size);
	memory_free(p, file, line);
	return more;
}

int
keys_setup(size_t certificates)
{
	const size_t	wanted = LOCKED_EACH * (certificates + LOCKED_SPARE);
	size_t		locked = LOCKED_LEAST;
	uint8_t		some[32];
	int		secure;

	while (locked < wanted)
		locked *= 2;
	if (CRYPTO_set_mem_functions(memory_new, memory_resize, memory_free) != 1 ||
	    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_CRYPTO_STRINGS |
	    OPENSSL_INIT_ADD_ALL_CIPHERS | OPENSSL_INIT_ADD_ALL_DIGESTS, NULL) != 1 ||
	    (secure = CRYPTO_secure_malloc_init(locked, LOCKED_PIECE)) == 0 ||
	    RAND_bytes(some, sizeof(some)) != 1 || RAND_priv_bytes(some, sizeof(some)) != 1)
		return -ENOMEM;
	return secure == 1 ? 0 : 1;
}

/* -- life */

static void
key_free(struct key *key)
{
	EVP_PKEY_free(key->pkey);
	if (key->file != -1)
		close(key->file);
	free(key->path);
	free(key);
}

int
keys_init(struct keys *k)
{
	static const char *const	names[] = { "SHA2-256", "SHA2-384", "SHA2-512" };
	unsigned			i;

	*k = (struct keys){ .context = EVP_MD_CTX_new() };
	if (k->context == NULL)
		return -ENOMEM;
	for (i = 0; i < 3; i++)
		if ((k->digests[i] = EVP_MD_fetch(NULL, names[i], NULL)) == NULL)
			return -ENOMEM;
	return 0;
}

void
keys_free(struct keys *k)
{
	unsigned	i;

	while (k->count > 0)
		key_free(k->all[--k->count]);
	free(k->all);
	for (i = 0; i < 3; i++)
		EVP_MD_free(k->digests[i]);
	EVP_MD_CTX_free(k->context);
	*k = (struct keys){ .count = 0 };
}

/* -- taking */

static void
key_blame(struct key *key, const char *why)
{
	snprintf(key->error, sizeof(key->error), "%s", why);
}

/* Its file (consumed) and, if it has one, its password as they were sent. */
static void
key_read(struct key *key, int fd, struct bytes password)
{
	const char	*why;
	struct bytes	 file;
	int		 rc = memfd_map_sealed(fd, KEY_FILE_MAX, &file);

	close(fd);
	if (rc == -EBADMSG) {
		key_blame(key, "tls: failed to find any PEM data in key input");
		return;
	}
	if (rc != 0) {
		key_blame(key, strerror(-rc));
		return;
	}
	key->pkey = keyfile_read(file, password, &why);
	munmap((void *)(uintptr_t)file.data, file.len);
	if (key->pkey == NULL)
		key_blame(key, why);
}

/* What was prepared and is not to be had any more. */
static void
keys_forget(struct keys *k, uint64_t version)
{
	size_t	i, kept = 0;

	for (i = 0; i < k->count; i++)
		if (k->all[i]->in_force || k->all[i]->before || k->all[i]->version == version)
			k->all[kept++] = k->all[i];
		else
			key_free(k->all[i]);
	k->count = kept;
}

static struct key *
key_new(struct keys *k, const struct msg_signing_key *m)
{
	struct key	*key, **more;

	if (k->count == k->room) {
		if ((more = reallocarray(k->all, k->room + k->room / 2 + 8, sizeof(struct key *))) == NULL)
			return NULL;
		k->all = more;
		k->room += k->room / 2 + 8;
	}
	if ((key = calloc(1, sizeof(*key))) == NULL)
		return NULL;
	key->number = m->key;
	key->version = m->version;
	key->file = -1;
	if ((key->path = strndup(m->path.data, m->path.len)) == NULL) {
		free(key);
		return NULL;
	}
	return key;
}

int
keys_add(struct keys *k, const struct msg_signing_key *m, int fd)
{
	struct key	*key;
	int		 rc = 0;

	if (k->count > 0 && m->key <= k->all[k->count - 1]->number)
		rc = -EPROTO;
	else
		keys_forget(k, m->version);
	if (rc == 0 && (key = key_new(k, m)) == NULL)
		rc = -ENOMEM;
	if (rc != 0) {
		close(fd);
		return rc;
	}
	k->all[k->count++] = key;
	if (m->locked == 0) {
		key_read(key, fd, (struct bytes){ NULL, 0 });
		return 0;
	}
	key->file = fd;
	key_blame(key, "its password did not come");
	return 0;
}

int
keys_unlock(struct keys *k, const struct msg_key_password *m, int fd)
{
	struct key	*key = k->count == 0 ? NULL : k->all[k->count - 1];
	struct bytes	 file, password = { NULL, 0 };
	int		 rc;

	if (key == NULL || key->number != m->key || key->file == -1) {
		close(fd);
		return -EPROTO;
	}
	rc = memfd_map_sealed(fd, KEY_FILE_MAX, &file);
	close(fd);
	if (rc == 0 && keyfile_password(file, &password) == 0)
		key_read(key, key->file, password);
	else {
		snprintf(key->error, sizeof(key->error), "key_password_file %.150s has no password in its first line", m->path.data);
		close(key->file);
	}
	key->file = -1;
	if (rc == 0)
		munmap((void *)(uintptr_t)file.data, file.len);
	return 0;
}

struct key *
keys_find(const struct keys *k, uint64_t number)
{
	size_t	low = 0, high = k->count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (k->all[middle]->number == number)
			return k->all[middle];
		if (k->all[middle]->number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

void
keys_commit(struct keys *k, bool (*named)(const void *arg, uint64_t number), const void *arg)
{
	struct key	*key;
	size_t		 i, kept = 0;

	for (i = 0; i < k->count; i++) {
		key = k->all[i];
		key->before = key->in_force;
		key->in_force = named(arg, key->number);
		if (key->in_force || key->before)
			k->all[kept++] = key;
		else
			key_free(key);
	}
	k->count = kept;
}

/* -- signing */

/* SignatureScheme: digest is of keys.digests; type: of the key; padding: of RSA. */
static const struct scheme {
	unsigned	number;
	int		type, digest, bits;	/* bits: of the curve, which TLS 1.3 binds to it */
	int		padding;
	bool		old;			/* of TLS 1.2 alone */
} schemes[] = {
	{ 0x0401, EVP_PKEY_RSA, 0, 0, RSA_PKCS1_PADDING, true },
	{ 0x0501, EVP_PKEY_RSA, 1, 0, RSA_PKCS1_PADDING, true },
	{ 0x0601, EVP_PKEY_RSA, 2, 0, RSA_PKCS1_PADDING, true },
	{ 0x0804, EVP_PKEY_RSA, 0, 0, RSA_PKCS1_PSS_PADDING, false },
	{ 0x0805, EVP_PKEY_RSA, 1, 0, RSA_PKCS1_PSS_PADDING, false },
	{ 0x0806, EVP_PKEY_RSA, 2, 0, RSA_PKCS1_PSS_PADDING, false },
	{ 0x0403, EVP_PKEY_EC, 0, 256, 0, false },
	{ 0x0503, EVP_PKEY_EC, 1, 384, 0, false },
	{ 0x0603, EVP_PKEY_EC, 2, 521, 0, false },
	{ 0x0807, EVP_PKEY_ED25519, -1, 0, 0, false },
	{ 0x0808, EVP_PKEY_ED448, -1, 0, 0, false },
};

/* NULL: the key has it not, or this content may not be signed by it. */
static const struct scheme *
scheme_find(unsigned number, EVP_PKEY *pkey, enum content content)
{
	size_t	i;

	for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (schemes[i].number == number)
			break;
	if (i == sizeof(schemes) / sizeof(schemes[0]) || EVP_PKEY_get_base_id(pkey) != schemes[i].type)
		return NULL;
	if (content == CONTENT_TLS13 &&
	    (schemes[i].old || (schemes[i].bits != 0 && schemes[i].bits != EVP_PKEY_get_bits(pkey))))
		return NULL;
	return &schemes[i];
}

static bool
padding_set(EVP_PKEY_CTX *pctx, const struct scheme *s)
{
	if (s->padding == 0)
		return true;
	if (EVP_PKEY_CTX_set_rsa_padding(pctx, s->padding) != 1)
		return false;
	return s->padding != RSA_PKCS1_PSS_PADDING || EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) == 1;
}

static const EVP_MD *
digest_of(const struct keys *k, const struct scheme *s)
{
	return s->digest == -1 ? NULL : k->digests[s->digest];
}

enum sign_refusal
key_sign(struct keys *k, const struct key *key, unsigned scheme, struct bytes content,
    uint8_t out[SIGNATURE_MAX], size_t *len)
{
	const enum content	 is = content_of(content);
	const struct scheme	*s;
	EVP_PKEY_CTX		*pctx;
	bool			 done;

	if (is == CONTENT_OTHER || (is == CONTENT_TLS12 && key->tls13))
		return SIGN_CONTENT;
	if ((s = scheme_find(scheme, key->pkey, is)) == NULL)
		return SIGN_SCHEME;
	*len = SIGNATURE_MAX;
	done = EVP_DigestSignInit(k->context, &pctx, digest_of(k, s), NULL, key->pkey) == 1 && padding_set(pctx, s) &&
	    EVP_DigestSign(k->context, out, len, (const uint8_t *)content.data, content.len) == 1;
	EVP_MD_CTX_reset(k->context);
	if (!done)
		ERR_clear_error();
	return done ? SIGN_DONE : SIGN_FAILED;
}

/* The first scheme that the key has in TLS 1.3. */
static const struct scheme *
scheme_first(EVP_PKEY *pkey)
{
	const struct scheme	*s;
	size_t			 i;

	for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if ((s = scheme_find(schemes[i].number, pkey, CONTENT_TLS13)) != NULL)
			return s;
	return NULL;
}

bool
key_try(struct keys *k, struct key *key, EVP_PKEY *public)
{
	const struct scheme	*s = scheme_first(key->pkey);
	const struct bytes	 content = content_sample();
	uint8_t			 signature[SIGNATURE_MAX];
	EVP_PKEY_CTX		*pctx;
	size_t			 len;

	if (key->tried)
		return true;
	if (s == NULL || key_sign(k, key, s->number, content, signature, &len) != SIGN_DONE)
		return false;
	key->tried = EVP_DigestVerifyInit(k->context, &pctx, digest_of(k, s), NULL, public) == 1 && padding_set(pctx, s) &&
	    EVP_DigestVerify(k->context, signature, len, (const uint8_t *)content.data, content.len) == 1;
	EVP_MD_CTX_reset(k->context);
	ERR_clear_error();
	return key->tried;
}
