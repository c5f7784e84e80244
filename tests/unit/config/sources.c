/* Files that include each other and variables of the environment, from a stub that has both. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include "supervisor/config/digest.h"
#include "supervisor/config/parser.h"

#define COUNT(a)	((int)(sizeof(a) / sizeof((a)[0])))

static struct config_errors	errors;
static struct config_source	source;
static struct config_value	root;
static char			*text;
static unsigned			asked;		/* for the environment */
static int			broken;		/* what the source says instead of an answer */

/* Files by the path that names them, whoever includes them; "many*" is a pattern. */
static const struct { const char *path, *text; } files[] = {
	{ "a", "x: 1\ny: $x\n" },
	{ "b", "include a\nx: 2; z: $y\n" },
	{ "sees", "w: $outer\n" },
	{ "wrong", "x: 1\nport 1 2\n  y: -\nz: 3\n" },
	{ "cut", "x: {y: 1\n" },
	{ "empty", "# nothing\n" },
	{ "self", "include self\n" },
	{ "one", "include two\n" }, { "two", "v: 1\ninclude one\n" },
	{ "many1", "k: 1\nl: 1\n" }, { "many2", "k: 2\n" },
	{ "bits", "\177ELF\0\1\2" }, { "braces", "{x: 1}" },
	{ "deep", "x: [[[[[[[[[[]]]]]]]]]]\n" },
};

static const struct { const char *name, *value; } variables[] = {
	{ "NUMBER", "12kb" }, { "MAP", "{a: [x, $NUMBER]}" }, { "EMPTY", "" }, { "BLANK", " \t" },
	{ "CYCLE", "$OTHER" }, { "OTHER", "[$CYCLE]" }, { "SELF", "$SELF" }, { "TWO", "a b" },
	{ "MORE", "a; b: c; pk: d" }, { "HASH", "#x" }, { "INCLUDES", "1\ninclude a" },
	{ "HIDDEN", "$x" }, { "hidden", "lower" }, { "QUOTED", "'a b'" },
};

static int
include(struct config_source *from, uint64_t parent, struct bytes path, struct config_files *found)
{
	struct config_file	*f;
	char			 copy[64];
	int			 i, len;

	for (i = 0; i < COUNT(files); i++) {
		if (strncmp(files[i].path, "many", 4) == 0 && bytes_equal(path, BYTES("many*")))
			;
		else if (!bytes_equal(path, bytes_of(files[i].path)))
			continue;
		f = config_files_add(found);
		f->number = (uint64_t)i + 1;
		ck_assert_int_eq(config_texts_copy(&from->texts, bytes_of(files[i].path), &f->path), 0);
		len = strcmp(files[i].path, "bits") == 0 ? 7 : (int)strlen(files[i].text);
		ck_assert_int_eq(config_texts_copy(&from->texts,
		    (struct bytes){ files[i].text, (size_t)len }, &f->text), 0);
	}
	if (bytes_equal(path, BYTES("large"))) {
		f = config_files_add(found);
		ck_assert_int_eq(config_texts_copy(&from->texts, path, &f->path), 0);
		f->error = -EFBIG;
	}
	if (bytes_equal(path, BYTES("endless"))) {	/* another path each time */
		f = config_files_add(found);
		snprintf(copy, sizeof(copy), "endless%zu", errors.files);
		ck_assert_int_eq(config_texts_copy(&from->texts, bytes_of(copy), &f->path), 0);
		ck_assert_int_eq(config_texts_copy(&from->texts, BYTES("include endless\ninclude endless\n"), &f->text), 0);
	}
	if (found->count == 0)
		snprintf(found->error, sizeof(found->error), "open %.*s: no such file or directory",
		    (int)path.len, path.data);
	return broken;
}

static int
environment(struct config_source *from, struct bytes name, struct config_text *value)
{
	int	i;

	asked++;
	for (i = 0; i < COUNT(variables); i++)
		if (bytes_equal(name, bytes_of(variables[i].name)))
			ck_assert_int_eq(config_texts_copy(&from->texts, bytes_of(variables[i].value), value), 0);
	return broken;
}

static int
parse(const char *config)
{
	int	rc;

	text = strdup(config);
	source = (struct config_source){ .include = include, .environment = environment };
	asked = 0;
	config_errors_init(&errors, BYTES("f"));
	rc = config_parse(&root, text, strlen(config), &source, &errors);
	config_errors_finish(&errors);
	return rc;
}

static void
done(void)
{
	config_value_free(&root);
	config_errors_free(&errors);
	config_texts_free(&source.texts);
	free(text);
}

static const struct { const char *config, *json; } good[] = {
	{ "include a", "{\"x\":1,\"y\":1}\n" },
	{ "x: 5\ninclude 'a'; z: $x\n", "{\"x\":1,\"y\":1,\"z\":1}\n" },
	{ "include a }\nx: 5", "{\"x\":5,\"y\":1}\n" },
	{ "INCLUDE \"b\"\n", "{\"x\":2,\"y\":1,\"z\":1}\n" },
	{ "m {\n include a\n n: $y }\no: $m", "{\"m\":{\"n\":1,\"x\":1,\"y\":1},\"o\":{\"n\":1,\"x\":1,\"y\":1}}\n" },
	{ "{ include a, }", NULL },		/* the comma is the path's */
	{ "{ include a; k: 1 }", "{\"k\":1,\"x\":1,\"y\":1}\n" },
	{ "include empty\nx: 1", "{\"x\":1}\n" },
	{ "include many*\n", "{\"k\":2,\"l\":1}\n" },
	{ "include a\ninclude a\ninclude braces", "{\"x\":1,\"y\":1}\n" },
	{ "l: [include a]", NULL },
	{ "a: $NUMBER, b: [$NUMBER\n $MAP]", "{\"a\":12288,\"b\":[12288,{\"a\":[\"x\",12288]}]}\n" },
	{ "a: $EMPTY, b: $BLANK, c: $HASH, d: $QUOTED", "{\"a\":\"\",\"b\":\"\",\"c\":\"#x\",\"d\":\"a b\"}\n" },
	{ "a: $MORE", "{\"a\":\"d\"}\n" },
	{ "NUMBER: 1, a: $NUMBER", "{\"NUMBER\":1,\"a\":1}\n" },
	{ "number: 1, a: $NUMBER", "{\"a\":12288,\"number\":1}\n" },
	{ "HIDDEN: 1, a: $hidden", "{\"HIDDEN\":1,\"a\":\"lower\"}\n" },
};

START_TEST(what_is_included_and_set)
{
	size_t	 len;
	char	*json;

	ck_assert_int_eq(parse(good[_i].config), 0);
	if (good[_i].json == NULL) {
		ck_assert_uint_gt(errors.count, 0);
		done();
		return;
	}
	ck_assert_msg(errors.count == 0, "%s", errors.text);
	json = digest_json(&root, &len);
	ck_assert_str_eq(json, good[_i].json);
	free(json);
	done();
}
END_TEST

#define UNSET	"which no entry before this one and no variable of the environment sets"

static const struct { const char *config, *said; } wrong[] = {
	{ "outer: 1\ninclude sees\n", "sees:1:4: found the variable \"outer\", " UNSET },
	{ "a: -\ninclude wrong\nb: -",
	  "f:1:5: found the end of the line, expected a number; text that looks like one needs quotes\n"
	  "wrong:2:8: found '2', expected ',', ';' or a new line behind the value\n"
	  "wrong:3:7: found the end of the line, expected a number; text that looks like one needs quotes\n"
	  "f:3:5: found the end of the file, expected a number; text that looks like one needs quotes" },
	{ "include cut\nb: -\n",
	  "cut:2:1: found the end of the file, expected the '}' for the '{' in line 1\n"
	  "f:2:5: found the end of the line, expected a number; text that looks like one needs quotes" },
	{ "x: 1\n include none\n", "f:2:2: include: open none: no such file or directory" },
	{ "include self", "self:1:1: self includes itself" },
	{ "include one", "two:2:1: one includes itself" },
	{ "include bits", "bits: found the byte 0x00, expected a text" },
	{ "include large", "large: found more than 16 MiB, expected a configuration" },
	{ "a: [1, $CYCLE]\nb: $CYCLE\n", "$OTHER:1:2: the variable \"CYCLE\" stands in itself" },
	{ "a: $SELF", "$SELF:1:1: the variable \"SELF\" stands in itself" },
	{ "a: $TWO\nb: $TWO\n", "$TWO:1:3: found 'b', expected ',', ';' or a new line behind the value" },
	{ "a: $INCLUDES", "$INCLUDES:2:1: a variable of the environment cannot include files" },
	{ "x: 1, a: $HIDDEN", "$HIDDEN:1:1: found the variable \"x\", " UNSET },
	{ "a: $b\nb: 1\n", "f:1:4: found the variable \"b\", " UNSET },
	{ "b {c: 1}, a: $c\n", "f:1:14: found the variable \"c\", " UNSET },
};

START_TEST(errors_name_their_file)
{
	ck_assert_int_eq(parse(wrong[_i].config), 0);
	ck_assert_str_eq(errors.text, wrong[_i].said);
	done();
}
END_TEST

/* Each variable is asked for once; what the file sets is not asked for at all. */
START_TEST(only_what_is_needed_is_asked)
{
	ck_assert_int_eq(parse("a: $NUMBER, b: $NUMBER, c: [$NUMBER], d: $a, e: $nothing"), 0);
	ck_assert_uint_eq(asked, 2);
	done();
}
END_TEST

START_TEST(keys_that_served_are_marked)
{
	ck_assert_int_eq(parse("a: 1, b: $a, C: 2, d: $c, e: 1, f: $e, e: 2"), 0);
	ck_assert(config_map_find(&root, BYTES("a"), false)->used);
	ck_assert(config_map_find(&root, BYTES("C"), false)->used);
	ck_assert(!config_map_find(&root, BYTES("b"), false)->used);
	ck_assert(!config_map_find(&root, BYTES("e"), false)->used);	/* the last one was not */
	done();
	ck_assert_int_eq(parse("include a"), 0);
	ck_assert(config_map_find(&root, BYTES("x"), false)->used);
	done();
}
END_TEST

/* What is wrong in a variable is told once, and stands for nothing. */
START_TEST(a_wrong_variable_has_no_value)
{
	ck_assert_int_eq(parse("a: $TWO, x: 0\nb: $TWO\nc: 1"), 0);
	ck_assert_ptr_null(config_map_find(&root, BYTES("a"), false));
	ck_assert_ptr_null(config_map_find(&root, BYTES("b"), false));
	ck_assert_ptr_nonnull(config_map_find(&root, BYTES("c"), false));
	ck_assert_uint_eq(errors.count, 1);
	done();
}
END_TEST

/* Small files that would become large, or take for ever. */
START_TEST(growth_is_bounded)
{
	char	config[4096], *end = config;
	int	i;

	end += sprintf(end, "x0: [1, 2]\n");
	for (i = 1; i < 60; i++)
		end += sprintf(end, "x%d: [$x%d, $x%d]\n", i, i - 1, i - 1);
	ck_assert_int_eq(parse(config), 0);
	ck_assert_ptr_nonnull(strstr(errors.text, "variables stand for more than 1048576 values"));
	done();
	end = config;
	end += sprintf(end, "x0: []\n");
	for (i = 1; i < 200; i++)
		end += sprintf(end, "x%d: [$x%d]\n", i, i - 1);
	ck_assert_int_eq(parse(config), 0);
	ck_assert_ptr_nonnull(strstr(errors.text, "f:129:8: the variable stands for maps and lists more than 128 deep"));
	done();
	ck_assert_int_eq(parse("include endless"), 0);
	ck_assert_ptr_nonnull(strstr(errors.text, "files include each other over more than 100 levels"));
	ck_assert_uint_le(errors.files, CONFIG_FILES_MAX);
	done();
	/* a file's own depth begins where it stands */
	end = config + sprintf(config, "b ");
	for (i = 0; i < CONFIG_DEPTH_MAX - 8; i++)
		end += sprintf(end, "{a ");
	sprintf(end, "{include deep\n");
	ck_assert_int_eq(parse(config), 0);
	ck_assert_ptr_nonnull(strstr(errors.text, "deep:1:11: found '[' inside of 128 others"));
	done();
}
END_TEST

/* Who cannot answer ends it all; nothing is left behind. */
START_TEST(a_broken_source_ends_it)
{
	broken = -EPIPE;
	root = (struct config_value){ .kind = CONFIG_INTEGER };
	ck_assert_int_eq(parse("a: [{b: 1}]\ninclude a"), -EPIPE);
	done();
	ck_assert_int_eq(parse("a: {b: [$NUMBER]}"), -EPIPE);
	done();
	broken = 0;
}
END_TEST

START_TEST(texts_are_bounded)
{
	size_t			 n = CONFIG_TEXT_MAX;
	char			*much = calloc(1, n);
	struct config_text	 one;
	int			 i;

	for (i = 0; i < 4; i++)
		ck_assert_int_eq(config_texts_copy(&source.texts, (struct bytes){ much, n }, &one), 0);
	ck_assert_int_eq(config_texts_copy(&source.texts, (struct bytes){ much, 1 }, &one), -E2BIG);
	config_texts_free(&source.texts);
	free(much);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("config sources");
	TCase	*c = tcase_create("parser");
	SRunner	*r;
	int	 failed;

	tcase_add_loop_test(c, what_is_included_and_set, 0, COUNT(good));
	tcase_add_loop_test(c, errors_name_their_file, 0, COUNT(wrong));
	tcase_add_test(c, only_what_is_needed_is_asked);
	tcase_add_test(c, keys_that_served_are_marked);
	tcase_add_test(c, a_wrong_variable_has_no_value);
	tcase_add_test(c, growth_is_bounded);
	tcase_add_test(c, a_broken_source_ends_it);
	tcase_add_test(c, texts_are_bounded);
	tcase_set_timeout(c, 60);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
