"""Published advisories about the real server: the same mistakes are not in ours.

One test for each that concerns what exists here, named after it; the others
are listed in docs/security.md with what they wait for."""
import glob
import json
import os
import signal
import ssl
import time
import urllib.error
import urllib.request

import pytest

import harness
from test_tls import refused as not_let_in, rewrite, who
from tls_client import Secure, context

TWO_USERS = """
authorization {
  users = [
    { user: alice, password: wonder }
    { user: bob, password: builder }
  ]
}
"""


def connect(server, **options):
    return server.client(options=options)


def errors(client):
    """All -ERR lines until the server closes."""
    return [line for line in client.rest().split(b"\r\n") if line.startswith(b"-ERR")]


def refused(server, first=None, **options):
    """Is this CONNECT (or this first line) refused with the one error there is?"""
    c = server.client(connect=False)
    c.send(first if first is not None else b"CONNECT " + json.dumps(options).encode() + b"\r\nPING\r\n")
    return errors(c) == [b"-ERR 'Authorization Violation'"]


def permissions(text):
    return "authorization { users = [ { user: u, password: p, permissions { %s } }, { user: admin, password: a } ] }" % text


def delivered(server, subscribe, subjects):
    """Which of these subjects, published by admin, reach what u subscribed to."""
    u, admin = connect(server, user="u", **{"pass": "p"}), connect(server, user="admin", **{"pass": "a"})
    u.send(subscribe)
    assert u.quiet()
    u.send("SUB the.end 99\r\n")
    assert u.quiet()
    for s in [*subjects, "the.end"]:
        admin.send(f"PUB {s} 2\r\nhi\r\n")
    admin.ping()
    seen = []
    while True:
        subject, *_ = u.message()
        if subject == "the.end":
            return seen
        seen.append(subject)


def test_2020_01_cve_2020_26149_unknown_options_of_connect_are_logged_nowhere(start):
    server = start(config="debug: true\ntrace: true\n" + TWO_USERS)
    c = connect(server, user="alice", **{"pass": "wonder", "tls": {"key": "PRIVATE-KEY-TEXT"}, "jwtx": "eyJhbGciOi-SECRET"})
    assert c.quiet()
    assert refused(server, user="alice", **{"pass": "guessed-password", "key": "PRIVATE-KEY-TEXT"})
    for secret in ("PRIVATE-KEY-TEXT", "SECRET", "wonder", "guessed-password"):
        assert secret not in server.log()


def test_2020_02_cve_2020_26892_who_expired_is_refused_and_who_expires_is_closed(start):
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))
    server = start(config="""
authorization { users = [
  { user: old, password: x, expires: "2001-01-01T00:00:00Z" }
  { user: soon, password: y, expires: "%s" }
] }""" % soon)
    assert refused(server, user="old", **{"pass": "x"})
    c = connect(server, user="soon", **{"pass": "y"})
    assert c.quiet()
    assert errors(c) == [b"-ERR 'User Authentication Expired'"]
    assert refused(server, user="soon", **{"pass": "y"})


SERVICE_CYCLES = [
    """accounts {
      A { exports = [ { service: help } ], imports = [ { service: { account: B, subject: help } } ] }
      B { exports = [ { service: help } ], imports = [ { service: { account: A, subject: help } } ] }
    }""",
    """accounts {
      A { exports = [ { service: a } ], imports = [ { service: { account: B, subject: b }, to: a } ] }
      B { exports = [ { service: b } ], imports = [ { service: { account: C, subject: c }, to: b } ] }
      C { exports = [ { service: c } ], imports = [ { service: { account: A, subject: a }, to: c } ] }
    }""",
]


@pytest.mark.parametrize("cycle", SERVICE_CYCLES, ids=["two", "three"])
def test_2021_01_cve_2020_28466_import_cycles_are_refused_at_start(start, cycle):
    server = start(config=cycle, wait=False)
    assert server.process.wait(harness.LIMIT) == 1
    assert b"cycle" in server.process.stdout.read()


@pytest.mark.parametrize("cycle", SERVICE_CYCLES, ids=["two", "three"])
def test_2022_06_cve_2022_42709_import_cycles_are_refused_by_a_reload(start, cycle):
    server = start(config="accounts { A { users = [ { user: a, password: a } ] } }")
    c = connect(server, user="a", **{"pass": "a"})
    assert c.quiet()
    with open(server.config_path, "w") as f:
        f.write(cycle)
    server.kill(signal.SIGHUP)
    server.wait_log("Failed to reload server configuration.*cycle")
    assert c.quiet()


@pytest.mark.parametrize("version,ciphers", [("TLSv1_2", "AES128-GCM-SHA256"), ("TLSv1_2", "AES128-SHA"), ("TLSv1_2", "DHE-RSA-AES128-GCM-SHA256"),
                                             ("TLSv1_2", "ECDHE-RSA-AES128-SHA256"), ("TLSv1_1", "ALL:@SECLEVEL=0")])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_2021_03_cve_2021_32026_flags_open_no_other_ciphers_than_the_configuration(start, tls, version, ciphers):
    flags = ["--tls", "--tlscert", tls["server-rsa.pem"], "--tlskey", tls["server-rsa-key.pem"]]
    for server in (start(args=flags), start(config=tls.block())):
        assert not not_let_in(server, tls, version="1.2")
        how = context(tls)
        how.minimum_version = how.maximum_version = ssl.TLSVersion[version]
        how.set_ciphers(ciphers)
        assert not_let_in(server, tls, how=how)


@pytest.mark.parametrize("key,value", [("account", "SYS"), ("new_account", True), ("ACCOUNT", "$SYS")])
def test_2022_01_cve_2022_24450_connect_does_not_choose_the_account(start, key, value):
    server = start(config=TWO_USERS)
    assert refused(server, user="alice", **{"pass": "wonder", key: value})


def test_2022_04_cve_2022_29946_deny_holds_for_queue_subscriptions_with_wildcards(start):
    server = start(config=permissions('subscribe { allow: ">", deny: "foo" }'))
    assert delivered(server, "SUB * q 1\r\n", ["foo", "bar", "foo"]) == ["bar"]


def test_2023_01_cve_2023_47090_users_of_the_system_account_do_not_open_the_server(start):
    server = start(config="""
system_account: SYS
accounts { SYS { users = [ { user: sys, password: s } ] } }
authorization { timeout: 1 }
""")
    assert refused(server)
    assert connect(server, user="sys", **{"pass": "s"}).quiet()


def verify(tls, authorities, more=""):
    return tls.block(f'verify: true; ca_file: "{authorities}"; {more}')


STRICTER = {
    "from anybody to clients of one authority": lambda tls, both: (tls.block(), verify(tls, tls.ca), None),
    "an authority less": lambda tls, both: (verify(tls, both), verify(tls, tls.ca), "client-other"),
    "another authority": lambda tls, both: (verify(tls, tls["other-ca.pem"]), verify(tls, tls.ca), "client-other"),
    "a list of revoked ones": lambda tls, both: (verify(tls, tls.ca), verify(tls, tls.ca, f'crl_file: "{tls.crl}"'), "client-revoked"),
    "pins": lambda tls, both: (verify(tls, tls.ca), verify(tls, tls.ca, f'pinned_certs: ["{tls.pin("client-dns")}"]'), "client"),
}


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("what", list(STRICTER))
def test_2026_01_cve_2025_68121_a_session_is_no_way_around_what_is_verified_now(start, tls, tmp_path, what, version):
    authorities = tmp_path / "both.pem"
    authorities.write_text(tls.read("ca.pem") + tls.read("other-ca.pem"))
    before, after, certificate = STRICTER[what](tls, authorities)
    server = start(config=before)
    how = context(tls, certificate=certificate, version=version)
    with Secure(server, tls, how=how) as c:
        c.ping()
        session = c.sock.session
    with Secure(server, tls, how=how, session=session) as c:
        c.ping()
        assert c.sock.session_reused, "else this shows nothing"
        session = c.sock.session
    rewrite(server, after)
    assert not_let_in(server, tls, how=how, session=session)
    assert not not_let_in(server, tls, certificate="client-dns", version=version)


def test_2026_05_cve_2026_33216_no_report_has_a_secret(start):
    server = start(config="debug: true\ntrace: true\nhttp: -1\n" + """
authorization { users = [
  { user: alice, password: secret-of-alice }
  { user: hashed, password: "$2a$04$5RpMwnxp8J4mIsYDmvSP8eQI09rBvHB0Mx0lnJmB.uEaXN.uhIGzy" }
] }""")
    c = connect(server, user="alice", **{"pass": "secret-of-alice"})
    assert c.quiet()
    assert refused(server, user="alice", **{"pass": "wrong-secret"})
    text = server.log()
    for path in ("/", "/varz", "/connz?auth=1&subs=detail", "/connz?state=closed", "/accountz", "/accstatz", "/subsz?subs=1"):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port()}{path}") as answer:
                text += answer.read().decode()
        except urllib.error.HTTPError as e:
            text += e.read().decode()
    for secret in ("secret-of-alice", "wrong-secret", "$2a$"):
        assert secret not in text


@pytest.mark.parametrize("header", ["Nats-Request-Info", "nats-request-info", "NATS-REQUEST-INFO", "nAtS-rEqUeSt-iNfO "])
@pytest.mark.parametrize("where", ["first", "last", "twice"])
def test_2026_09_cve_2026_33223_who_asks_cannot_be_forged(start, header, where):
    server = start(config="""accounts {
      A { users = [ { user: a, password: a } ], exports = [ { service: ask } ] }
      B { users = [ { user: b, password: b } ], imports = [ { service: { account: A, subject: ask }, share: true } ] }
    }""")
    a, b = connect(server, user="a", **{"pass": "a"}), connect(server, user="b", **{"pass": "b"})
    a.send("SUB ask 1\r\n")
    assert a.quiet()
    forged = f"{header}: {{\"acc\":\"FORGED\"}}\r\n"
    lines = {"first": forged + "X: y\r\n", "last": "X: y\r\n" + forged, "twice": forged + "X: y\r\n" + forged}[where]
    head = f"NATS/1.0\r\n{lines}\r\n"
    b.send(f"HPUB ask back {len(head)} {len(head) + 2}\r\n{head}hi\r\n")
    subject, _, reply, got, body = a.message()
    assert (subject, body) == ("ask", b"hi")
    assert reply != "back"
    assert b"FORGED" not in got and b"X: y" in got
    infos = [line for line in got.split(b"\r\n") if line.lower().startswith(b"nats-request-info")]
    assert len(infos) == 1 and json.loads(infos[0].split(b":", 1)[1])["acc"] == "B"


# Users, and certificates with the user that each is: all parts of its subject are the name's, in whichever order, and as often.
NAMES = ["CN=bob,OU=a,OU=a", "CN=bob,OU=a,OU=b", "CN=bob,OU=b,OU=b", "CN=bob+OU=c", "CN=bob,OU=c,O=x", "O=y,OU=c+OU=d,CN=bob"]
NAMED = {"/OU=a/OU=a/CN=bob": 0, "/OU=b/OU=a/CN=bob": 1, "/OU=a/OU=b/CN=bob": 1, "/OU=b/OU=b/CN=bob": 2, "/OU=a/OU=a/OU=b/CN=bob": None,
         "/OU=a/OU=b/OU=b/CN=bob": None, "/OU=a+OU=a/CN=bob": None, "/CN=bob+OU=c": 3, "/OU=c/CN=bob": None, "/CN=bob/OU=c": None,
         "/O=x/OU=c/CN=bob": 4, "/OU=c/O=x/CN=bob": 4, "/O=x/OU=c/CN=Bob": None, "/O=x/O=x/OU=c/CN=bob": None,
         "/CN=bob/OU=c+OU=d/O=y": 5, "/CN=bob/OU=d+OU=c/O=y": 5, "/CN=bob/OU=c/OU=d/O=y": None, "/CN=bob,OU=a/OU=a": None}


def test_2026_13_cve_2026_33248_a_subject_is_whom_all_its_parts_name(start, tls):
    config = "authorization { users: [ %s ] }\n" % ", ".join("{ user: %s }" % json.dumps(n) for n in NAMES)
    config += tls.block("verify_and_map: true", f'ca_file: "{tls.ca}"')
    servers = [start(config="auth_failures: 0\n" + config)]
    if harness.real_server():
        servers.append(start(config=config, exe=harness.real_server()))
    for n, (subject, user) in enumerate(NAMED.items()):
        tls.issue(f"named-{n}", subject)
        for server in servers:
            assert who(server, tls, f"named-{n}") == (None if user is None else NAMES[user]), subject


def test_2026_14_cve_2026_33247_flags_with_credentials_are_shown_nowhere(start):
    server = start(args=["--user", "root", "--pass", "of-the-command-line", "-m", "0"])
    assert connect(server, user="root", **{"pass": "of-the-command-line"}).quiet()
    shown = server.log()
    for pid in [server.pid, *server.children()]:
        for path in (f"/proc/{pid}/cmdline", f"/proc/{pid}/comm"):
            with open(path, errors="replace") as f:
                shown += f.read()
    for path in glob.glob(os.path.join(server.folder, "*")):
        with open(path, errors="replace") as f:
            shown += f.read()
    assert "of-the-command-line" not in shown


def test_2026_17_ghsa_wh7g_5m82_pmhr_deny_with_wildcards_holds_where_wildcards_overlap(start):
    server = start(config=permissions('subscribe { allow: ">", deny: "*.secret" }'))
    assert delivered(server, "SUB foo.* 1\r\n", ["foo.secret", "foo.open", "foo.secret"]) == ["foo.open"]


def test_2026_17_ghsa_wh7g_5m82_pmhr_a_queue_message_goes_to_another_member(start):
    server = start(config=permissions('subscribe { allow: ">", deny: "*.secret" }'))
    u, admin = connect(server, user="u", **{"pass": "p"}), connect(server, user="admin", **{"pass": "a"})
    u.send("SUB foo.* q 1\r\n")
    admin.send("SUB foo.* q 1\r\n")
    assert u.quiet() and admin.quiet()
    other = connect(server, user="admin", **{"pass": "a"})
    for _ in range(200):
        other.send("PUB foo.secret 0\r\n\r\n")
    other.ping()
    got = admin.ping()
    assert got.count(b"MSG foo.secret") == 200
    assert u.quiet()


def test_2026_18_ghsa_jx8g_9g95_6322_deny_for_one_group_does_not_replace_deny_for_all(start):
    server = start(config=permissions('subscribe { allow: ">", deny: ["foo", "foo q1"] }'))
    u = connect(server, user="u", **{"pass": "p"})
    for line in ("SUB foo 1\r\n", "SUB foo q1 2\r\n", "SUB foo q2 3\r\n"):
        u.send(line)
        assert u.ping().startswith(b"-ERR 'Permissions Violation for Subscription to \"foo\"")


@pytest.mark.parametrize("subject", ["foo bar", "foo\r\nPUB x 0", "foo\tbar", "foo\x01bar"])
def test_2026_22_ghsa_qrcv_3558_gj4f_subjects_of_the_configuration_have_no_blanks(start, subject):
    escaped = subject.encode("unicode_escape").decode()        # a key in quotes has no escapes
    for config in ('accounts { A { exports = [ { stream: "%s" } ] } }' % escaped, 'accounts { A { mappings { "%s": ok } } }' % subject,
                   'accounts { A { mappings { ok: "%s" } } }' % escaped):
        server = start(config=config, wait=False)
        assert server.process.wait(harness.LIMIT) == 1


@pytest.mark.parametrize("key", ["U", "UA", "UCNGL4W5QX66CFX6A6DCBVDH5VOHMI7B2UZZU7TXAUQQSI2JPHULCKBA",
                                 "UCNGL4W5QX66CFX6A6DCBVDH5VOHMI7B2UZZU7TXAUQQSI2JPHULCKBR" * 2])
def test_2026_23_ghsa_g33f_6538_grxh_keys_that_are_none_are_refused(start, key):
    server = start(config="authorization { users = [ { nkey: %s } ] }" % key, wait=False)
    assert server.process.wait(harness.LIMIT) == 1
    server = start(config=TWO_USERS)
    assert refused(server, nkey=key, sig="AAAA")


@pytest.mark.parametrize("first", [b"PING\r\n", b"SUB foo 1\r\n", b"PUB foo 0\r\n\r\n", b"CONNECT {}\r\nPING\r\n"])
def test_2026_24_ghsa_hmmp_q8cx_v964_no_auth_user_is_bound_to_its_connection_types(start, first):
    server = start(config="""
no_auth_user: web
authorization { users = [ { user: web, password: w, allowed_connection_types: ["WEBSOCKET"] } ] }
""")
    assert refused(server, first=first)


def test_2026_28_ghsa_q59r_vq66_pxc2_offset_and_limit_of_connz_do_not_overflow(start):
    server = start(config="""
system_account: SYS
accounts { SYS { users = [ { user: sys, password: s } ] }, A { users = [ { user: a, password: a } ] } }
""")
    c = connect(server, user="sys", **{"pass": "s"})
    c.send("SUB back 1\r\n")
    assert c.quiet()
    most = 2 ** 63 - 1
    for offset in (0, 1, most, -1, -most - 1):
        for limit in (0, 1, most, -1, -most - 1):
            body = json.dumps({"offset": offset, "limit": limit})
            c.send(f"PUB $SYS.REQ.SERVER.{c.info['server_id']}.CONNZ back {len(body)}\r\n{body}\r\n")
            answer = json.loads(c.message()[4])
            assert "server" in answer
    assert c.quiet()
