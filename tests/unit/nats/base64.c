/* Signatures as clients write them: what Go's RawURLEncoding takes, or else its StdEncoding. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include "nats/base64.h"

static const struct { const char *text, *bytes; int length; } cases[] = {
	{ "", "", 0 }, { "Zg", "f", 1 }, { "Zg==", "f", 1 }, { "Zm8", "fo", 2 }, { "Zm8=", "fo", 2 },
	{ "Zm9v", "foo", 3 }, { "Zm9vYmFy", "foobar", 6 }, { "-_-_", "\xfb\xff\xbf", 3 },
	{ "+/+/", "\xfb\xff\xbf", 3 }, { "Zm\n9v\r\n", "foo", 3 }, { "Zh", "f", 1 }, { "Zh==", "f", 1 },
	{ "Zm9v+w==", "foo\xfb", 4 }, { "Zm9v-w", "foo\xfb", 4 },
	/* neither */
	{ "Z", "", -EBADMSG }, { "Zm9vY", "", -EBADMSG }, { "Zg=", "", -EBADMSG }, { "Zg===", "", -EBADMSG },
	{ "====", "", -EBADMSG }, { "=", "", -EBADMSG }, { "Zm9v+w", "", -EBADMSG }, { "Zm9v-w==", "", -EBADMSG },
	{ "+-+-", "", -EBADMSG }, { "Zg==Zg==", "", -EBADMSG }, { "Zm 9v", "", -EBADMSG }, { "Zm9v=", "", -EBADMSG },
	{ "Zm9\377", "", -EBADMSG }, { "Zm9.", "", -EBADMSG },
};

/* RFC 4648, 10, and what differs between the alphabets. */
START_TEST(bytes_are_written_for_urls)
{
	static const struct { const char *raw, *text; } vectors[] = {
		{ "", "" }, { "f", "Zg" }, { "fo", "Zm8" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg" },
		{ "fooba", "Zm9vYmE" }, { "foobar", "Zm9vYmFy" }, { "\xfb\xff\xfe", "-__-" },
	};
	char	text[BASE64_ROOM(6)];
	size_t	i;

	for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		ck_assert_uint_eq(base64url_encode(text, (const uint8_t *)vectors[i].raw, strlen(vectors[i].raw)),
		    strlen(vectors[i].text));
		ck_assert_str_eq(text, vectors[i].text);
	}
}
END_TEST

START_TEST(text_is_decoded)
{
	uint8_t out[16] = { 0 };
	int length = cases[_i].length;

	ck_assert_int_eq(base64_decode(bytes_of(cases[_i].text), out, sizeof(out)), length);
	if (length <= 0)
		return;
	ck_assert_mem_eq(out, cases[_i].bytes, (size_t)length);
	ck_assert_int_eq(base64_decode(bytes_of(cases[_i].text), out, (size_t)length), length);
	ck_assert_int_eq(base64_decode(bytes_of(cases[_i].text), out, (size_t)length - 1), -ENOSPC);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("base64");
	TCase *c = tcase_create("decode");
	SRunner *r;
	int failed;

	tcase_add_test(c, bytes_are_written_for_urls);
	tcase_add_loop_test(c, text_is_decoded, 0, sizeof(cases) / sizeof(cases[0]));
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
