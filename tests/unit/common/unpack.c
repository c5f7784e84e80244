#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include "common/unpack.h"

#define MOST	65536

static int
unpack(struct bytes b, size_t most)
{
	msgpack_unpacked	u;
	char			*exact = malloc(b.len);	/* a byte read beyond it shows under ASan */
	int			rc;

	memcpy(exact, b.data, b.len);
	msgpack_unpacked_init(&u);
	rc = unpack_bounded(&u, (struct bytes){ exact, b.len }, most);
	msgpack_unpacked_destroy(&u);
	free(exact);
	return rc;
}

static const struct { const char *what; struct bytes b; int rc; } cases[] = {
	{ "nil", BYTES("\xc0"), 0 },
	{ "an empty array", BYTES("\x90"), 0 },
	{ "numbers of each width", BYTES("\x98\x01\xcc\x01\xcd\x00\x01\xce\x00\x00\x00\x01"
	    "\xcf\x00\x00\x00\x00\x00\x00\x00\x01\xff\xd0\xff\xd1\xff\xff"), 0 },
	{ "a map", BYTES("\x81\xa1" "a\x01"), 0 },
	{ "str8, str16, bin8", BYTES("\x93\xd9\x01" "a\xda\x00\x01" "b\xc4\x01" "c"), 0 },
	{ "ext and fixext", BYTES("\x92\xc7\x01\x05x\xd4\x05x"), 0 },
	{ "nothing", BYTES(""), -EBADMSG },
	{ "bytes behind the object", BYTES("\x90\x90"), -EBADMSG },
	{ "an array of 2^32 - 1", BYTES("\xdd\xff\xff\xff\xff"), -EBADMSG },
	{ "a map of 2^32 - 1", BYTES("\xdf\xff\xff\xff\xff"), -EBADMSG },
	{ "arrays of 2^32 - 1 in each other", BYTES("\xdd\xff\xff\xff\xff\xdd\xff\xff\xff\xff"), -EBADMSG },
	{ "a string of 2^32 - 1", BYTES("\xdb\xff\xff\xff\xff" "a"), -EBADMSG },
	{ "an ext of 2^32 - 1", BYTES("\xc9\xff\xff\xff\xff\x01"), -EBADMSG },
	{ "one object short", BYTES("\x93\x01\x01"), -EBADMSG },
	{ "a map without its last value", BYTES("\x81\x01"), -EBADMSG },
	{ "a head cut short", BYTES("\xdd\x00\x00"), -EBADMSG },
	{ "a number cut short", BYTES("\xcf\x00\x00"), -EBADMSG },
	{ "the reserved byte", BYTES("\xc1"), -EBADMSG },
};

START_TEST(only_one_whole_object_is_taken)
{
	ck_assert_msg(unpack(cases[_i].b, MOST) == cases[_i].rc, "%s", cases[_i].what);
}
END_TEST

START_TEST(deep_nesting_is_refused_not_followed)
{
	static char	deep[40000];

	memset(deep, 0x91, sizeof(deep));
	deep[sizeof(deep) - 1] = 0x01;
	ck_assert_int_eq(unpack((struct bytes){ deep, sizeof(deep) }, MOST), -EBADMSG);
	ck_assert_int_eq(unpack((struct bytes){ deep + sizeof(deep) - 10, 10 }, MOST), 0);
}
END_TEST

START_TEST(number_of_objects_is_limited)
{
	static const struct bytes	four = { "\x93\x01\x02\x03", 4 };

	ck_assert_int_eq(unpack(four, 4), 0);
	ck_assert_int_eq(unpack(four, 3), -EBADMSG);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("unpack");
	TCase	*c = tcase_create("unpack");
	SRunner	*r;
	int	 failed;

	tcase_add_loop_test(c, only_one_whole_object_is_taken, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(c, deep_nesting_is_refused_not_followed);
	tcase_add_test(c, number_of_objects_is_limited);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
