"""Accounts, users and permissions in the configuration: the same verdict as the real server, where
it has one, and for what is wrong the place and what was expected."""
import re
import resource
import subprocess

import pytest

import harness
from test_config_corpus import verdict

UKEY = "UCR2VMNYX7DM3VG34LU7B576AUGBGGRBFAXTMPKEJNJFSYDHNZ2XZE4Z"
AKEY = "AABQUEIYD4TC2NB3IJEVAV26MVWHG6UBRCHZNHNEVOZLTQGHZ3K5Y2TU"
SEED = "SUAKYRHVIOREXV7EUZTBHUHL7NUMHPMAS7QMDU3GTIUWEI5LDNOXD43IZY"
HASH = "$2a$11$W2zko751KUvVy59mUTWmpOdWjpEm5qhcCZRd05GjI/sSOT.xtiHyG"


def users(*entries):
    return "authorization { users = [ %s ] }" % ", ".join("{%s}" % e for e in entries)


def permissions(text):
    return users("user: a, password: b, permissions: {%s}" % text)


def account(text, other=""):
    return "accounts { A { %s }, B { %s } }\n" % (text, other)


def imported(exports, imports):
    return account("exports: [%s]" % exports, "imports: [%s]" % imports)


# ---- what both take

GOOD = {
    # users
    "single": "authorization { user: a, password: b }",
    "single_other_names": "authorization { username: a, pass: b }",
    "user_without_password": "authorization { user: a }",
    "token": "authorization { token: s3cret }",
    "token_hashed": f"authorization {{ token: {HASH} }}",
    "empty": "authorization {}",
    "empty_list": "authorization { users: [] }",
    "list": users("user: a, password: b", "user: c, pass: d"),
    "names_in_any_case": users("User: a, PASSWORD: b"),
    "hashed": users(f'user: a, password: "{HASH}"'),
    "hashed_2y": users(f'user: a, password: "{HASH.replace("2a", "2y")}"'),
    "dollar_is_no_hash": users('user: a, password: "$1$abc"'),
    "nkeys": users(f"nkey: {UKEY}", "user: a, password: b"),
    "nkey_permitted": users(f"nkey: {UKEY}, permissions: {{publish: a}}"),
    "timeout_number": "authorization { timeout: 1, token: a }",
    "timeout_real": "authorization { timeout: 0.5, token: a }",
    "timeout_text": 'authorization { timeout: "1m", token: a }',
    "timeout_zero": "authorization { timeout: 0, token: a }",
    "connection_types": users('user: a, allowed_connection_types: ["STANDARD", "websocket"]'),
    "connection_types_text": users("user: a, connection_types: mqtt"),
    "connection_types_all": users("user: a, clients: [STANDARD, WEBSOCKET, LEAFNODE, LEAFNODE_WS, MQTT, MQTT_WS, IN_PROCESS]"),
    "connection_types_none": users("user: a, connection_types: []"),
    "proxy_not_required": users("user: a, proxy_required: false"),
    "variables_in_users": "authorization { P: secret, users: [ {user: a, password: $P} ] }",
    "no_auth_user": users("user: a, password: b") + "\nno_auth_user: a",
    "no_auth_nkey": users(f"nkey: {UKEY}") + f"\nno_auth_user: {UKEY}",
    "no_auth_user_in_account": account("users: [{user: a, password: b}]") + "no_auth_user: a",
    # permissions
    "publish": permissions("publish: foo"),
    "publish_list": permissions('publish: ["foo.*", bar, ">"]'),
    "publish_block": permissions('publish: {allow: ["foo.*"], deny: "foo.x"}'),
    "publish_deny": permissions('publish: {deny: [a, b]}'),
    "publish_empty": permissions("publish: {}"),
    "publish_none": permissions("publish: []"),
    "short": permissions("pub: a, sub: b"),
    "of_routes": permissions("import: a, export: b"),
    "queue": permissions('subscribe: ["foo q", "bar *.v1", "> q.>"]'),
    "queue_deny": permissions('subscribe: {allow: ">", deny: ["foo", "foo q1"]}'),
    "queue_many_blanks": permissions('subscribe: " foo\t  q "'),
    "responses": permissions("allow_responses: true"),
    "responses_not": permissions("allow_responses: false"),
    "responses_block": permissions('publish: a, allow_responses: {max: 5, expires: "1m"}'),
    "responses_names": permissions('publish_allow_responses: {max_messages: -1, ttl: "-1s"}'),
    "responses_names_2": permissions('allow_responses: {max_msgs: 0, expiration: "0s"}'),
    "responses_empty": permissions("allow_responses: {}"),
    "nothing_said": permissions(""),
    "permission": users("user: a, permission: {pub: a}"),
    "permissions_as_authorization": users("user: a, authorization: {pub: a}"),
    "default_permissions": "authorization { default_permissions: {pub: a}, users: [{user: a}] }",
    "default_permission": "authorization { default_permission: {pub: a}, users: [{user: a}] }",
    "default_as_permissions": "authorization { users: [{user: a}], permissions: {pub: a} }",
    "dots_in_quotes": permissions('publish: "$JS.API.>"'),
    "not_quite_a_wildcard": permissions('publish: "foo*.>bar"'),
    # accounts
    "accounts_list": "accounts: [A, B]",
    "accounts_list_empty": "accounts: []",
    "accounts_empty": "accounts {}",
    "account_empty": "accounts { A {} }",
    "account_users": account("users: [{user: a, password: b}]", "users: [{user: c, password: d}]"),
    "account_nkey": account(f"nkey: {AKEY}"),
    "account_and_authorization": account("users: [{user: a, password: b}]") + users("user: c, password: d"),
    "single_and_accounts_without_users": account("exports: [{stream: a}]") + "authorization { user: a, password: b }",
    "account_default_permissions": account("users: [{user: a}], default_permissions: {publish: a}"),
    "account_limits": account("limits: {max_connections: 5, max_subs: 10, max_payload: 1KB, max_leafnodes: 0}"),
    "account_limits_names": account("limits: {max_conn: -1, max_subscriptions: 10, max_pay: 1000, max_leafs: 1}"),
    "account_variables": "accounts { P: secret, A { users: [{user: a, password: $P}] } }",
    "system_account": "accounts { SYS { users: [{user: a, password: b}] } }\nsystem_account: SYS",
    "system_account_alias": "accounts { SYS {} }\nsystem: SYS",
    "sys_by_name": 'accounts { "$SYS" { users: [{user: a, password: b}] } }',
    "no_system_account": "no_system_account: true",
    "no_system": "no_system: true",
    "no_sys_acc": "no_sys_acc: false",
    # exports
    "export_stream": account('exports: [{stream: "a.>"}]'),
    "export_service": account('exports: [{service: "q.*"}]'),
    "export_private": account('exports: [{stream: "a.>", accounts: [B]}, {service: q, accounts: [B]}]'),
    "export_private_in_parts": "accounts { A { exports: [{stream: a, accounts: [B]}, {stream: a, accounts: [C]}] }, "
                               "B { imports: [{stream: {account: A, subject: a}}] }, C { imports: [{stream: {account: A, subject: a}}] } }",
    "export_response": account("exports: [{service: a, response: stream}, {service: b, response_type: Chunked}, "
                               "{service: c, response: single}, {service: d, response: singleton}, {service: e, response: chunk}]"),
    "export_threshold": account('exports: [{service: a, threshold: "2s"}, {service: b, response_threshold: "1m"}, '
                                '{service: c, response_max_time: "1s"}, {service: d, response_time: "5ms"}]'),
    "export_latency": account("exports: [{service: a, latency: lat}]"),
    "export_latency_block": account('exports: [{service: a, latency: {sampling: "50%", subject: lat.a}}]'),
    "export_latency_number": account("exports: [{service: a, latency: {sampling: 10, subject: lat.a}}]"),
    "export_latency_headers": account('exports: [{service: a, latency: {sampling: headers, subject: lat}}]'),
    "export_latency_usual": account("exports: [{service: a, latency: {subject: lat}}]"),
    "export_position": account('exports: [{service: "a.*.b", account_token_position: 2}, {stream: "*.x", account_token_position: 1}]'),
    "export_trace": account("exports: [{service: a, allow_trace: true}]"),
    # imports
    "import_stream": imported('{stream: "a.>"}', '{stream: {account: A, subject: "a.>"}}'),
    "import_stream_narrow": imported('{stream: "a.>"}', '{stream: {account: A, subject: "a.b.*"}}'),
    "import_stream_prefix": imported('{stream: "a.>"}', '{stream: {account: A, subject: "a.>"}, prefix: "p"}'),
    "import_stream_prefix_dot": imported('{stream: "a.>"}', '{stream: {account: A, subject: "a.>"}, prefix: "p."}'),
    "import_stream_to": imported('{stream: "a.*.*"}', '{stream: {account: A, subject: "a.*.*"}, to: "x.$2.$1"}'),
    "import_stream_to_star": imported('{stream: "a.*"}', '{stream: {account: A, subject: "a.*"}, to: "x.*"}'),
    "import_stream_to_wildcard": imported('{stream: "a.*"}', '{stream: {account: A, subject: "a.*"}, to: "x.{{wildcard(1)}}"}'),
    "import_stream_to_blanks": imported('{stream: "a.*"}', '{stream: {account: A, subject: "a.*"}, to: "x.{{ Wildcard( 1 ) }}"}'),
    "import_stream_literal": imported("{stream: a}", "{stream: {account: A, subject: a}, to: b}"),
    "import_stream_trace": imported("{stream: a}", "{stream: {account: A, subject: a}, allow_trace: true}"),
    "import_service": imported("{service: q}", "{service: {account: A, subject: q}}"),
    "import_service_to": imported("{service: q}", "{service: {account: A, subject: q}, to: help}"),
    "import_service_wild": imported('{service: "q.*"}', '{service: {account: A, subject: "q.*"}, to: "help.*"}'),
    "import_service_swap": imported('{service: "q.*.*"}', '{service: {account: A, subject: "q.*.*"}, to: "help.$2.$1"}'),
    "import_service_rest": imported('{service: "q.>"}', '{service: {account: A, subject: "q.>"}, to: "help.>"}'),
    "import_service_one_of_many": imported('{service: "q.*"}', '{service: {account: A, subject: "q.one"}}'),
    "import_service_to_several": imported("{service: q}", '{service: {account: A, subject: q}, to: "help.*"}'),
    "import_share": imported("{service: q}", "{service: {account: A, subject: q}, share: true}"),
    "import_listed": imported("{service: q, accounts: [B]}, {stream: s, accounts: [A, B]}",
                              "{service: {account: A, subject: q}}, {stream: {account: A, subject: s}}"),
    "import_position": imported('{service: "q.*", account_token_position: 2}', '{service: {account: A, subject: "q.B"}}'),
    "import_twice_elsewhere": "accounts { A { exports: [{service: a}] }, B { exports: [{service: a}] }, "
                              "C { imports: [{service: {account: A, subject: a}}, {service: {account: B, subject: a}}] } }",
    "import_chain": "accounts { A { exports: [{service: a}] }, B { imports: [{service: {account: A, subject: a}}], exports: [{service: a}] }, "
                    "C { imports: [{service: {account: B, subject: a}}] } }",
    "import_own": account("exports: [{service: a}], imports: [{service: {account: A, subject: a}, to: b}]"),
    "import_both_ways": account("exports: [{service: a}], imports: [{service: {account: B, subject: b}}]",
                                "exports: [{service: b}], imports: [{service: {account: A, subject: a}}]"),
    # mappings
    "mapping": "mappings { foo: bar }",
    "maps": 'maps { "foo.*": "bar.$1" }',
    "mapping_functions": 'mappings { "a.*.*": "x.{{wildcard(2)}}.{{partition(10,1,2)}}", "b.*": "{{split(1,-)}}", '
                         '"c.*": "{{splitFromLeft(1,2)}}.{{SplitFromRight(1,2)}}", "d.*": "{{slicefromleft(1,2)}}.{{sliceFromRight(1,3)}}", '
                         '"e.*": "{{left(1,2)}}.{{right(1,2)}}", "f": "{{random(3)}}", "g.>": "h.>", "i": "{{partition(5)}}" }',
    "mapping_weighted": 'mappings { foo: [{destination: a, weight: "80%"}, {dest: b, weight: 20}] }',
    "mapping_less": "mappings { foo: [{destination: a, weight: 50%}] }",
    "mapping_one_block": "mappings { foo: {destination: a, weight: 100} }",
    "mapping_cluster": "mappings { foo: [{destination: a, weight: 100, cluster: East}, {destination: b, weight: 100%}] }",
    "mapping_loss": "mappings { foo: [{destination: foo, weight: 50%}] }",
    "mapping_nothing": "mappings { foo: [] }",
    "mapping_empty": "mappings {}",
    "mapping_of_account": account('mappings: {"a.*": "b.$1"}', "maps: {x: y}"),
    "mapping_drops_a_token": 'mappings { "a.*.*": "b.$2" }',
}

# ---- what both refuse, and what we say about it

BAD = {
    "authorization_text": ("authorization: abc", '1:16: found text, expected a block'),
    "unknown": ("authorization { usr: a }", '1:17: unknown field "usr" in authorization'),
    "password_number": ("authorization { user: a, password: 5 }", "1:36: password: found a whole number, expected text"),
    "user_number": ("authorization { user: 5 }", '1:23: "user": found 5, expected text'),
    "user_and_token": ("authorization { user: a, password: b, token: c }", "1:1: found a user or password and a token"),
    "single_and_list": ("authorization { user: a, password: b, users: [{user: c}] }", "1:1: found a single user and a list"),
    "single_and_empty_list": ("authorization { user: a, users: [] }", "1:1: found a single user and a list"),
    "token_and_list": ("authorization { token: a, users: [{user: c}] }", "1:1: found a token and a list"),
    "duplicate": (users("user: a", "user: a"), '1:38: found the user "a", who is in line 1'),
    "duplicate_nkey": (users(f"nkey: {UKEY}", f"nkey: {UKEY}"), 'found the user "U'),
    "users_text": ("authorization { users: abc }", "1:24: found text, expected a list"),
    "user_text": ("authorization { users: [abc] }", "1:25: found text, expected a block"),
    "user_without_name": (users("password: b"), "1:27: found a user entry without a name"),
    "user_unknown": (users("user: a, pasword: b"), '1:37: unknown field "pasword" in a user'),
    "nkey_bad": (users("nkey: UABC"), '"UABC", expected the public nkey of a user'),
    "nkey_mistyped": (users(f"nkey: {UKEY[:-1]}A"), "expected the public nkey of a user"),
    "nkey_of_account": (users(f"nkey: {AKEY}"), "expected the public nkey of a user"),
    "nkey_and_user": (users(f"nkey: {UKEY}, user: a"), "found an nkey beside a user"),
    "nkey_and_password": (users(f"nkey: {UKEY}, password: a"), "found an nkey beside a user"),
    "connection_type": (users("user: a, connection_types: [STANDARD, FOO]"), '1:66: found "FOO", expected a type of connection'),
    "connection_type_number": (users("user: a, connection_types: 5"), "found 5, expected a type of connection"),
    "timeout_text": ("authorization { timeout: soon }", '1:26: "timeout": found "soon"'),
    "timeout_list": ("authorization { timeout: [] }", "expected seconds"),
    "timeout_high": ("authorization { timeout: 100, token: a }", "1:17: timeout: found more than 60 seconds"),
    "no_auth_user_number": (users("user: a") + "\nno_auth_user: 5", "2:15: "),
    # permissions
    "permissions_text": (users("user: a, permissions: abc"), "found text, expected a block {...} for permissions"),
    "permissions_unknown": (permissions("pblish: a"), 'unknown field "pblish" in permissions'),
    "publish_number": (permissions("publish: 5"), "found 5, expected a subject"),
    "publish_subject": (permissions('publish: "foo..bar"'), 'found "foo..bar", expected a subject'),
    "publish_subject_blank": (permissions('publish: "foo bar"'), 'found "foo bar", expected a subject'),
    "publish_rest_inside": (permissions('publish: "a.>.b"'), "expected a subject"),
    "publish_empty_text": (permissions('publish: ""'), 'found "", expected a subject'),
    "publish_item": (permissions("publish: [a, 5]"), "found 5, expected a subject"),
    "publish_queue": (permissions('publish: {allow: "foo q"}'), "expected a subject"),
    "publish_block_unknown": (permissions("publish: {alow: a}"), 'unknown field "alow" in permissions of subjects'),
    "subscribe_three": (permissions('subscribe: "a b c"'), 'found "a b c", expected a subject'),
    "subscribe_queue": (permissions('subscribe: "a b..c"'), 'found "b..c", expected a subject'),
    "subscribe_subject": (permissions('subscribe: "a..b q"'), 'found "a..b", expected a subject'),
    "responses_text": (permissions("allow_responses: yes_please"), "found text, expected a block"),
    "responses_max": (permissions('allow_responses: {max: "5"}'), '"max": found "5", expected a whole number'),
    "responses_expires": (permissions("allow_responses: {expires: 5}"), '"expires": found 5, expected a duration'),
    "responses_expires_text": (permissions("allow_responses: {expires: soon}"), 'found "soon", expected a duration'),
    "responses_unknown": (permissions("allow_responses: {mx: 5}"), 'unknown field "mx" in allow_responses'),
    "default_permissions": ("authorization { default_permissions: 5 }", "found a whole number, expected a block"),
    # accounts
    "account_text": ("accounts { A: b }", "1:15: found text, expected a block {...} for an account"),
    "account_global": ('accounts { "$G" {} }', '1:12: found the account "$G", expected a name other than'),
    "account_global_in_list": ('accounts: ["$G"]', 'found the account "$G"'),
    "account_twice_in_list": ("accounts: [A, A]", '1:15: found the account "A", which is in line 1 already'),
    "account_list_number": ("accounts: [5]", "found 5, expected the name of an account"),
    "account_unknown": (account("usrs: []"), '1:16: unknown field "usrs" in an account'),
    "account_nkey": (account("nkey: ABC"), '"ABC", expected the public nkey of an account'),
    "account_duplicate_user": (account("users: [{user: a}]", "users: [{user: a}]"), '1:50: found the user "a"'),
    "duplicate_over_blocks": (account("users: [{user: a}]") + users("user: a"), 'found the user "a"'),
    "account_limits_text": (account("limits: abc"), "found text, expected a block"),
    "account_limits_unknown": (account("limits: {max_cn: 5}"), 'unknown field "max_cn" in limits'),
    "account_limits_kind": (account('limits: {max_conn: "5"}'), '"max_conn": found "5", expected a whole number'),
    "system_account_number": ("system_account: 5", "1:17: system_account: found 5"),
    "no_system_account_text": ("no_system_account: abc", '"no_system_account": found "abc", expected true or false'),
    # exports
    "exports_text": (account("exports: abc"), "found text, expected a list [...] of exports"),
    "export_text": (account("exports: [abc]"), "found text, expected a block {...} for an export"),
    "export_unknown": (account("exports: [{stream: a, acounts: []}]"), 'unknown field "acounts" in an export'),
    "export_both": (account("exports: [{stream: a, service: b}]"), "found both in this export"),
    "export_number": (account("exports: [{stream: 5}]"), '"stream": found 5, expected a subject'),
    "export_account_unknown": (account("exports: [{stream: a, accounts: [X]}]"), '1:49: found the account "X", expected one that is defined'),
    "export_service_account_unknown": (account("exports: [{service: a, accounts: [B, X]}]"), 'found the account "X"'),
    "export_accounts_text": (account("exports: [{stream: a, accounts: B}]"), '"accounts": found "B", expected a list'),
    "export_response": (account("exports: [{service: a, response: many}]"), 'found "many", expected singleton, stream or chunked'),
    "export_response_of_stream": (account("exports: [{stream: a, response: stream}]"), "response: found in the export of a stream"),
    "export_threshold": (account("exports: [{service: a, threshold: soon}]"), 'found "soon", expected a duration'),
    "export_threshold_number": (account("exports: [{service: a, threshold: 5}]"), "found 5, expected a duration"),
    "export_latency_number": (account("exports: [{service: a, latency: 5}]"), "found a whole number, expected a block {...} for latency"),
    "export_latency_subject": (account("exports: [{service: a, latency: {sampling: 5}}]"), "found no subject in latency"),
    "export_latency_sampling": (account("exports: [{service: a, latency: {sampling: 101, subject: l}}]"), "found 101, expected 1 to 100"),
    "export_latency_sampling_0": (account('exports: [{service: a, latency: {sampling: "0%", subject: l}}]'), 'found "0%", expected 1 to 100'),
    "export_latency_sampling_text": (account("exports: [{service: a, latency: {sampling: some, subject: l}}]"), 'found "some", expected 1 to 100'),
    "export_latency_wild": (account('exports: [{service: a, latency: "l.*"}]'), "expected a subject without wildcards"),
    "export_latency_of_stream": (account("exports: [{stream: a, latency: l}]"), "latency: found in the export of a stream"),
    "export_latency_many": (account("exports: [{service: a, response: stream, latency: l}]"), "found latency with responses that are not singleton"),
    "export_latency_loop": (account('exports: [{service: "a.>", latency: a.l}]'), 'found the subject "a.l" for latency'),
    "export_position": (account('exports: [{service: "a.b", account_token_position: 2}]'), "account_token_position: found no '*'"),
    "export_position_beyond": (account('exports: [{service: "a.*", account_token_position: 3}]'), "account_token_position: found no '*'"),
    "export_position_text": (account('exports: [{service: "a.*", account_token_position: x}]'), 'found "x", expected a whole number'),
    "export_trace_of_stream": (account("exports: [{stream: a, allow_trace: true}]"), "allow_trace: found in the export of a stream"),
    # imports
    "imports_text": (account("imports: abc"), "found text, expected a list [...] of imports"),
    "import_text": (account("imports: [abc]"), "found text, expected a block {...} for an import"),
    "import_unknown": (account("imports: [{stream: {account: B, subject: a}, t: x}]"), 'unknown field "t" in an import'),
    "import_kind": (account("imports: [{stream: a}]"), "found text, expected a block"),
    "import_no_account": (account("imports: [{stream: {subject: a}}]"), "found no account or no subject"),
    "import_no_subject": (account("imports: [{service: {account: B}}]"), "found no account or no subject"),
    "import_both": (imported("{stream: a}, {service: a}", "{stream: {account: A, subject: a}, service: {account: A, subject: a}}"), "found both in this import"),
    "import_account_unknown": (account("imports: [{stream: {account: X, subject: a}}]"), '1:26: found the account "X", expected one that is defined'),
    "import_global": (account('imports: [{stream: {account: "$G", subject: a}}]'), 'found the account "$G"'),
    "import_system_undefined": (account('imports: [{service: {account: "$SYS", subject: a}}]'), 'found the account "$SYS"'),
    "import_not_exported": (imported("{stream: a}", "{stream: {account: A, subject: b}}"), 'found the import of "b" from "A", which does not export it'),
    "import_wider": (imported('{stream: "a.*"}', '{stream: {account: A, subject: "a.>"}}'), "which does not export it"),
    "import_other_kind": (imported("{stream: a}", "{service: {account: A, subject: a}}"), "which does not export it"),
    "import_private": ("accounts { A { exports: [{stream: a, accounts: [C]}] }, B { imports: [{stream: {account: A, subject: a}}] }, C {} }",
                       "which exports it to other accounts only"),
    "import_private_service": ("accounts { A { exports: [{service: a, accounts: [C]}] }, B { imports: [{service: {account: A, subject: a}}] }, C {} }",
                               "which exports it to other accounts only"),
    "import_position_of_other": (imported('{service: "q.*", account_token_position: 2}', '{service: {account: A, subject: "q.C"}}'),
                                 "which exports it to the account whose name is in the subject"),
    "import_position_wild": (imported('{service: "q.*", account_token_position: 2}', '{service: {account: A, subject: "q.*"}}'),
                             "which exports it to the account whose name is in the subject"),
    "import_prefix_wild": (imported("{stream: a}", '{stream: {account: A, subject: a}, prefix: "p.*"}'), "expected a subject without wildcards"),
    "import_to_unused": (imported('{stream: "a.*.*"}', '{stream: {account: A, subject: "a.*.*"}, to: "x.$1"}'), "1:62: found"),
    "import_to_beyond": (imported('{stream: "a.*"}', '{stream: {account: A, subject: "a.*"}, to: "x.$2"}'), 'found "x.$2" for "a.*"'),
    "import_to_function": (imported('{stream: "a.*"}', '{stream: {account: A, subject: "a.*"}, to: "x.{{split(1,-)}}"}'), "found"),
    "import_to_rest": (imported('{stream: "a.>"}', '{stream: {account: A, subject: "a.>"}, to: "x"}'), "found"),
    "import_service_to_unused": (imported('{service: "q.*"}', '{service: {account: A, subject: "q.*"}, to: help}'), "found"),
    "import_service_to_bad": (imported("{service: q}", '{service: {account: A, subject: q}, to: "a..b"}'), 'found "a..b", expected a subject'),
    "import_service_twice": (imported("{service: q}", "{service: {account: A, subject: q}}, {service: {account: A, subject: q}}"), "found the import of line 1 again"),
    "import_service_twice_to": (imported("{service: q}, {service: r}", "{service: {account: A, subject: q}, to: x}, {service: {account: A, subject: r}, to: x}"),
                                "found the import of line 1 again"),
    "import_stream_twice": (imported("{stream: q}", "{stream: {account: A, subject: q}}, {stream: {account: A, subject: q}, prefix: p}"), "found the import of line 1 again"),
    "import_share_kind": (imported("{service: q}", "{service: {account: A, subject: q}, share: 1}"), '"share": found 1, expected true or false'),
    "import_trace_of_service": (imported("{service: q}", "{service: {account: A, subject: q}, allow_trace: true}"), "allow_trace: found in the import of a service"),
    "cycle_of_services": (account("exports: [{service: a}],\nimports: [{service: {account: B, subject: a}}]",
                                  "exports: [{service: a}],\nimports: [{service: {account: A, subject: a}}]"), "3:11: found an import that closes a cycle of 2"),
    "cycle_of_streams": (account("exports: [{stream: a}],\nimports: [{stream: {account: B, subject: a}}]",
                                 "exports: [{stream: a}],\nimports: [{stream: {account: A, subject: a}}]"), "3:11: found an import that closes a cycle of 2"),
    "cycle_of_three": ("accounts { A { exports: [{service: a}]\nimports: [{service: {account: B, subject: a}}] },\n"
                       "B { exports: [{service: a}]\nimports: [{service: {account: C, subject: a}}] },\n"
                       "C { exports: [{service: a}]\nimports: [{service: {account: A, subject: a}}] } }", "6:11: found an import that closes a cycle of 3"),
    "cycle_of_wildcards": (account('exports: [{service: "a.*"}],\nimports: [{service: {account: B, subject: "a.b"}}]',
                                   'exports: [{service: "a.>"}],\nimports: [{service: {account: A, subject: "a.*"}}]'), "3:11: found an import that closes a cycle of 2"),
    "cycle_renamed": (account("exports: [{service: a}],\nimports: [{service: {account: B, subject: b}, to: a}]",
                              "exports: [{service: b}],\nimports: [{service: {account: A, subject: a}, to: b}]"), "3:11: found an import that closes a cycle of 2"),
    # mappings
    "mappings_text": ("mappings: abc", "1:11: found text, expected a block"),
    "mapping_source": ('mappings { "a..b": c }', '1:12: found "a..b", expected a subject'),
    "mapping_source_tab": ('mappings { "a\tb": c }', '1:12: found "a\\x09b", expected a subject'),
    "mapping_source_blank": ('mappings { "a b": c }', '1:12: found "a b", expected a subject'),
    "mapping_source_return": ('mappings { "a\rb": c }', '1:12: found "a\\x0db", expected a subject'),
    "mapping_destination_tab": ('mappings { a: "b\\tc" }', '1:15: found "b\\x09c" as a destination: it has control characters'),
    "mapping_destination_blank": ('mappings { a: "b c" }', '1:15: found "b c" as a destination'),
    "mapping_number": ("mappings { a: 5 }", "found a whole number, expected a block"),
    "mapping_star": ('mappings { "a.*": "b.*" }', 'found "b.*" as a destination'),
    "mapping_beyond": ('mappings { "a.*": "b.$2" }', 'found "b.$2" as a destination'),
    "mapping_function": ('mappings { "a.*": "b.{{nope(1)}}" }', "as a destination"),
    "mapping_rest": ('mappings { "a.>": "b" }', 'found "b" as a destination'),
    "mapping_no_weight": ("mappings { a: {destination: b} }", "1:15: found no weight"),
    "mapping_weight": ("mappings { a: {destination: b, weight: 101} }", "found 101, expected 0 to 100"),
    "mapping_weight_text": ('mappings { a: {destination: b, weight: "x%"} }', 'found "x%", expected 0 to 100'),
    "mapping_weight_below": ("mappings { a: {destination: b, weight: -1} }", "found -1, expected 0 to 100"),
    "mapping_weights": ("mappings { a: [{destination: b, weight: 60}, {destination: c, weight: 60}] }", "1:46: found weights of 120% in all"),
    "mapping_twice": ("mappings { a: [{destination: b, weight: 10}, {destination: b, weight: 10}] }", 'found the destination "b" twice'),
    "mapping_unknown": ("mappings { a: {destinaton: b, weight: 10} }", 'unknown field "destinaton" in a destination'),
    "mapping_item": ("mappings { a: [b] }", "found text, expected a block"),
    "mapping_destination_kind": ("mappings { a: {destination: 5, weight: 10} }", '"destination": found 5, expected text'),
}

# ---- where we differ and mean to: what is said here (0 good, 1 refused), and there; None: sometimes this, sometimes that

OTHER = {
    # it starts there too, and then does not run
    "system_account_undefined": (1, 0, "system_account: X"),
    "no_auth_user_undefined": (1, 0, users("user: a") + "\nno_auth_user: b"),
    "no_auth_user_alone": (1, 0, "no_auth_user: b"),
    "no_auth_user_is_single": (1, 0, "authorization { user: a, password: b }\nno_auth_user: a"),
    # it runs there, but not as it was meant
    "hash_cut": (1, 0, users(f'user: a, password: "{HASH[:-1]}"')),
    "hash_cost": (1, 0, users(f'user: a, password: "{HASH.replace("11", "40")}"')),
    "token_hash_cut": (1, 0, 'authorization { token: "$2b$11$abc" }'),
    "password_alone": (1, 0, "authorization { password: b }"),
    "single_and_accounts": (1, None, account("users: [{user: a}]") + "authorization { user: b }"),
    "token_and_accounts": (1, None, account("users: [{user: a}]") + "authorization { token: b }"),
    "key_twice": (1, 0, users("user: a, username: b")),
    "key_in_two_cases": (1, 0, "authorization { token: a, TOKEN: b }"),
    "timeout_below_zero": (1, 0, "authorization { timeout: -1, token: a }"),
    "accounts_text": (1, 0, "accounts: A"),
    "account_without_a_name": (1, 0, 'accounts { "" {} }'),
    "system_is_global": (1, 0, 'system_account: "$G"'),
    "subject_too_long": (1, 0, permissions(f"publish: {'a' * 20000}")),
    "name_too_long": (1, 0, users(f"user: {'a' * 2000}")),
    "export_nothing": (1, 0, account("exports: [{accounts: [B]}]")),
    "export_empty_list": (1, 0, account("exports: [{stream: a, accounts: []}]")),
    "export_subject": (1, 0, account('exports: [{stream: "a..b"}]')),
    "export_twice": (1, 0, account("exports: [{stream: a}, {stream: a}]")),
    "export_private_and_public": (1, 0, account("exports: [{service: a, accounts: [B]}, {service: a}]")),
    "export_twice_otherwise": (1, 0, account("exports: [{service: a, accounts: [B]}, {service: a, accounts: [A], response: stream}]")),
    "export_latency_no_system": (1, None, "no_system_account: true\n" + account("exports: [{service: a, latency: l}]")),
    "import_too_long": (1, 0, imported('{service: "%s"}' % ".".join("*" * 8192), '{service: {account: A, subject: "%s"}}' % ".".join("*" * 8192))),
    "import_too_long_stream": (1, 0, imported('{stream: "%s"}' % ".".join("*" * 8192), '{stream: {account: A, subject: "%s"}}' % ".".join("*" * 8192))),
    "export_threshold_of_stream": (1, None, account('exports: [{stream: a, threshold: "2s"}]')),
    "export_threshold_below_zero": (1, 0, account('exports: [{service: a, threshold: "-2s"}]')),
    "import_nothing": (1, 0, account("imports: [{to: a}]")),
    "import_prefix_and_to": (1, None, imported("{stream: a}", "{stream: {account: A, subject: a}, prefix: p, to: x}")),
    "import_prefix_of_service": (1, 0, imported("{service: a}", "{service: {account: A, subject: a}, prefix: p}")),
    "import_share_of_stream": (1, 0, imported("{stream: a}", "{stream: {account: A, subject: a}, share: true}")),
    "import_to_wild_of_literal": (1, 0, imported("{stream: a}", '{stream: {account: A, subject: a}, to: "b.*"}')),
    "import_service_rest_to_one": (1, 0, imported("{service: a}", '{service: {account: A, subject: a}, to: "b.>"}')),
    "import_service_function": (1, 0, imported('{service: "q.*"}', '{service: {account: A, subject: "q.{{split(1,-)}}"}, to: "help.*"}')),
    "import_service_placeholder": (1, 0, imported('{service: "q.*"}', '{service: {account: A, subject: "q.$1"}, to: "help.*"}')),
    "import_of_itself": (1, 0, account("exports: [{service: a}], imports: [{service: {account: A, subject: a}}]")),
    "import_no_real_cycle": (0, None, account("exports: [{service: z}], imports: [{service: {account: B, subject: x}, to: y}]",
                                              "exports: [{service: x}], imports: [{service: {account: A, subject: z}, to: x}]")),
    "import_narrowest_decides": (1, None, "accounts { A { exports: [{stream: \"a.>\"}, {stream: \"a.b.*\", accounts: [C]}] }, "
                                          "B { imports: [{stream: {account: A, subject: \"a.b.c\"}}] }, C {} }"),
    "mapping_no_destination": (1, 0, "mappings { a: {weight: 10} }"),
    "mapping_empty_destination": (1, 0, 'mappings { a: "" }'),
    "block_under_two_names": (1, 0, "mappings { a: b }\nmaps { a: c }"),
    "block_in_two_cases": (1, 0, users("user: a") + "\nAUTHORIZATION { users: [{user: b}] }"),
    "setting_in_two_cases": (1, 0, users("user: a", "user: b") + "\nno_auth_user: a\nNO_AUTH_USER: b"),
    "import_to_twice": (1, 0, imported('{stream: "a.*"}', '{stream: {account: A, subject: "a.*"}, to: "$1.$1"}')),
    "import_own_stream": (1, 0, account("exports: [{stream: a}], imports: [{stream: {account: A, subject: a}}]")),
    "import_overlapping_exports": (1, None, "accounts { A { exports: [{stream: \"a.*\"}, {stream: \"*.b\", accounts: [C]}] }, "
                                            "B { imports: [{stream: {account: A, subject: a.b}}] }, C {} }"),
    "import_overlapping_exports_2": (1, None, "accounts { A { exports: [{stream: \"*.b\", accounts: [C]}, {stream: \"a.*\"}] }, "
                                              "B { imports: [{stream: {account: A, subject: a.b}}] }, C {} }"),
    "subject_control": (1, 0, permissions('publish: "a\\x01b"')),
    "subject_delete": (1, 0, account('exports: [{stream: "a\x7fb"}]')),
    "mapping_source_control": (1, 0, 'mappings { "a\x01b": b }'),
    "mapping_destination_control": (1, 0, 'mappings { a: "b\\x01c" }'),
    "mapping_destination_delete": (1, 0, 'mappings { a: [{destination: "b\x7fc", weight: 5}] }'),
    "rate_zero": (1, 1, account("limits: {max_messages_per_second: 0}")),
    # what does not exist here yet
    "auth_callout": (1, 0, f"authorization {{ auth_callout: {{issuer: {AKEY}, auth_users: [a]}}, users: [{{user: a}}] }}"),
    "proxy_required": (1, 0, "authorization { token: a, proxy_required: true }"),
    "account_jetstream": (1, 0, account("jetstream: enabled")),
    "account_trace": (1, 0, account("msg_trace: a.b")),
    # what there is only here
    "expires": (0, 1, users("user: a, expires: 2030-01-02T03:04:05Z")),
    "expires_zone": (0, 1, users('user: a, expires: "2030-01-02T03:04:05+01:00"')),
    "expires_day": (1, 1, users('user: a, expires: "2030-02-30T03:04:05Z"')),
    "unix_user": (0, 1, users("user: a, unix_user: root")),
    "unix_group": (0, 1, users("user: a, unix_user: 5, unix_group: root")),
    "unix_user_unknown": (1, 1, users("user: a, unix_user: nobody_of_this_name")),
    "unix_user_twice": (1, 1, users("user: a, unix_user: root", "user: b, unix_user: 0")),
    "user_limits": (0, 1, users("user: a, limits: {max_subs: 5, over_rate: close, max_bytes_per_second: 1MB}")),
    "account_rates": (0, 1, account("limits: {max_messages_per_second: 5, max_messages_burst: 10, over_rate: pace, "
                                    "max_connections_per_address: 3, max_pending: 5MB, max_memory: 50MB}")),
    "account_over_rate": (1, 1, account("limits: {over_rate: later}")),
    "unix_listener": (0, 1, 'listen: "unix:/tmp/a.sock"'),
    "unix_listeners": (0, 1, 'listen: [-1, "unix:/tmp/a.sock", "unix:/tmp/b.sock"]'),
    "unix_listener_beside": (1, 1, 'listen: "unix:a.sock"'),
    "unix_listener_long": (1, 1, f'listen: "unix:/{"a" * 107}"'),
}


def said(exe, tmp_path, text):
    path = tmp_path / "a.conf"
    path.write_text(text)
    return verdict(exe, str(path), str(tmp_path))


@pytest.mark.parametrize("name", GOOD)
def test_what_is_good(tmp_path, name):
    ours = said(harness.BULKHEAD, tmp_path, GOOD[name])
    theirs = said(harness.real_server(), tmp_path, GOOD[name])
    assert ours[0] == 0, ours[2]
    assert theirs[0] == 0, theirs[2]
    assert ours[1] is not None and ours[1] == theirs[1]


@pytest.mark.parametrize("name", BAD)
def test_what_is_bad(tmp_path, name):
    text, expected = BAD[name]
    ours = said(harness.BULKHEAD, tmp_path, text)
    theirs = said(harness.real_server(), tmp_path, text)
    assert ours[0] == 1 and theirs[0] == 1, ours[2] + theirs[2]
    assert expected in ours[2]
    for line in ours[2].splitlines():
        assert re.match(r"bulkhead: \S+/a\.conf:\d+:\d+: .", line), line


@pytest.mark.parametrize("name", OTHER)
def test_what_is_different_on_purpose(tmp_path, name):
    here, there, text = OTHER[name]
    ours = said(harness.BULKHEAD, tmp_path, text)
    assert ours[0] == here, ours[2]
    for line in ours[2].splitlines() if here == 1 else []:
        assert re.match(r"bulkhead: \S+/a\.conf:\d+:\d+: .", line), line
    if there is not None:
        assert said(harness.real_server(), tmp_path, text)[0] == there


def test_no_case_is_there_twice():
    texts = list(GOOD.values()) + [text for text, _ in BAD.values()] + [text for *_, text in OTHER.values()]
    assert len(set(texts)) == len(texts)


# ---- secrets, flags, size

SECRETS = ("s3cret-pass", "s3cret-token", "s3cret-variable")


def printed(tmp_path, text, *flags):
    path = tmp_path / "a.conf"
    path.write_text(text)
    done = subprocess.run([harness.BULKHEAD, "--print-config", "-c", str(path), *flags], capture_output=True, text=True,
                                  timeout=harness.LIMIT)
    return done.returncode, done.stdout, done.stderr


def test_secrets_are_not_printed(tmp_path):
    text = ("authorization { users: [{user: a, password: s3cret-pass, permissions: {publish: [\"x.>\"]}}] }\n"
            "accounts { V: s3cret-variable, A { users: [{user: b, pass: $V, expires: 2030-01-02T03:04:05Z}], exports: [{service: q, threshold: \"2s\"}] } }\n"
            "mappings { \"a.*\": [{destination: \"b.$1\", weight: 50%}] }\n")
    code, out, err = printed(tmp_path, text)
    assert code == 0, err
    assert not [s for s in SECRETS if s in out + err]
    lines = {line.split(":")[0]: line for line in out.splitlines()}
    assert lines["authorization"] == ('authorization: {"users": [{"user": "a", "password": "[REDACTED]", "permissions": {"publish": ["x.>"]}}]}'
                                      f"  # {tmp_path}/a.conf:1")
    assert '"pass": "[REDACTED]", "expires": 2030-01-02T03:04:05Z' in lines["accounts"]
    assert lines["mappings"].startswith('mappings: {"a.*": [{"destination": "b.$1", "weight": "50%"}]}')
    again = said(harness.BULKHEAD, tmp_path, out)
    assert again[0] == 0, again[2]


@pytest.mark.parametrize("text", ["authorization { user: a, password: 12345 }", "authorization { token: [s3cret-token] }",
                                  users("user: a, password: 12345"), users('user: a, password: "$2a$12345"'),
                                  users("user: a, password: 12345678901234567890"), users("user: a, PASS: $s3cret"),
                                  users("user: a, password: 1234512345123451234545KB"), users(f"user: a, password: {HASH.replace('2a', '2b')}"),
                                  users("user: a, password: 2026-12-34T12:34:56Z"), users('user: a, password: "s3cret\\q"'),
                                  users("user: a, password: a q"), users(f"nkey: {SEED}"), account(f"nkey: {SEED}"),
                                  "authorization { token: $TEST_LARGE }"])
def test_errors_do_not_show_secrets(tmp_path, monkeypatch, text):
    monkeypatch.setenv("TEST_LARGE", "12345678901234567890")
    done = said(harness.BULKHEAD, tmp_path, text)
    error = re.sub(r"^\S+ \S+ ", "", done[2])
    assert done[0] == 1
    assert not [s for s in ("12345", "s3cret", "W2zko", "12:34:56", "'q'", SEED[:8]) if s in error], error


@pytest.mark.parametrize("flags,text,line", [
    (["--user", "x", "--pass", "s3cret-pass"], "port: -1", 'authorization: {user: "x", pass: "[REDACTED]"}  # command line'),
    (["--auth", "s3cret-token"], "port: -1", 'authorization: {token: "[REDACTED]"}  # command line'),
    (["--pass", "s3cret-pass"], "authorization { user: a, password: b }", 'authorization: {user: "a", pass: "[REDACTED]"}  # command line'),
    (["-user=x"], "authorization { user: a, password: b }", 'authorization: {user: "x", pass: "[REDACTED]"}  # command line'),
    (["--user", ""], "port: -1", None),
])
def test_flags_win_over_a_single_user_of_the_file(tmp_path, flags, text, line):
    code, out, err = printed(tmp_path, text, *flags)
    assert code == 0, err
    assert not [s for s in SECRETS if s in out + err]
    assert [x for x in out.splitlines() if x.startswith("authorization")] == ([line] if line else [])


@pytest.mark.parametrize("flags,text", [
    (["--user", "x", "--auth", "y"], "port: -1"),
    (["--pass", "x"], "port: -1"),
    (["--auth", "y"], "authorization { user: a, password: b }"),
    (["--user", "y"], users("user: a")),
    (["--user", "y"], account("users: [{user: a}]")),
    (["--auth", "y"], "authorization { users: [] }"),
    (["--pass", "$2a$11$short", "--user", "x"], "port: -1"),
])
def test_flags_that_contradict_are_refused(tmp_path, flags, text):
    code, out, err = printed(tmp_path, text, *flags)
    assert (code, out) == (1, "") and err.startswith("bulkhead: the command line: found "), err


@pytest.mark.parametrize("password,warnings", [("plain", 1), (HASH, 0)])
def test_passwords_that_are_no_hashes_are_warned_of_once(tmp_path, password, warnings):
    text = users(f'user: a, password: "{password}"', f'user: b, password: "{password}"')
    with harness.Server(tmp_path, config=text) as server:
        assert server.log().count("[WRN] Plaintext passwords detected, use nkeys or bcrypt") == warnings


def test_flags_do_not_show_in_the_process_table(tmp_path):
    with harness.Server(tmp_path, args=["--user", "x", "--pass=s3cret-pass"]) as server:
        for pid in [server.pid, *server.children()]:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                assert b"s3cret" not in f.read()
        with server.client(options={"user": "x", "pass": "s3cret-pass"}) as client:
            client.send("PING\r\n")
            assert client.line() == b"PONG"


def test_subjects_that_are_called_as_secrets_are_printed(tmp_path):
    text = 'mappings { token: "x.y", a: {dest: "b", weight: 50} }\naccounts { maps { users: [{user: a, password: s3cret-pass}], maps { pass: "y" } } }\n'
    code, out, err = printed(tmp_path, text)
    assert code == 0 and "s3cret" not in out, err
    assert 'mappings: {"token": "x.y", "a": {"dest": "b", "weight": 50}}' in out
    assert 'accounts: {"maps": {"users": [{"user": "a", "password": "[REDACTED]"}], "maps": {"pass": "y"}}}' in out


MANY = {
    "imports": "accounts { H { exports: [{service: \">\"}, {stream: \">\"}] }, A { imports: [\n%s] } }",
    "imports_of_exports": "accounts { H { exports: [\n%s] }, A { imports: [\n%s] } }",
    "imports_of_imports": "accounts { H { exports: [{service: \">\"}] }, M { exports: [{service: \">\"}], imports: [\n%s] }, A { imports: [\n%s] } }",
    "latencies": "accounts { H { exports: [\n%s] } }",
    "destinations": "mappings { a: [\n%s] }",
    "hub": "accounts { HUB { exports: [{stream: \"all.>\"}], imports: [\n%s] },\n%s }",
}
LINES = {
    "imports": ['{service: {account: H, subject: "s.%d"}}'],
    "imports_of_exports": ['{stream: "s.%d.>"}', '{stream: {account: H, subject: "s.%d.x"}}'],
    "imports_of_imports": ['{service: {account: H, subject: "s.%d"}}', '{service: {account: M, subject: "s.%d"}}'],
    "latencies": ['{service: "s.%d", latency: "l.%d"}'],
    "destinations": ['{destination: "b.%d", weight: 0}'],
    "hub": ['{stream: {account: A%d, subject: raw}, to: "all.%d"}',
            'A%d { exports: [{stream: raw}], imports: [{stream: {account: HUB, subject: "all.>"}}] }'],
}


@pytest.mark.parametrize("name", MANY)
def test_many_of_them_take_no_square_of_time(tmp_path, name):
    """20,000 of each kind; 10,000 accounts that import from one hub what it imports from all of them."""
    count = 10_000 if name == "hub" else 20_000
    parts = [",\n".join(line.replace("%d", str(i)) for i in range(count)) for line in LINES[name]]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = said(harness.BULKHEAD, tmp_path, MANY[name] % tuple(parts))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    taken = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert done[0] == 0, done[2]
    assert taken < (15 if harness.SANITIZED else 0.9)


def test_a_hundred_thousand_users(tmp_path):
    """In one file, with the processor time that reading and checking takes."""
    path = tmp_path / "a.conf"
    with open(path, "w") as f:
        f.write("authorization { users: [\n")
        for i in range(100_000):
            f.write(f'  {{user: "user-{i}", password: "password-{i}", permissions: {{publish: ["a.{i % 100}.>"], subscribe: "b.*"}}}}\n')
        f.write("] }\n")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = verdict(harness.BULKHEAD, str(path), str(tmp_path))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    taken = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert done[0] == 0, done[2]
    print(f"-t: {taken:.2f} s")
    assert taken < (30 if harness.SANITIZED else 2)
    with open(path, "a") as f:
        f.write("accounts { A { users: [{user: user-99999}] } }\n")
    done = verdict(harness.BULKHEAD, str(path), str(tmp_path))
    assert done[0] == 1 and done[2] == f'bulkhead: {path}:100003:24: found the user "user-99999", who is in line 100001 already\n'
