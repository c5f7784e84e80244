#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "tls/failure.h"
#include "tls/names.h"

#define COUNT(all)	(sizeof(all) / sizeof((all)[0]))

struct word { int code; const char *text; };

/* By alert, RFC 8446 6. */
static const struct word alerts[] = {
	{ 0, "close notify" }, { 10, "unexpected message" }, { 20, "bad record MAC" }, { 21, "decryption failed" },
	{ 22, "record overflow" }, { 30, "decompression failure" }, { 40, "handshake failure" },
	{ 42, "bad certificate" }, { 43, "unsupported certificate" }, { 44, "revoked certificate" },
	{ 45, "expired certificate" }, { 46, "unknown certificate" }, { 47, "illegal parameter" },
	{ 48, "unknown certificate authority" }, { 49, "access denied" }, { 50, "error decoding message" },
	{ 51, "error decrypting message" }, { 60, "export restriction" }, { 70, "protocol version not supported" },
	{ 71, "insufficient security level" }, { 80, "internal error" }, { 86, "inappropriate fallback" },
	{ 90, "user canceled" }, { 100, "no renegotiation" }, { 109, "missing extension" },
	{ 110, "unsupported extension" }, { 112, "unrecognized name" }, { 115, "unknown PSK identity" },
	{ 116, "certificate required" }, { 120, "no application protocol" },
};

static const struct word reasons[] = {
	{ SSL_R_HTTP_REQUEST, "first record does not look like a TLS handshake" },
	{ SSL_R_HTTPS_PROXY_REQUEST, "first record does not look like a TLS handshake" },
	{ SSL_R_WRONG_VERSION_NUMBER, "first record does not look like a TLS handshake" },
	{ SSL_R_UNKNOWN_PROTOCOL, "first record does not look like a TLS handshake" },
	{ SSL_R_UNSUPPORTED_PROTOCOL, "client offered only unsupported versions" },
	{ SSL_R_VERSION_TOO_LOW, "client offered only unsupported versions" },
	{ SSL_R_NO_SHARED_CIPHER, "no cipher suite supported by both client and server" },
	{ SSL_R_NO_SUITABLE_KEY_SHARE, "no key exchanges supported by both client and server" },
	{ SSL_R_NO_SHARED_GROUPS, "no key exchanges supported by both client and server" },
	{ SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, "peer doesn't support any of the certificate's signature algorithms" },
	{ SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS, "peer doesn't support any of the certificate's signature algorithms" },
	{ SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "client didn't provide a certificate" },
	{ SSL_R_INAPPROPRIATE_FALLBACK, "client using inappropriate protocol fallback" },
	{ SSL_R_BAD_SIGNATURE, "invalid signature by the client certificate" },
	{ SSL_R_DIGEST_CHECK_FAILED, "client's Finished message is incorrect" },
	{ SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, "bad record MAC" },
	{ SSL_R_UNEXPECTED_MESSAGE, "unexpected message" },
	{ SSL_R_ENCRYPTED_LENGTH_TOO_LONG, "oversized record received" },
	{ SSL_R_PACKET_LENGTH_TOO_LONG, "oversized record received" },
	{ SSL_R_DATA_LENGTH_TOO_LONG, "oversized record received" },
};

static const struct word verdicts[] = {
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, "certificate signed by unknown authority" },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, "certificate signed by unknown authority" },
	{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "certificate signed by unknown authority" },
	{ X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, "certificate signed by unknown authority" },
	{ X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, "certificate signed by unknown authority" },
	{ X509_V_ERR_CERT_SIGNATURE_FAILURE, "certificate signed by unknown authority" },
	{ X509_V_ERR_INVALID_CA, "certificate is not authorized to sign other certificates" },
	{ X509_V_ERR_INVALID_PURPOSE, "certificate specifies an incompatible key usage" },
	{ X509_V_ERR_PATH_LENGTH_EXCEEDED, "too many intermediates for path length constraint" },
	{ X509_V_ERR_CERT_REVOKED, "certificate is revoked" },
};

static const char *
word_of(const struct word *all, size_t count, int code)
{
	size_t	i;

	for (i = 0; i < count; i++)
		if (all[i].code == code)
			return all[i].text;
	return NULL;
}

static void
time_text(const struct tm *tm, char *text, size_t size)
{
	if (strftime(text, size, "%Y-%m-%dT%H:%M:%SZ", tm) == 0)
		*text = '\0';
}

/* "current time NOW is after THEN" */
static void
validity_text(const X509 *x, bool late, char *text, size_t size)
{
	const time_t	 seconds = time(NULL);
	struct tm	 tm;
	char		 now[32], then[32] = "";

	time_text(gmtime_r(&seconds, &tm), now, sizeof(now));
	if (x != NULL && ASN1_TIME_to_tm(late ? X509_get0_notAfter(x) : X509_get0_notBefore(x), &tm) == 1)
		time_text(&tm, then, sizeof(then));
	snprintf(text, size, "certificate has expired or is not yet valid: current time %s is %s %s",
	    now, late ? "after" : "before", then);
}

/* SHA-256 of all of it. False: no memory. */
static bool
digest_text(const X509 *x, char text[65])
{
	uint8_t	digest[32];
	size_t	i;

	if (X509_digest(x, EVP_sha256(), digest, NULL) != 1)
		return false;
	for (i = 0; i < sizeof(digest); i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	return true;
}

/* Behind what is there: "(CN=one SHA-256: 00ff; CN=two SHA-256: 00ff)", as many of those that were shown as fit. */
static void
shown_text(STACK_OF(X509) *shown, char *text, size_t size)
{
	const char	*sign = " (";
	char		 subject[256], digest[65];
	size_t		 len = strlen(text);
	int		 i, n;

	for (i = 0; i < sk_X509_num(shown) && digest_text(sk_X509_value(shown, i), digest); i++) {
		names_subject(sk_X509_value(shown, i), subject, sizeof(subject));
		n = snprintf(text + len, size - len, "%s%s SHA-256: %s", sign, subject, digest);
		if (n < 0 || (size_t)n + 2 > size - len) {
			text[len] = '\0';
			break;
		}
		len += (size_t)n;
		sign = "; ";
	}
	if (*sign == ';')
		snprintf(text + len, size - len, ")");
}

static void
verdict_text(X509_STORE_CTX *ctx, char *text, size_t size)
{
	const int	 verdict = X509_STORE_CTX_get_error(ctx);
	const char	*word = word_of(verdicts, COUNT(verdicts), verdict);
	char		 validity[160];

	if (verdict == X509_V_ERR_CERT_HAS_EXPIRED || verdict == X509_V_ERR_CERT_NOT_YET_VALID) {
		validity_text(X509_STORE_CTX_get_current_cert(ctx), verdict == X509_V_ERR_CERT_HAS_EXPIRED,
		    validity, sizeof(validity));
		word = validity;
	}
	if (word == NULL)
		word = X509_verify_cert_error_string(verdict);
	snprintf(text, size, "tls: failed to verify certificate: x509: %s", word);
	shown_text(X509_STORE_CTX_get0_untrusted(ctx), text, size);
}

int
failure_note(int ok, X509_STORE_CTX *ctx)
{
	SSL	*ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
	char	 text[FAILURE_TEXT];

	if (ok == 0) {
		verdict_text(ctx, text, sizeof(text));
		failure_free(ssl);
		SSL_set_app_data(ssl, strdup(text));
	}
	return ok;
}

void
failure_free(SSL *ssl)
{
	if (ssl == NULL)
		return;
	free(SSL_get_app_data(ssl));
	SSL_set_app_data(ssl, NULL);
}

/* The one that says most: that memory is short, what the signer said, else OpenSSL's first of TLS, else its first. */
static unsigned long
failure_code(char *data, size_t size)
{
	unsigned long	 code, best = 0;
	const char	*text;
	int		 flags;

	while ((code = ERR_get_error_all(NULL, NULL, NULL, &text, &flags)) != 0) {
		if (ERR_GET_REASON(best) == ERR_R_MALLOC_FAILURE)
			continue;
		if (ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE)
			best = code;
		else if (ERR_GET_LIB(code) == ERR_LIB_USER && ERR_GET_LIB(best) != ERR_LIB_USER) {
			snprintf(data, size, "%s", (flags & ERR_TXT_STRING) != 0 ? text : "");
			best = code;
		} else if (best == 0 || (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_LIB(best) != ERR_LIB_SSL &&
		    ERR_GET_LIB(best) != ERR_LIB_USER))
			best = code;
	}
	return best;
}

void
failure_text(SSL *ssl, char text[FAILURE_TEXT])
{
	char			 data[128] = "";
	const unsigned long	 code = failure_code(data, sizeof(data));
	const int		 reason = ERR_GET_REASON(code);
	const bool		 tls = ERR_GET_LIB(code) == ERR_LIB_SSL;
	const char		*noted = SSL_get_app_data(ssl);
	const char		*word = tls ? word_of(reasons, COUNT(reasons), reason) : NULL;

	if (reason == ERR_R_MALLOC_FAILURE)
		snprintf(text, FAILURE_TEXT, "no memory");
	else if (ERR_GET_LIB(code) == ERR_LIB_USER)
		snprintf(text, FAILURE_TEXT, "tls: %s", data);
	else if (tls && reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
		snprintf(text, FAILURE_TEXT, "%s", noted == NULL ? "tls: failed to verify certificate" : noted);
	else if (word != NULL)
		snprintf(text, FAILURE_TEXT, "tls: %s", word);
	else if (tls && reason >= SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + 255) {
		word = word_of(alerts, COUNT(alerts), reason - SSL_AD_REASON_OFFSET);
		snprintf(text, FAILURE_TEXT, "remote error: tls: %s", word == NULL ? "alert" : word);
	} else {
		word = ERR_reason_error_string(code);
		snprintf(text, FAILURE_TEXT, "tls: %s", word == NULL ? "the connection failed" : word);
	}
}
