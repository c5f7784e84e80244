/* What a TLS server signs in a handshake, and near misses. */
#include "supervisor/signer/content.h"
#include "tests/unit/signer/material.h"

static uint8_t	content[CONTENT_ROOM];

START_TEST(what_a_server_signs_is_known)
{
	unsigned	g;

	ck_assert_int_eq(content_of(material_tls13(content, 32)), CONTENT_TLS13);
	ck_assert_int_eq(content_of(material_tls13(content, 48)), CONTENT_TLS13);
	for (g = 0; g < 5; g++)
		ck_assert_int_eq(content_of(material_tls12(content, g)), CONTENT_TLS12);
	ck_assert_int_eq(content_of(content_sample()), CONTENT_TLS13);
}
END_TEST

/* Every length but the right one (or two), and every byte that is fixed with another value, is something else. */
static void
near_misses(struct bytes good, size_t also, bool (*is_fixed)(size_t at))
{
	uint8_t		 b[2 * CONTENT_ROOM];
	size_t		 i;
	unsigned	 bit;

	memset(b, 0, sizeof(b));
	memcpy(b, good.data, good.len);
	for (i = 0; i < sizeof(b); i++)
		if (i != good.len && i != also)
			ck_assert_msg(content_of((struct bytes){ (const char *)b, i }) == CONTENT_OTHER, "%zu bytes of %zu", i, good.len);
	for (i = 0; i < good.len; i++)
		for (bit = 0; bit < 8 && is_fixed(i); bit++) {
			b[i] ^= (uint8_t)(1u << bit);
			ck_assert_msg(content_of((struct bytes){ (const char *)b, good.len }) == CONTENT_OTHER, "byte %zu", i);
			b[i] ^= (uint8_t)(1u << bit);
		}
}

static bool fixed_tls13(size_t at) { return at < 64 + 34; }
static bool fixed_point(size_t at) { return at >= 56 && at < 69; }
static bool fixed_plain(size_t at) { return at >= 56 && at < 68; }

START_TEST(near_misses_are_not)
{
	unsigned	g;

	near_misses(material_tls13(content, 48), 64 + 34 + 32, fixed_tls13);
	for (g = 0; g < 5; g++)
		near_misses(material_tls12(content, g), 0, g < 3 ? fixed_point : fixed_plain);
}
END_TEST

/* The client's context, and those of other protocols with the same form. */
START_TEST(other_contexts_are_not)
{
	static const char *const	others[] = { "TLS 1.3, client CertificateVerify", "TLS 1.3, server certificateverify",
					    "TLS 1.3, Server CertificateVerify", "TLS 1.2, server CertificateVerify" };
	struct bytes			b;
	size_t				i;

	for (i = 0; i < 4; i++) {
		b = material_tls13(content, 32);
		memcpy(content + 64, others[i], 34);
		ck_assert_int_eq(content_of(b), CONTENT_OTHER);
	}
}
END_TEST

/* Of random bytes nothing is: the chance is 1 in 2^32 at best. */
START_TEST(random_bytes_are_not)
{
	unsigned	round;
	size_t		len;

	for (round = 0; round < 2000; round++) {
		arc4random_buf(content, sizeof(content));
		for (len = 0; len <= sizeof(content); len++)
			ck_assert_int_eq(content_of((struct bytes){ (const char *)content, len }), CONTENT_OTHER);
	}
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("signer: content");
	TCase	*t = tcase_create("content");
	SRunner	*r;
	int	 failed;

	tcase_add_test(t, what_a_server_signs_is_known);
	tcase_add_test(t, near_misses_are_not);
	tcase_add_test(t, other_contexts_are_not);
	tcase_add_test(t, random_bytes_are_not);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
