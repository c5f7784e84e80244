#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include "nats/nkey.h"

/* What github.com/nats-io/nkeys v0.4.16 makes of keys full of 0, of 255, and of 7 i + 1. */
static const struct { enum nkey_kind kind; int key; const char *text; } cases[] = {
	{ NKEY_SERVER, 0, "NAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB5PU" },
	{ NKEY_SERVER, 1, "ND777777777777777777777777777777777777777777777777776QLQ" },
	{ NKEY_SERVER, 2, "NAAQQDYWDUSCWMRZIBDU4VK4MNVHC6D7Q2GZJG5CVGYLPPWFZTJ5UV4Y" },
	{ NKEY_CLUSTER, 0, "CAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABSC4" },
	{ NKEY_CLUSTER, 1, "CD7777777777777777777777777777777777777777777777777767GY" },
	{ NKEY_CLUSTER, 2, "CAAQQDYWDUSCWMRZIBDU4VK4MNVHC6D7Q2GZJG5CVGYLPPWFZTJ5U2RQ" },
	{ NKEY_OPERATOR, 2, "OAAQQDYWDUSCWMRZIBDU4VK4MNVHC6D7Q2GZJG5CVGYLPPWFZTJ5V67K" },
	{ NKEY_ACCOUNT, 0, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" },
	{ NKEY_ACCOUNT, 1, "AD777777777777777777777777777777777777777777777777777NEE" },
	{ NKEY_ACCOUNT, 2, "AAAQQDYWDUSCWMRZIBDU4VK4MNVHC6D7Q2GZJG5CVGYLPPWFZTJ5VITM" },
	{ NKEY_USER, 0, "UAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABET7" },
	{ NKEY_USER, 1, "UD777777777777777777777777777777777777777777777777776JX3" },
	{ NKEY_USER, 2, "UAAQQDYWDUSCWMRZIBDU4VK4MNVHC6D7Q2GZJG5CVGYLPPWFZTJ5UMAT" },
};

static const struct { enum nkey_kind kind; int seed; const char *text; } seeds[] = {
	{ NKEY_SERVER, 0, "SNAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAF4H4" },
	{ NKEY_SERVER, 1, "SNAP77777777777777777777777777777777777777777777777777YIXM" },
	{ NKEY_SERVER, 2, "SNAACCAPCYOSIKZSHFAEOTSVLRRWU4LYP6DI3FE3UKU3BN56YXGNHWQ6KM" },
	{ NKEY_CLUSTER, 2, "SCAACCAPCYOSIKZSHFAEOTSVLRRWU4LYP6DI3FE3UKU3BN56YXGNHWSTII" },
	{ NKEY_OPERATOR, 2, "SOAACCAPCYOSIKZSHFAEOTSVLRRWU4LYP6DI3FE3UKU3BN56YXGNHWQ56Y" },
	{ NKEY_ACCOUNT, 0, "SAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAHT5A" },
	{ NKEY_ACCOUNT, 1, "SAAP777777777777777777777777777777777777777777777777772HNQ" },
	{ NKEY_ACCOUNT, 2, "SAAACCAPCYOSIKZSHFAEOTSVLRRWU4LYP6DI3FE3UKU3BN56YXGNHWSRQQ" },
	{ NKEY_USER, 0, "SUAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEQ" },
	{ NKEY_USER, 1, "SUAP777777777777777777777777777777777777777777777777775UUA" },
	{ NKEY_USER, 2, "SUAACCAPCYOSIKZSHFAEOTSVLRRWU4LYP6DI3FE3UKU3BN56YXGNHWVCJA" },
};

static void
key_fill(uint8_t key[32], int which)
{
	int i;

	for (i = 0; i < 32; i++)
		key[i] = which == 0 ? 0 : which == 1 ? 255 : (uint8_t)(i * 7 + 1);
}

START_TEST(key_is_encoded_as_nkeys_does)
{
	char text[NKEY_TEXT];
	uint8_t key[32];

	key_fill(key, cases[_i].key);
	nkey_encode(text, cases[_i].kind, key);
	ck_assert_str_eq(text, cases[_i].text);
}
END_TEST

START_TEST(key_is_decoded)
{
	struct bytes text = bytes_of(cases[_i].text);
	uint8_t wanted[32], key[32] = { 9 }, before[32] = { 9 };

	key_fill(wanted, cases[_i].key);
	/* of another kind, or with something around it */
	ck_assert_int_eq(nkey_decode(text, cases[_i].kind == NKEY_USER ? NKEY_ACCOUNT : NKEY_USER, key), -EBADMSG);
	ck_assert_int_eq(nkey_decode((struct bytes){ text.data, 55 }, cases[_i].kind, key), -EBADMSG);
	ck_assert_int_eq(nkey_decode((struct bytes){ text.data, 57 }, cases[_i].kind, key), -EBADMSG);
	ck_assert_int_eq(nkey_decode(BYTES(""), cases[_i].kind, key), -EBADMSG);
	ck_assert_mem_eq(key, before, 32);
	ck_assert_int_eq(nkey_decode(text, cases[_i].kind, key), 0);
	ck_assert_mem_eq(key, wanted, 32);
}
END_TEST

START_TEST(each_changed_character_of_a_key_is_noticed)
{
	char text[NKEY_TEXT];
	uint8_t key[32];
	size_t i;
	int c;

	for (i = 0; i < NKEY_TEXT - 1; i++)
		for (c = 0; c < 256; c++) {
			strcpy(text, cases[_i].text);
			if (text[i] == (char)c)
				continue;
			text[i] = (char)c;
			if (nkey_decode((struct bytes){ text, sizeof(text) - 1 }, cases[_i].kind, key) != -EBADMSG)
				ck_abort_msg("%s", text);
		}
}
END_TEST

START_TEST(seed_is_encoded_and_decoded_as_nkeys_does)
{
	enum nkey_kind kind = NKEY_CLUSTER;
	char text[NKEY_SEED_TEXT];
	uint8_t seed[32], again[32];

	key_fill(seed, seeds[_i].seed);
	nkey_seed_encode(text, seeds[_i].kind, seed);
	ck_assert_str_eq(text, seeds[_i].text);
	ck_assert_int_eq(nkey_seed_decode(bytes_of(text), &kind, again), 0);
	ck_assert_int_eq(kind, seeds[_i].kind);
	ck_assert_mem_eq(seed, again, sizeof(seed));
}
END_TEST

static const struct { const char *what, *text; } no_seeds[] = {
	{ "nothing", "" },
	{ "a public key", "UDSAGCMYZ7K22FZDYFU7SVVKBOPLQYM3LGJL2YJMFL2CR26HT6G7AGME" },
	{ "a public key of a seed's length", "UDSAGCMYZ7K22FZDYFU7SVVKBOPLQYM3LGJL2YJMFL2CR26HT6G7AGMEAA" },
	{ "a character too few", "SUAACCAPCYOSIKZSHFAEOTSVLRRWU4LYP6DI3FE3UKU3BN56YXGNHWVCJ" },
	{ "a character too many", "SUAACCAPCYOSIKZSHFAEOTSVLRRWU4LYP6DI3FE3UKU3BN56YXGNHWVCJAA" },
	{ "two characters swapped", "SUAACCAPCYOSIKZSHFAEOTSVLRRWU4LYP6DI3FE3UKU3BN56YXGNHWVJCA" },
	{ "small letters", "suaaccapcyosikzshfaeotsvlrrwu4lyp6di3fe3uku3bn56yxgnhwvcja" },
	{ "not base32", "SUAACCAPCYOSIKZSHFAEOTSVLRRWU4LYP6DI3FE3UKU3BN56YXGNHWVCJ1" },
	{ "a space behind it", "SUAACCAPCYOSIKZSHFAEOTSVLRRWU4LYP6DI3FE3UKU3BN56YXGNHWVCJ " },
	{ "bits left over", "SUAACCAPCYOSIKZSHFAEOTSVLRRWU4LYP6DI3FE3UKU3BN56YXGNHWVCJB" },
	/* both with the right checksum */
	{ "an X25519 seed", "SXAACCAPCYOSIKZSHFAEOTSVLRRWU4LYP6DI3FE3UKU3BN56YXGNHWVB5U" },
	{ "the prefix of a private key", "PUAACCAPCYOSIKZSHFAEOTSVLRRWU4LYP6DI3FE3UKU3BN56YXGNHWVTVE" },
};

START_TEST(what_is_no_seed_is_refused)
{
	enum nkey_kind kind = NKEY_CLUSTER;
	uint8_t seed[32] = { 1 }, before[32] = { 1 };

	ck_assert_msg(nkey_seed_decode(bytes_of(no_seeds[_i].text), &kind, seed) == -EBADMSG,
	    "%s", no_seeds[_i].what);
	ck_assert_int_eq(kind, NKEY_CLUSTER);
	ck_assert_mem_eq(seed, before, sizeof(seed));
}
END_TEST

START_TEST(each_changed_character_is_noticed)
{
	char text[NKEY_SEED_TEXT];
	enum nkey_kind kind;
	uint8_t seed[32];
	size_t i;
	int c;

	for (i = 0; i < NKEY_SEED_TEXT - 1; i++)
		for (c = 0; c < 256; c++) {
			strcpy(text, seeds[_i].text);
			if (text[i] == (char)c)
				continue;
			text[i] = (char)c;
			ck_assert_int_eq(nkey_seed_decode((struct bytes){ text, sizeof(text) - 1 },
			    &kind, seed), -EBADMSG);
		}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("nkey");
	TCase *c = tcase_create("encode");
	SRunner *r;
	int failed;

	tcase_add_loop_test(c, key_is_encoded_as_nkeys_does, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_loop_test(c, key_is_decoded, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_loop_test(c, each_changed_character_of_a_key_is_noticed, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_loop_test(c, seed_is_encoded_and_decoded_as_nkeys_does, 0, sizeof(seeds) / sizeof(seeds[0]));
	tcase_add_loop_test(c, what_is_no_seed_is_refused, 0, sizeof(no_seeds) / sizeof(no_seeds[0]));
	tcase_add_loop_test(c, each_changed_character_is_noticed, 0, sizeof(seeds) / sizeof(seeds[0]));
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
