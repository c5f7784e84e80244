/* What the log is told of the layers that hold children. */
#include <sys/socket.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/channel.h"
#include "common/log.h"
#include "common/unpack.h"
#include "supervisor/sandboxes.h"
#include "supervisor/supervisor.h"

#define ALL	(LAYER_BIT(SANDBOX_LAYERS) - 1)

static struct supervisor	s;
static struct process		table[4], *items[4] = { &table[0], &table[1], &table[2], &table[3] };
static char			lines[8192];
static int			ends[2];

static void
setup(void)
{
	static const enum role	roles[] = { ROLE_CONFIG, ROLE_WORKER, ROLE_WORKER, ROLE_WORKER };
	size_t			i;

	ck_assert_int_eq(channel_pair(ends), 0);
	log_init("test", ends[1]);
	memset(&s, 0, sizeof(s));
	ck_assert_int_eq(settings_init(&s.settings), 0);
	for (i = 0; i < 4; i++)
		table[i] = (struct process){ .supervisor = &s, .role = roles[i], .slot = (unsigned)i, .layers = ALL };
	s.processes = (struct processes){ items, 4 };
	s.layers = ALL;
}

static const char *
logged(void)
{
	char			 data[MESSAGE_MAX];
	msgpack_unpacked	 u;
	struct msg		 m;
	const char		*why;
	ssize_t			 n;
	size_t			 len = 0;

	lines[0] = '\0';
	while ((n = recv(ends[0], data, sizeof(data), MSG_DONTWAIT)) > 0) {
		msgpack_unpacked_init(&u);
		ck_assert_int_eq(unpack_bounded(&u, (struct bytes){ data, (size_t)n }, 100), 0);
		ck_assert_int_eq(msg_decode(&m, ROLE_WORKER, ROLE_LOG, 0, MSG_READY, &u.data, &why), 0);
		len += (size_t)snprintf(lines + len, sizeof(lines) - len, "%.*s\n", (int)m.u.line.text.len,
		    m.u.line.text.data);
		msgpack_unpacked_destroy(&u);
	}
	return lines;
}

START_TEST(who_has_less_than_the_one_before_is_told)
{
	sandboxes_compare(&table[1], ALL);
	ck_assert_str_eq(logged(), "");
	sandboxes_compare(&table[1], ALL & ~(LAYER_BIT(LAYER_NETWORK) | LAYER_BIT(LAYER_LANDLOCK)));
	ck_assert_ptr_nonnull(strstr(logged(), "sandbox: worker 1 (process 0) is without net, landlock, "
	    "which the one before it had\n"));
	table[1].layers = 0;			/* the first, or one that had less */
	sandboxes_compare(&table[1], ALL);
	sandboxes_compare(&table[0], ALL & ~LAYER_BIT(LAYER_IDENTITY));
	ck_assert_str_eq(logged(), "");
	ck_assert_int_eq(setting_set_text(&s.settings, setting_find(BYTES("sandbox")), BYTES("off")), 0);
	sandboxes_compare(&table[0], 0);
	ck_assert_str_eq(logged(), "");
}
END_TEST

/* Those that are alike together, one that is not for itself. */
START_TEST(each_kind_has_a_line)
{
	table[3].layers = ALL & ~LAYER_BIT(LAYER_MDWE);
	sandboxes_tell(&s);
	logged();
	ck_assert_msg(strstr(lines, "sandbox: supervisor: capabilities, no_new_privs, not_dumpable, mdwe, filter (missing: none)\n")
	    != NULL, "%s", lines);
	ck_assert_ptr_nonnull(strstr(lines, "sandbox: config: limits, net,"));
	ck_assert_ptr_nonnull(strstr(lines, "sandbox: worker x2: limits, net, ipc, uts, cgroup, pid, root, uid, "
	    "capabilities, no_new_privs, not_dumpable, mdwe, landlock, filter (missing: none)\n"));
	ck_assert_ptr_nonnull(strstr(lines, "landlock, filter (missing: mdwe)\n"));
	ck_assert_ptr_nonnull(strstr(lines, "sandbox: worker: limits"));
}
END_TEST

START_TEST(required_is_refused_with_what_is_missing)
{
	char	error[512];

	ck_assert_int_eq(setting_set_text(&s.settings, setting_find(BYTES("sandbox")), BYTES("required")), 0);
	ck_assert_int_eq(sandboxes_suffice(&s, error, sizeof(error)), 0);
	table[0].layers = ALL & ~LAYER_BIT(LAYER_MDWE);		/* younger than what is required */
	ck_assert_int_eq(sandboxes_suffice(&s, error, sizeof(error)), 0);
	table[0].layers = ALL & ~(LAYER_BIT(LAYER_PID) | LAYER_BIT(LAYER_ROOT));
	ck_assert_int_ne(sandboxes_suffice(&s, error, sizeof(error)), 0);
	ck_assert_msg(strstr(error, "children would be without pid, root") != NULL, "%s", error);
	table[0].layers = ALL;
	s.identities.all.given = true;
	ck_assert_int_ne(sandboxes_suffice(&s, error, sizeof(error)), 0);
}
END_TEST

int
main(void)
{
	Suite	*suite = suite_create("sandboxes");
	TCase	*c = tcase_create("sandboxes");
	SRunner	*r;
	int	 failed;

	tcase_add_checked_fixture(c, setup, NULL);
	tcase_add_test(c, who_has_less_than_the_one_before_is_told);
	tcase_add_test(c, each_kind_has_a_line);
	tcase_add_test(c, required_is_refused_with_what_is_missing);
	suite_add_tcase(suite, c);
	r = srunner_create(suite);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
