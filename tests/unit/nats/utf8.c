#include <check.h>
#include <stdlib.h>
#include "nats/utf8.h"

/* Edges of each length; 0: not valid. */
static const struct { struct bytes text; size_t len; uint32_t character; } cases[] = {
	{ BYTES(""), 0, 0 },
	{ BYTES("a"), 1, 'a' },
	{ BYTES("\0"), 1, 0 },
	{ BYTES("\x7f"), 1, 0x7f },
	{ BYTES("\x80"), 0, 0 },
	{ BYTES("\xc1\xbf"), 0, 0 },
	{ BYTES("\xc2\x80"), 2, 0x80 },
	{ BYTES("\xc2"), 0, 0 },
	{ BYTES("\xc2z"), 0, 0 },
	{ BYTES("\xdf\xbf"), 2, 0x7ff },
	{ BYTES("\xe0\x9f\xbf"), 0, 0 },
	{ BYTES("\xe0\xa0\x80"), 3, 0x800 },
	{ BYTES("\xe0\xa0"), 0, 0 },
	{ BYTES("\xed\x9f\xbf"), 3, 0xd7ff },
	{ BYTES("\xed\xa0\x80"), 0, 0 },
	{ BYTES("\xed\xbf\xbf"), 0, 0 },
	{ BYTES("\xee\x80\x80"), 3, 0xe000 },
	{ BYTES("\xef\xbf\xbf"), 3, 0xffff },
	{ BYTES("\xf0\x8f\xbf\xbf"), 0, 0 },
	{ BYTES("\xf0\x90\x80\x80"), 4, 0x10000 },
	{ BYTES("\xf0\x90\x80"), 0, 0 },
	{ BYTES("\xf4\x8f\xbf\xbf"), 4, 0x10ffff },
	{ BYTES("\xf4\x90\x80\x80"), 0, 0 },
	{ BYTES("\xf5\x80\x80\x80"), 0, 0 },
	{ BYTES("\xff"), 0, 0 },
};

START_TEST(character_is_decoded)
{
	struct bytes text = cases[_i].text;
	uint32_t character = 0;
	char *copy = malloc(text.len + (text.len == 0));

	memcpy(copy, text.data, text.len);
	ck_assert_uint_eq(utf8_decode((struct bytes){ copy, text.len }, &character), cases[_i].len);
	if (cases[_i].len > 0)
		ck_assert_uint_eq(character, cases[_i].character);
	free(copy);
}
END_TEST

START_TEST(bad_bytes_are_replaced_one_by_one)
{
	static const struct bytes text = BYTES("a\xff\xe0\xa0z\xc3\xb6\xed\xa0\x80\xf0\x9f");
	static const char wanted[] = "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\xc3\xb6"
	    "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd";
	char out[64];
	size_t n;

	n = utf8_repair(out, text);
	ck_assert_uint_eq(n, sizeof(wanted) - 1);
	ck_assert_int_eq(memcmp(out, wanted, n), 0);
	ck_assert_uint_le(n, text.len * UTF8_GROWTH);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("utf8");
	TCase *c = tcase_create("characters");
	SRunner *r;
	int failed;

	tcase_add_loop_test(c, character_is_decoded, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(c, bad_bytes_are_replaced_one_by_one);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
