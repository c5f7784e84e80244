/*
 * What the signer reads. The first byte says which: datagrams of somebody who
 * asks (each two bytes of length, then its bytes), content to be signed, a file of a key, a TLS document. What is
 * signed is what a TLS server signs; and whatever one asker says, another is answered.
 */
#include <sys/socket.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <openssl/pem.h>
#include "common/log.h"
#include "common/loop.h"
#include "common/memfd.h"
#include "supervisor/signer/keyfile.h"
#include "supervisor/signer/signer.h"
#include "tls/context.h"

#define TURNS	100	/* of the loop: more than a datagram's questions need */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct signer	signer;
static struct channel	good;
static EVP_PKEY		*public;
static unsigned		answers;

static void
demand(bool so)
{
	if (!so)
		abort();
}

static int
hears(struct channel *ch, const struct msg *m, const int *fds)
{
	demand(m->type == MSG_signature && m->u.signature.refused == SIGN_DONE);
	answers++;
	return 0;
}

static void
closed(struct channel *ch, int error, const char *why)
{
	abort();
}

/* A channel to it; our end. */
static int
introduce(unsigned slot)
{
	int	ends[2];

	demand(channel_pair(ends) == 0);
	demand(asker_open(&signer.askers, ROLE_WORKER, slot, ends[1]) == 0);
	return ends[0];
}

/* Key 1 is in force. */
static void
key_give(void)
{
	const struct msg_signing_key	m = { .key = 1, .path = BYTES("key") };
	BIO				*b = BIO_new(BIO_s_mem());
	char				*text;
	long				 len;

	public = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	demand(public != NULL && PEM_write_bio_PKCS8PrivateKey(b, public, NULL, NULL, 0, NULL, NULL) == 1);
	len = BIO_get_mem_data(b, &text);
	demand(keys_add(&signer.keys, &m, memfd_sealed("fuzz", (struct bytes){ text, (size_t)len })) == 0);
	keys_find(&signer.keys, 1)->use = TLS_CLIENTS;
	keys_find(&signer.keys, 1)->in_force = true;
	BIO_free(b);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	demand(keys_setup(0) >= 0);
	tls_load();
	log_burst(1);
	signer.child.loop = loop_new();
	demand(signer.child.loop != NULL && signer_init(&signer) == 0);
	key_give();
	askers_open(&signer.askers);
	channel_open(&good, signer.child.loop, introduce(1), ROLE_WORKER, ROLE_SIGNER, hears, closed, NULL);
	good.state = MSG_READY;
	return 0;
}

/* Another way to the same: all that is fixed is put into a copy, which then is the same as it was. */
static bool
is_a_servers(struct bytes b)
{
	static const char	context[] = "TLS 1.3, server CertificateVerify";
	static const uint16_t	points[][2] = { { 23, 65 }, { 24, 97 }, { 25, 133 }, { 29, 32 }, { 30, 56 } };
	char			copy[512];
	size_t			i;

	memcpy(copy, b.data, b.len);
	if (b.len == 130 || b.len == 146) {
		memset(copy, ' ', 64);
		memcpy(copy + 64, context, sizeof(context));
		if (memcmp(copy, b.data, b.len) == 0)
			return true;
	}
	for (i = 0; i < 5; i++)
		if (b.len == 68u + points[i][1]) {
			memcpy(copy + 56, "DOWNGRD\1", 8);
			memcpy(copy + 64, (char[]){ 3, 0, (char)points[i][0], (char)points[i][1], 4 }, i < 3 ? 5 : 4);
			return memcmp(copy, b.data, b.len) == 0;
		}
	return false;
}

static void
content_try(struct bytes b)
{
	static const unsigned	schemes[] = { 0x0401, 0x0403, 0x0503, 0x0603, 0x0804, 0x0807 };
	uint8_t			out[SIGNATURE_MAX];
	size_t			len, i;

	b.len = b.len > 512 ? 512 : b.len;
	for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (key_sign(&signer.keys, keys_find(&signer.keys, 1), schemes[i], b, out, &len) == SIGN_DONE)
			demand(is_a_servers(b));
		else
			demand(schemes[i] != 0x0403 || !is_a_servers(b));
}

static void
key_try_file(struct bytes b)
{
	const char	*why;
	EVP_PKEY	*pkey = keyfile_read(b, (struct bytes){ NULL, 0 }, &why);

	demand((pkey != NULL) == (why == NULL));
	EVP_PKEY_free(pkey);
	(void)keyfile_password(b, &b);
}

static void
document_try(struct bytes b)
{
	struct inventory	 found = { .count = 0 };
	char			*whole = malloc(b.len + 1);
	const char		*why;
	int			 fd;

	demand(whole != NULL);
	memcpy(whole, b.data, b.len);
	whole[b.len] = '\xc0';	/* the end of a document: common/records.c */
	fd = memfd_sealed("fuzz", (struct bytes){ whole, b.len + 1 });
	free(whole);
	demand(fd >= 0);
	why = signer_judge(&signer, &found, fd);
	demand(why == NULL || (strlen(why) > 0 && found.count == 0));
	inventory_free(&found);
	close(fd);
}

/* One asker says this, the other asks what it may. */
static void
datagrams_try(struct bytes b)
{
	const struct msg	m = { .type = MSG_sign, .u.sign = { .id = 1, .key = 1, .scheme = 0x0403, .content = content_sample() } };
	const unsigned		before = answers;
	int			fd = introduce(0), i;
	size_t			len;

	while (b.len > 2) {
		len = (size_t)(uint8_t)b.data[0] << 8 | (uint8_t)b.data[1];
		b = (struct bytes){ b.data + 2, b.len - 2 };
		len = len > b.len ? b.len : len;
		if (len > 0)
			(void)send(fd, b.data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		b = (struct bytes){ b.data + len, b.len - len };
	}
	demand(channel_send(&good, &m, NULL) == 0);
	for (i = 0; i < TURNS && answers == before; i++)
		ev_run(signer.child.loop, EVRUN_NOWAIT);
	demand(answers == before + 1);
	close(fd);
	for (i = 0; i < 3; i++)
		ev_run(signer.child.loop, EVRUN_NOWAIT);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct bytes	rest = { (const char *)data + 1, size - 1 };

	if (size < 2)
		return 0;
	switch (data[0] % 4) {
	case 0:
		datagrams_try(rest);
		break;
	case 1:
		content_try(rest);
		break;
	case 2:
		key_try_file(rest);
		break;
	default:
		document_try(rest);
	}
	return 0;
}
