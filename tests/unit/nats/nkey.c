#include <check.h>
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
	{ NKEY_ACCOUNT, 0, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" },
	{ NKEY_ACCOUNT, 1, "AD777777777777777777777777777777777777777777777777777NEE" },
	{ NKEY_ACCOUNT, 2, "AAAQQDYWDUSCWMRZIBDU4VK4MNVHC6D7Q2GZJG5CVGYLPPWFZTJ5VITM" },
	{ NKEY_USER, 0, "UAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABET7" },
	{ NKEY_USER, 1, "UD777777777777777777777777777777777777777777777777776JX3" },
	{ NKEY_USER, 2, "UAAQQDYWDUSCWMRZIBDU4VK4MNVHC6D7Q2GZJG5CVGYLPPWFZTJ5UMAT" },
};

START_TEST(key_is_encoded_as_nkeys_does)
{
	char text[NKEY_TEXT];
	uint8_t key[32];
	int i;

	for (i = 0; i < 32; i++)
		key[i] = cases[_i].key == 0 ? 0 : cases[_i].key == 1 ? 255 : (uint8_t)(i * 7 + 1);
	nkey_encode(text, cases[_i].kind, key);
	ck_assert_str_eq(text, cases[_i].text);
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
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
