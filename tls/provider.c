#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <errno.h>
#include <stdlib.h>
#include "tls/provider.h"

#define NAME		"bulkhead"
#define OURS		"provider=" NAME
#define FUNCTION(f)	(void (*)(void))(f)

/* What provider_key() imports; nobody else knows it. */
#define PARAM_PUBLIC	"bulkhead-public"
#define PARAM_SIGNING	"bulkhead-signing"
#define PARAM_NUMBER	"bulkhead-number"

struct key {
	OSSL_LIB_CTX	*library;
	EVP_PKEY	*public;
	struct signing	*signing;	/* NULL: a public key that is only compared */
	uint64_t	 number;
};

/* -- keys */

static void *
key_new(void *provider)
{
	struct key	*k = calloc(1, sizeof(*k));

	if (k != NULL)
		k->library = provider;
	return k;
}

static void
key_free(void *data)
{
	struct key	*k = data;

	if (k == NULL)
		return;
	EVP_PKEY_free(k->public);
	free(k);
}

static int
key_has(const void *data, int selection)
{
	const struct key	*k = data;

	if (k->public == NULL)
		return 0;
	return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) == 0 || k->signing != NULL;
}

static int
key_match(const void *a, const void *b, int selection)
{
	const struct key	*x = a, *y = b;

	return x->public != NULL && y->public != NULL && EVP_PKEY_eq(x->public, y->public) == 1;
}

static int
key_get(void *data, OSSL_PARAM params[])
{
	return EVP_PKEY_get_params(((struct key *)data)->public, params);
}

static const OSSL_PARAM *
key_gettable(void *provider)
{
	static const OSSL_PARAM	all[] = {
		OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, NULL, 0),
		OSSL_PARAM_END
	};

	return all;
}

/* A key of ours, or the public key of a certificate that it is compared with. */
static int
key_import(struct key *k, const char *type, const OSSL_PARAM params[])
{
	const OSSL_PARAM	*public = OSSL_PARAM_locate_const(params, PARAM_PUBLIC);
	const OSSL_PARAM	*signing = OSSL_PARAM_locate_const(params, PARAM_SIGNING);
	const OSSL_PARAM	*number = OSSL_PARAM_locate_const(params, PARAM_NUMBER);
	EVP_PKEY_CTX		*ctx;
	int			 ok;

	if (public != NULL && signing != NULL && number != NULL) {
		k->public = *(EVP_PKEY *const *)public->data;
		k->signing = *(struct signing *const *)signing->data;
		return EVP_PKEY_up_ref(k->public) && OSSL_PARAM_get_uint64(number, &k->number);
	}
	ctx = EVP_PKEY_CTX_new_from_name(k->library, type, "provider=default");
	ok = ctx != NULL && EVP_PKEY_fromdata_init(ctx) > 0 &&
	    EVP_PKEY_fromdata(ctx, &k->public, EVP_PKEY_PUBLIC_KEY, (OSSL_PARAM *)(uintptr_t)params) > 0;
	EVP_PKEY_CTX_free(ctx);
	return ok;
}

static const OSSL_PARAM *
key_types(int selection)
{
	static const OSSL_PARAM	all[] = {
		OSSL_PARAM_octet_string(PARAM_PUBLIC, NULL, 0),
		OSSL_PARAM_octet_string(PARAM_SIGNING, NULL, 0),
		OSSL_PARAM_uint64(PARAM_NUMBER, NULL),
		OSSL_PARAM_END
	};

	return all;
}

/*
 * Never more than the public half: libcrypto would hand what is exported to the default
 * provider and sign there, if it could.
 */
static int
key_export(void *data, int selection, OSSL_CALLBACK *callback, void *arg)
{
	if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0)
		return 0;
	return EVP_PKEY_export(((struct key *)data)->public, selection, callback, arg);
}

#define KEYS(name, type, signature)						\
static int									\
name##_import(void *data, int selection, const OSSL_PARAM params[])		\
{										\
	return key_import(data, type, params);					\
}										\
static const char *								\
name##_operation(int operation)							\
{										\
	return operation == OSSL_OP_SIGNATURE ? signature : type;		\
}										\
static const OSSL_DISPATCH name##_keys[] = {					\
	{ OSSL_FUNC_KEYMGMT_NEW, FUNCTION(key_new) },				\
	{ OSSL_FUNC_KEYMGMT_FREE, FUNCTION(key_free) },				\
	{ OSSL_FUNC_KEYMGMT_HAS, FUNCTION(key_has) },				\
	{ OSSL_FUNC_KEYMGMT_MATCH, FUNCTION(key_match) },			\
	{ OSSL_FUNC_KEYMGMT_GET_PARAMS, FUNCTION(key_get) },			\
	{ OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, FUNCTION(key_gettable) },		\
	{ OSSL_FUNC_KEYMGMT_IMPORT, FUNCTION(name##_import) },			\
	{ OSSL_FUNC_KEYMGMT_IMPORT_TYPES, FUNCTION(key_types) },		\
	{ OSSL_FUNC_KEYMGMT_EXPORT, FUNCTION(key_export) },			\
	{ OSSL_FUNC_KEYMGMT_EXPORT_TYPES, FUNCTION(key_types) },		\
	{ OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, FUNCTION(name##_operation) },	\
	{ 0, NULL }								\
};

KEYS(rsa, "RSA", "RSA")
KEYS(ec, "EC", "ECDSA")
KEYS(ed25519, "ED25519", "ED25519")
KEYS(ed448, "ED448", "ED448")

static const OSSL_ALGORITHM all_keys[] = {
	{ "RSA:rsaEncryption", OURS, rsa_keys, NULL },
	{ "EC:id-ecPublicKey", OURS, ec_keys, NULL },
	{ "ED25519", OURS, ed25519_keys, NULL },
	{ "ED448", OURS, ed448_keys, NULL },
	{ NULL, NULL, NULL, NULL }
};

/* -- signatures */

struct signature { const struct key *key; int padding; int bits; };	/* bits: of the hash; 0: none */

static void *
signature_new(void *provider, const char *query)
{
	struct signature	*s = calloc(1, sizeof(*s));

	if (s != NULL)
		s->padding = RSA_PKCS1_PADDING;
	return s;
}

static void
signature_free(void *data)
{
	free(data);
}

static void *
signature_duplicate(void *data)
{
	struct signature	*s = malloc(sizeof(*s));

	if (s != NULL)
		*s = *(struct signature *)data;
	return s;
}

/* Of the parameters of RSA only the padding is free in TLS: the rest follows from the hash. */
static int
signature_set(void *data, const OSSL_PARAM params[])
{
	struct signature	*s = data;
	const OSSL_PARAM	*p = params == NULL ? NULL :
				    OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE);

	if (p == NULL)
		return 1;
	if (p->data_type != OSSL_PARAM_UTF8_STRING)
		return OSSL_PARAM_get_int(p, &s->padding);
	s->padding = strcmp(p->data, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0 ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING;
	return 1;
}

static const OSSL_PARAM *
signature_settable(void *data, void *provider)
{
	static const OSSL_PARAM	all[] = {
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0),
		OSSL_PARAM_END
	};

	return all;
}

/* Of a hash by either of its names; -1: none that TLS signs with. */
static int
digest_bits(const char *name)
{
	static const struct { const char *name; int bits; } all[] = {
		{ "SHA256", 256 }, { "SHA2-256", 256 }, { "SHA384", 384 }, { "SHA2-384", 384 },
		{ "SHA512", 512 }, { "SHA2-512", 512 }, { "", 0 },
	};
	size_t	i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (strcasecmp(name, all[i].name) == 0)
			return all[i].bits;
	return -1;
}

static int
signature_init(void *data, const char *digest, void *key, const OSSL_PARAM params[])
{
	struct signature	*s = data;

	if (key != NULL)
		s->key = key;
	s->bits = digest_bits(digest == NULL ? "" : digest);
	return s->key != NULL && s->bits >= 0 && signature_set(s, params);
}

/* SignatureScheme, RFC 8446 4.2.3; 0: there is none. */
static unsigned
signature_scheme(const struct signature *s)
{
	const EVP_PKEY	*public = s->key->public;
	const unsigned	 i = s->bits == 256 ? 0 : s->bits == 384 ? 1 : 2;

	if (s->bits == 0)
		return EVP_PKEY_is_a(public, "ED25519") ? 0x0807 : EVP_PKEY_is_a(public, "ED448") ? 0x0808 : 0;
	if (EVP_PKEY_is_a(public, "EC"))
		return 0x0403 + (i << 8);
	if (!EVP_PKEY_is_a(public, "RSA"))
		return 0;
	return s->padding == RSA_PKCS1_PSS_PADDING ? 0x0804 + i : 0x0401 + (i << 8);
}

/* EVP_DigestSign(3): first without out, for its size. */
static int
signature_sign(void *data, unsigned char *out, size_t *len, size_t room, const unsigned char *content, size_t size)
{
	const struct signature	*s = data;
	const unsigned		 scheme = signature_scheme(s);

	if (out == NULL) {
		*len = (size_t)EVP_PKEY_get_size(s->key->public);
		return 1;
	}
	return scheme != 0 && s->key->signing != NULL &&
	    signing_ask(s->key->signing, s->key->number, scheme,
	    (struct bytes){ (const char *)content, size }, out, len, room);
}

static const OSSL_DISPATCH signature_functions[] = {
	{ OSSL_FUNC_SIGNATURE_NEWCTX, FUNCTION(signature_new) },
	{ OSSL_FUNC_SIGNATURE_FREECTX, FUNCTION(signature_free) },
	{ OSSL_FUNC_SIGNATURE_DUPCTX, FUNCTION(signature_duplicate) },
	{ OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, FUNCTION(signature_init) },
	{ OSSL_FUNC_SIGNATURE_DIGEST_SIGN, FUNCTION(signature_sign) },
	{ OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, FUNCTION(signature_set) },
	{ OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, FUNCTION(signature_settable) },
	{ 0, NULL }
};

static const OSSL_ALGORITHM all_signatures[] = {
	{ "RSA:rsaEncryption", OURS, signature_functions, NULL },
	{ "ECDSA", OURS, signature_functions, NULL },
	{ "ED25519", OURS, signature_functions, NULL },
	{ "ED448", OURS, signature_functions, NULL },
	{ NULL, NULL, NULL, NULL }
};

/* -- the provider; what it has for itself is the library context that it is in */

static const OSSL_ALGORITHM *
provider_query(void *provider, int operation, int *no_cache)
{
	*no_cache = 0;
	return operation == OSSL_OP_KEYMGMT ? all_keys : operation == OSSL_OP_SIGNATURE ? all_signatures : NULL;
}

static int
provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **provider)
{
	static const OSSL_DISPATCH	functions[] = {
		{ OSSL_FUNC_PROVIDER_QUERY_OPERATION, FUNCTION(provider_query) },
		{ 0, NULL }
	};

	for (; in->function_id != 0; in++)
		if (in->function_id == OSSL_FUNC_CORE_GET_LIBCTX)
			*provider = OSSL_FUNC_core_get_libctx(in)(handle);
	*out = functions;
	return 1;
}

/*
 * In a library context of its own, so that the rest of the process does not meet this provider. In it the
 * default one is preferred, for keys of clients above all; ours is asked for by name, and is what
 * libcrypto falls back to for signatures of our keys, which it cannot export.
 */
int
provider_load(struct signing *s)
{
	s->library = OSSL_LIB_CTX_new();
	if (s->library == NULL)
		return -ENOMEM;
	s->standard = OSSL_PROVIDER_load(s->library, "default");
	if (s->standard != NULL && OSSL_PROVIDER_add_builtin(s->library, NAME, provider_init) == 1)
		s->provider = OSSL_PROVIDER_load(s->library, NAME);
	if (s->provider != NULL && EVP_set_default_properties(s->library, "?provider=default") == 1)
		return 0;
	provider_unload(s);
	return -ENOMEM;
}

void
provider_unload(struct signing *s)
{
	if (s->provider != NULL)
		OSSL_PROVIDER_unload(s->provider);
	if (s->standard != NULL)
		OSSL_PROVIDER_unload(s->standard);
	OSSL_LIB_CTX_free(s->library);
	s->provider = s->standard = NULL;
	s->library = NULL;
}

static const char *
key_type(const EVP_PKEY *public)
{
	static const char *const	all[] = { "RSA", "EC", "ED25519", "ED448" };
	size_t				i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (EVP_PKEY_is_a(public, all[i]))
			return all[i];
	return NULL;
}

EVP_PKEY *
provider_key(struct signing *s, uint64_t number, EVP_PKEY *public)
{
	const char	*type = key_type(public);
	EVP_PKEY_CTX	*ctx = type == NULL ? NULL : EVP_PKEY_CTX_new_from_name(s->library, type, OURS);
	EVP_PKEY	*key = NULL;
	OSSL_PARAM	 params[] = {
		OSSL_PARAM_construct_octet_string(PARAM_PUBLIC, &public, sizeof(public)),
		OSSL_PARAM_construct_octet_string(PARAM_SIGNING, &s, sizeof(s)),
		OSSL_PARAM_construct_uint64(PARAM_NUMBER, &number),
		OSSL_PARAM_construct_end()
	};

	if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) <= 0 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) <= 0)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}
