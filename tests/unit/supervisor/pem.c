/* PEM blocks: those of one kind come through, whatever else stands in the file does not. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "supervisor/pem.h"

#define CERT(body)	"-----BEGIN CERTIFICATE-----\n" body "-----END CERTIFICATE-----\n"
#define KEY		"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
#define RSA		"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nc2VjcmV0\n-----END RSA PRIVATE KEY-----\n"

static char got[1 << 16];
static size_t got_len;

static int
note(void *arg, struct bytes block)
{
	ck_assert_uint_lt(got_len + block.len, sizeof(got));
	memcpy(got + got_len, block.data, block.len);
	got_len += block.len;
	got[got_len] = '\0';
	return arg == NULL ? 0 : *(int *)arg;
}

static int
each(const char *text, size_t *count)
{
	got_len = 0;
	got[0] = '\0';
	return pem_each(bytes_of(text), "CERTIFICATE", note, NULL, count);
}

static const struct { const char *what, *text; int rc; size_t count; const char *out; } cases[] = {
	{ "one", CERT("QUJD\n"), 0, 1, CERT("QUJD\n") },
	{ "two", CERT("QUJD\n") CERT("QUJDRA==\n"), 0, 2, CERT("QUJD\n") CERT("QUJDRA==\n") },
	{ "nothing", "", 0, 0, "" },
	{ "text alone", "no certificate\n\n", 0, 0, "" },
	{ "text around", "subject: me\n" CERT("QUJD\n") "bye\n", 0, 1, CERT("QUJD\n") },
	{ "a key before", KEY CERT("QUJD\n"), 0, 1, CERT("QUJD\n") },
	{ "a key behind", CERT("QUJD\n") KEY, 0, 1, CERT("QUJD\n") },
	{ "keys between", CERT("QUJD\n") RSA KEY CERT("QUJE\n"), 0, 2, CERT("QUJD\n") CERT("QUJE\n") },
	{ "a key alone", KEY, 0, 0, "" },
	{ "CRLF", "-----BEGIN CERTIFICATE-----\r\nQUJD\r\n-----END CERTIFICATE-----\r\n", 0, 1, CERT("QUJD\n") },
	{ "no final newline", "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----", 0, 1,
	    CERT("QUJD\n") },
	{ "white space at ends", "-----BEGIN CERTIFICATE----- \t\nQUJD  \n\n-----END CERTIFICATE-----\t\n",
	    0, 1, CERT("QUJD\n") },
	{ "long lines", CERT("QUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJD\n"),
	    0, 1, CERT("QUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJD\n") },
	{ "lines of odd length", CERT("QUJ\nDQ\nUJD\n"), 0, 1, CERT("QUJ\nDQ\nUJD\n") },
	{ "other kinds", "-----BEGIN TRUSTED CERTIFICATE-----\nQUJD\n-----END TRUSTED CERTIFICATE-----\n"
	    "-----BEGIN CERTIFICATE REQUEST-----\nQUJD\n-----END CERTIFICATE REQUEST-----\n", 0, 0, "" },
	{ "not at the line's start", " -----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n", 0, 0, "" },
	{ "an end alone", "-----END CERTIFICATE-----\n", 0, 0, "" },
	{ "no end", "-----BEGIN CERTIFICATE-----\nQUJD\n", -EBADMSG, 0, "" },
	{ "no end, then a key", "-----BEGIN CERTIFICATE-----\nQUJD\n" KEY, -EBADMSG, 0, "" },
	{ "another's end", "-----BEGIN CERTIFICATE-----\nQUJD\n-----END X509 CRL-----\n", -EBADMSG, 0, "" },
	{ "another begin", "-----BEGIN CERTIFICATE-----\nQUJD\n" CERT("QUJD\n"), -EBADMSG, 0, "" },
	{ "empty block", CERT(""), -EBADMSG, 0, "" },
	{ "not base64", CERT("QU*D\n"), -EBADMSG, 0, "" },
	{ "white space within a line", CERT("QU JD\n"), -EBADMSG, 0, "" },
	{ "too short", CERT("QUJDR\n"), -EBADMSG, 0, "" },
	{ "padding within", CERT("QQ==QUJD\n"), -EBADMSG, 0, "" },
	{ "padding, then more", CERT("QQ==\nQUJD\n"), -EBADMSG, 0, "" },
	{ "too much padding", CERT("Q===\n"), -EBADMSG, 0, "" },
	{ "headers", CERT("Proc-Type: 4,ENCRYPTED\n\nQUJD\n"), -EBADMSG, 0, "" },
	{ "a good one first", CERT("QUJD\n") CERT("***\n"), -EBADMSG, 1, CERT("QUJD\n") },
};

START_TEST(only_blocks_of_the_kind_come_through)
{
	size_t count = 77;

	ck_assert_msg(each(cases[_i].text, &count) == cases[_i].rc, "%s", cases[_i].what);
	ck_assert_msg(count == cases[_i].count, "%s: %zu", cases[_i].what, count);
	ck_assert_msg(strcmp(got, cases[_i].out) == 0, "%s: %s", cases[_i].what, got);
}
END_TEST

/* Whatever is cut off: no crash, nothing but whole blocks, never a byte of the key. */
START_TEST(every_beginning_of_a_file_is_safe)
{
	static const char text[] = KEY CERT("QUJD\n") RSA CERT("QUJDRA==\n");
	size_t len, count;
	char *part;
	int rc;

	for (len = 0; len < sizeof(text); len++) {
		part = malloc(len == 0 ? 1 : len);
		memcpy(part, text, len);
		got_len = 0;
		got[0] = '\0';
		rc = pem_each((struct bytes){ part, len }, "CERTIFICATE", note, NULL, &count);
		ck_assert(rc == 0 || rc == -EBADMSG);
		ck_assert_ptr_null(strstr(got, "c2Vj"));
		ck_assert(got_len == 0 || strcmp(got + got_len - strlen("CERTIFICATE-----\n"),
		    "CERTIFICATE-----\n") == 0);
		free(part);
	}
}
END_TEST

START_TEST(garbage_is_safe)
{
	static const char pieces[][32] = { "-----", "BEGIN ", "END ", "CERTIFICATE", "-----\n", "QUJD", "\n",
	    "=", "\r", "-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\n" };
	char text[600];
	size_t len, count, i;
	unsigned round;

	srandom(4711);
	for (round = 0; round < 20000; round++) {
		for (len = 0; len < 500; len += strlen(text + len)) {
			i = (size_t)random() % 14;
			if (i < 11)
				strlcpy(text + len, pieces[i], sizeof(text) - len);
			else
				snprintf(text + len, 2, "%c", (char)(1 + random() % 255));
			if (random() % 40 == 0)
				break;
		}
		(void)each(text, &count);
	}
}
END_TEST

START_TEST(bytes_that_are_no_text_are_no_block)
{
	static const char text[] = "\0\0-----BEGIN CERTIFICATE-----\0\n\0\xff\xfe\n-----BEGIN CERTIFICATE-----\nQU\0D\n";
	size_t count;

	ck_assert_int_eq(pem_each((struct bytes){ text, sizeof(text) - 1 }, "CERTIFICATE", note, NULL, &count),
	    -EBADMSG);
	ck_assert_uint_eq(count, 0);
}
END_TEST

START_TEST(who_is_called_may_end_it)
{
	int rc = -EMSGSIZE;
	size_t count;

	got_len = 0;
	ck_assert_int_eq(pem_each(bytes_of(CERT("QUJD\n") CERT("QUJE\n")), "CERTIFICATE", note, &rc, &count),
	    -EMSGSIZE);
	ck_assert_str_eq(got, CERT("QUJD\n"));
}
END_TEST

START_TEST(what_is_there_instead)
{
	ck_assert(pem_has(bytes_of("text\n" KEY), "PRIVATE KEY"));
	ck_assert(pem_has(bytes_of(RSA), "PRIVATE KEY"));
	ck_assert(!pem_has(bytes_of(CERT("QUJD\n")), "PRIVATE KEY"));
	ck_assert(pem_has(bytes_of(CERT("QUJD\n")), ""));
	ck_assert(!pem_has(bytes_of("text\n"), ""));
	ck_assert(!pem_has(bytes_of("-----BEGIN -"), ""));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("pem");
	TCase *c = tcase_create("pem");
	SRunner *r;
	int failed;

	tcase_add_loop_test(c, only_blocks_of_the_kind_come_through, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(c, every_beginning_of_a_file_is_safe);
	tcase_add_test(c, garbage_is_safe);
	tcase_add_test(c, bytes_that_are_no_text_are_no_block);
	tcase_add_test(c, who_is_called_may_end_it);
	tcase_add_test(c, what_is_there_instead);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
