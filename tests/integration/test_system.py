"""The system account: what tools ask there, and what the server says. Most tests run against the real
server as well, so that what is expected is what it does."""
import json
import os
import re
import signal
import threading
import time
import urllib.error
import urllib.request

import pytest

import harness

CONFIG = """
server_name: probe
server_tags: [a, b]
accounts {
  SYS { users: [{user: sys, password: sys}] }
  A { users: [{user: a, password: a}, {user: a2, password: a}]
      exports: [{service: "q.*"}, {stream: "s.>", accounts: [B]}]
      mappings: {foo: bar} }
  B { users: [{user: b, password: b}]
      imports: [{service: {account: A, subject: "q.x"}, to: "qx"},
                {stream: {account: A, subject: "s.y"}, prefix: "p"}] }
}
system_account: SYS
"""
REAL = harness.real_server()
BOTH = pytest.mark.parametrize("which", ["ours", pytest.param("real", marks=pytest.mark.skipif(
    not REAL, reason="no nats-server to compare with"))])

# What the real server says of things that do not exist here, or not of all
ABSENT = {"feature_flags", "tls_timeout", "git_commit", "gomemlimit", "disk_io_wait_stats", "metadata",
          "slow_consumer_stats", "stale_connection_stats", "bulkhead", "qgroup"}


def begin(start, which, config=CONFIG, **more):
    return start(config=config, **more) if which == "ours" else start(config=config, exe=REAL, **more)


def login(server, user, password=None, **options):
    c = server.client(options={"user": user, "pass": password or user, "lang": "py", "version": "1",
                               "name": "probe", **options})
    c.ping()
    return c


class Asker:
    """A client that asks one question after the other."""

    def __init__(self, client):
        self.client, self.count = client, 0
        client.send("SUB _INBOX.ask.* 9000\r\n")
        client.ping()

    def post(self, subject, body=b""):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.count += 1
        self.client.send(f"PUB {subject} _INBOX.ask.{self.count} {len(body)}\r\n", body, "\r\n")

    def ask(self, subject, body=b""):
        self.post(subject, body)
        while True:
            m = self.client.message()
            if m[0] == f"_INBOX.ask.{self.count}":
                return None if m[3].startswith(b"NATS/1.0 503") else m[4]

    def json(self, subject, body=b""):
        return json.loads(self.ask(subject, body))

    def silence(self, subject, body=b""):
        """"silence", or "nobody": who asks is told that nobody is there; None: it was answered."""
        self.post(subject, body)
        asked = f"_INBOX.ask.{self.count}"
        self.count += 1
        self.client.send(f"PUB $SYS.REQ.SERVER.PING.IDZ _INBOX.ask.{self.count} 0\r\n\r\n")
        m = self.client.message()
        if m[0] != asked:
            return "silence"
        self.client.message()
        return "nobody" if m[3].startswith(b"NATS/1.0 503") else None


def shape(x, path=""):
    """Keys in their order, and the type of each value."""
    if isinstance(x, dict):
        return {k: shape(v, f"{path}.{k}") for k, v in x.items() if k not in ABSENT}
    if isinstance(x, list):
        return [shape(x[0], path + "[]")] if x else []
    if x is None or isinstance(x, (bool, str)):
        return type(x).__name__
    return "number"


def same_shape(ours, theirs, what):
    ours, theirs = json.dumps(shape(ours)), json.dumps(shape(theirs))    # keys in their order
    assert ours == theirs, f"{what}:\n{ours}\n{theirs}"


def server_id(client):
    return client.info["server_id"]


def populate(server):
    """The same clients on whichever server."""
    a, b = login(server, "a"), login(server, "b")
    a.send("SUB foo.* 1\r\nSUB q.x grp 2\r\n")
    b.send("SUB p.> 1\r\n")
    a.ping(), b.ping()
    return a, b


# Requests that both answer with values of the same shape.
SHAPES = [
    ("PING", ""), ("PING.IDZ", ""), ("PING.STATSZ", ""), ("PING.VARZ", ""), ("PING.CONNZ", ""),
    ("PING.CONNZ", {"auth": True, "subscriptions": True}),
    ("PING.CONNZ", {"acc": "A", "subscriptions_detail": True}), ("PING.CONNZ", {"acc": "nobody"}),
    ("PING.CONNZ", {"state": 1}), ("PING.CONNZ", {"user": "a", "auth": True}),
    ("PING.SUBSZ", ""), ("PING.SUBSZ", {"subscriptions": True, "test": "foo.a"}),
    ("PING.ACCOUNTZ", ""), ("PING.HEALTHZ", ""), ("PING.ROUTEZ", ""), ("PING.GATEWAYZ", ""),
    ("PING.LEAFZ", ""), ("PING.JSZ", ""), ("PING.RAFTZ", ""), ("PING.ACCOUNTZ", {"account": "B"}),
    ("PING.HEALTHZ", {"stream": "x", "details": True}),
]


@pytest.mark.skipif(not REAL, reason="no nats-server to compare with")
def test_answers_have_the_real_servers_shape(start):
    answers = []
    for which in ("ours", "real"):
        server = begin(start, which)
        keep = populate(server)
        gone = login(server, "b")
        gone.close()
        ask = Asker(login(server, "sys"))
        harness.until(lambda: ask.json("$SYS.REQ.SERVER.PING.CONNZ", {"state": 1})["data"]["total"] > 0, "closed")
        answers.append([ask.json("$SYS.REQ.SERVER." + x, o or b"") for x, o in SHAPES])
        assert keep
    for (what, options), ours, theirs in zip(SHAPES, *answers):
        same_shape(ours, theirs, (what, options))


# Requests whose answers are equal, but for the server and times.
EQUAL = [
    ("SERVER.PING.CONNZ", {"sort": "bad"}), ("SERVER.PING.CONNZ", {"sort": "stop"}),
    ("SERVER.PING.CONNZ", {"filter_subject": "x"}), ("SERVER.PING.CONNZ", {"cid": 999999}),
    ("SERVER.PING.CONNZ", {"mqtt_client": "x"}), ("SERVER.PING.CONNZ", {"acc": "nobody"}),
    ("SERVER.PING.CONNZ", {"offset": 9223372036854775807}),
    ("SERVER.PING.SUBSZ", {"test": "a.*"}), ("SERVER.PING.ACCOUNTZ", {"account": "nobody"}),
    ("SERVER.PING.HEALTHZ", {"js-enabled-only": True}), ("SERVER.PING.HEALTHZ", {"stream": "x"}),
    ("SERVER.PING.HEALTHZ", {"consumer": "x"}), ("SERVER.PING.HEALTHZ", {"details": True}),
    ("SERVER.PING.HEALTHZ", {"consumer": "x", "details": True}), ("SERVER.PING.CONNZ", {"state": 7}),
    ("ACCOUNT.A.JSZ", ""), ("ACCOUNT.nobody.INFO", ""), ("ACCOUNT.nobody.CONNZ", ""),
    ("ACCOUNT.A.LEAFZ", ""), ("ACCOUNT.PING.STATZ", {"accounts": ["nobody"], "include_unused": True}),
    ("SERVER.ID.KICK", {"cid": 999999}), ("SERVER.ID.KICK", b"{}"), ("SERVER.ID.LDM", {"cid": 999999}),
]
SILENT = [
    ("SERVER.PING", {"server_name": "other"}), ("SERVER.PING.VARZ", {"server_name": "rob", "exact_match": True}),
    ("SERVER.PING.VARZ", {"tags": ["a", "z"]}), ("SERVER.PING.VARZ", {"domain": "x"}),
    ("SERVER.PING.VARZ", {"cluster": "x"}), ("ACCOUNT.A.CONNZ", {"host": "nowhere"}),
    ("SERVER.ID.KICK", ""), ("SERVER.ID.KICK", "x"), ("ACCOUNT.nobody.STATZ", ""), ("ACCOUNT.nobody.CONNS", ""),
    ("ACCOUNT.A.CONNS", ""),                # nobody is in there
]
NOBODY = [
    ("SERVER.PING.NOPE", ""), ("SERVER.PING.STATZ", ""), ("SERVER.PING.INFO", ""), ("SERVER.NID.IDZ", ""),
    ("SERVER.ID", ""), ("SERVER.PING.RELOAD", ""), ("SERVER.PING.KICK", {"cid": 1}), ("ACCOUNT.A.NOPE", ""),
    ("ACCOUNT.A", ""),
]
HEARD = [
    ("SERVER.PING.VARZ", {"server_name": "rob"}), ("SERVER.PING.VARZ", {"tags": ["a", "b"]}),
    ("SERVER.PING.VARZ", {"server_name": "probe", "exact_match": True}), ("SERVER.ID.VARZ", ""),
    ("SERVER.PING.IDZ", {"tags": ["z"]}), ("SERVER.PING.CONNZ", {"LIMIT": 1}),
]


def subject_of(what, sid):
    return "$SYS.REQ." + what.replace(".ID", "." + sid) if ".IDZ" not in what else "$SYS.REQ." + what


def bare(answer):
    """Without what differs between any two servers."""
    def strip(x):
        if isinstance(x, dict):
            return {k: "" if k == "server_id" and v else strip(v) for k, v in x.items() if k not in ("server", "now")}
        return x
    return strip(answer)


@pytest.mark.skipif(not REAL, reason="no nats-server to compare with")
def test_answers_that_are_equal(start):
    answers = []
    for which in ("ours", "real"):
        server = begin(start, which)
        ask = Asker(login(server, "sys"))
        sid = server_id(ask.client)
        answers.append([bare(ask.json(subject_of(x, sid), o or b"")) for x, o in EQUAL])
    for what, ours, theirs in zip(EQUAL, *answers):
        assert ours == theirs, what


@BOTH
def test_who_is_not_meant_says_nothing(start, which):
    server = begin(start, which)
    ask = Asker(login(server, "sys"))
    sid = server_id(ask.client)
    for what, options in SILENT + NOBODY:
        body = options.encode() if isinstance(options, str) else options
        expected = "silence" if (what, options) in SILENT else "nobody"
        assert ask.silence(subject_of(what, sid), body) == expected, what
    for what, options in HEARD:
        assert ask.json(subject_of(what, sid), options or b""), what


@BOTH
def test_a_request_that_is_no_json(start, which):
    ask = Asker(login(begin(start, which), "sys"))
    for body in (b"{bad", b"[]", b'{"limit": "x"}', b'{"sort": 3}', b'{"server_name": 1}'):
        answer = ask.json("$SYS.REQ.SERVER.PING.CONNZ", body)
        assert answer["error"]["code"] == 400 and answer["error"]["description"], body
        assert "data" not in answer


@BOTH
def test_values_of_the_reports(start, which):
    server = begin(start, which)
    a, b = populate(server)
    ask = Asker(login(server, "sys"))
    a.send("PUB bar 3\r\nabc\r\n" * 4)
    a.ping()
    found = ask.json("$SYS.REQ.SERVER.PING.CONNZ", {"acc": "A", "auth": True})["data"]
    assert found["total"] == found["num_connections"] == 1
    one = found["connections"][0]
    assert one["cid"] == a.info["client_id"] and one["authorized_user"] == "a" and one["account"] == "A"
    assert one["in_msgs"] == 4 and one["in_bytes"] == 12 and one["subscriptions"] == 2
    assert (one["name"], one["lang"], one["version"]) == ("probe", "py", "1")
    assert one["ip"] == "127.0.0.1" and one["port"] == a.sock.getsockname()[1]
    both = ask.json("$SYS.REQ.SERVER.PING.CONNZ", {"sort": "msgs_from", "limit": 1, "acc": "A"})["data"]
    assert both["connections"][0]["cid"] == a.info["client_id"]
    page = ask.json("$SYS.REQ.SERVER.PING.CONNZ", {"offset": 1, "limit": 1})["data"]
    assert page["connections"][0]["cid"] == b.info["client_id"] and page["num_connections"] == 1
    lists = ask.json("$SYS.REQ.SERVER.PING.CONNZ", {"acc": "A", "subscriptions_detail": True})["data"]
    details = lists["connections"][0]["subscriptions_list_detail"]
    assert {(d["subject"], d.get("qgroup"), d["sid"]) for d in details} == {("foo.*", None, "1"), ("q.x", "grp", "2")}
    test = ask.json("$SYS.REQ.SERVER.PING.SUBSZ", {"subscriptions": True, "test": "q.x", "account": "A"})["data"]
    assert [(d["subject"], d["account"], d["cid"]) for d in test["subscriptions_list"]] == \
        [("q.x", "A", a.info["client_id"])]
    statz = ask.json("$SYS.REQ.ACCOUNT.A.STATZ")["data"]["account_statz"]
    assert [s["acc"] for s in statz] == ["A"] and statz[0]["conns"] == 1
    assert statz[0]["received"]["msgs"] == 4 and statz[0]["received"]["bytes"] == 12
    imports = [(i["subject"], i["local_subject"], i["account"], i["share"])
               for i in ask.json("$SYS.REQ.ACCOUNT.B.INFO")["data"]["imports"]]
    assert sorted(imports) == [
        ("$SYS.REQ.ACCOUNT.B.CONNZ", "$SYS.REQ.ACCOUNT.PING.CONNZ", "SYS", False),
        ("$SYS.REQ.ACCOUNT.B.CONNZ", "$SYS.REQ.SERVER.PING.CONNZ", "SYS", False),
        ("$SYS.REQ.ACCOUNT.B.STATZ", "$SYS.REQ.ACCOUNT.PING.STATZ", "SYS", False),
        ("$SYS.REQ.USER.B.INFO", "$SYS.REQ.USER.INFO", "SYS", True),
        ("q.x", "qx", "A", False), ("s.y", "p.s.y", "A", False)]
    assert [i["local_subject"] for i in ask.json("$SYS.REQ.ACCOUNT.SYS.INFO")["data"]["imports"]] == \
        ["$SYS.REQ.USER.INFO"]
    info = ask.json("$SYS.REQ.ACCOUNT.A.INFO")["data"]
    assert info["account_name"] == "A" and info["client_connections"] == 1
    assert info["mappings"] == {"foo": [{"subject": "bar", "weight": 100}]}
    assert ask.json("$SYS.REQ.ACCOUNT.A.CONNS")["conns"] == 1
    assert set(ask.json("$SYS.REQ.SERVER.PING.ACCOUNTZ")["data"]["accounts"]) >= {"$G", "A", "B", "SYS"}
    assert ask.ask("$SYS.DEBUG.SUBSCRIBERS", b"_INBOX.ask.1") == b"1"
    assert ask.ask("$SYS.DEBUG.SUBSCRIBERS", b"nobody") == b"0"
    # who is gone is counted still
    a.close()
    harness.until(lambda: ask.json("$SYS.REQ.SERVER.PING.CONNZ", {"acc": "A"})["data"]["total"] == 0, "it is gone")
    closed = ask.json("$SYS.REQ.SERVER.PING.CONNZ", {"state": 1, "acc": "A", "sort": "stop"})["data"]["connections"]
    assert closed[0]["reason"] == "Client Closed" and closed[0]["in_msgs"] == 4 and closed[0]["subscriptions"] == 2
    statz = ask.json("$SYS.REQ.ACCOUNT.PING.STATZ", {"accounts": ["A"], "include_unused": True})["data"]["account_statz"]
    assert statz[0]["conns"] == 0 and statz[0]["received"]["msgs"] == 4


@BOTH
def test_who_was_refused_is_in_no_account(start, which):
    server = begin(start, which)
    server.client(options={"user": "a", "pass": "wrong"}).rest()
    ask = Asker(login(server, "sys"))
    closed = harness.until(lambda: [c for c in ask.json("$SYS.REQ.SERVER.PING.CONNZ", {"state": 1, "auth": True})
                                    ["data"]["connections"] if c.get("authorized_user") == "a"], "it is among the closed")
    assert closed[0]["reason"] == "Authentication Failure" and "account" not in closed[0]


@BOTH
def test_slow_consumers_of_an_account(start, which):
    server = begin(start, which, config=CONFIG + "max_payload: 100000\nmax_pending: 200000\n")
    ask = Asker(login(server, "sys"))
    slow, b = login(server, "b"), login(server, "b")
    slow.send("SUB x 1\r\n")
    slow.ping()

    def counted():
        b.send(b"PUB x 50000\r\n" + bytes(50000) + b"\r\n")
        all_of = ask.json("$SYS.REQ.ACCOUNT.PING.STATZ", {"include_unused": True})["data"]["account_statz"]
        return {a["acc"]: a["slow_consumers"] for a in all_of if a["slow_consumers"] > 0}
    assert harness.until(counted, "it is counted") == {"B": 1}
    assert ask.json("$SYS.REQ.SERVER.PING.VARZ")["data"]["slow_consumers"] == 1


@BOTH
def test_a_user_sees_its_own_account_only(start, which):
    server = begin(start, which)
    a, b = populate(server)
    ask = Asker(b)
    for subject in ("$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.SERVER.PING.CONNZ"):
        for body in (b"", {"acc": "A"}, {"ACC": "A"}, {"acc": ""}):
            found = ask.json(subject, body)["data"]
            assert [c["cid"] for c in found["connections"]] == [b.info["client_id"]], (subject, body)
    for body in (b"", {"accounts": ["A"]}, {"Accounts": ["A", "B"]}):
        found = ask.json("$SYS.REQ.ACCOUNT.PING.STATZ", body)["data"]["account_statz"]
        assert [s["acc"] for s in found] == ["B"], body
    # and nothing of the server's, whatever it asks for
    for subject in ("$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING.VARZ", "$SYS.REQ.ACCOUNT.A.CONNZ",
                    f"$SYS.REQ.SERVER.{server_id(a)}.KICK"):
        assert ask.ask(subject, {"cid": a.info["client_id"]}) is None, subject
    assert a.quiet()


# ---- events

def collect(server, act):
    """What the system account hears while act(server) runs: [(subject, object)]."""
    y = login(server, "sys")
    y.send("SUB $SYS.ACCOUNT.> 1\r\nSUB $SYS.SERVER.> 2\r\n")
    y.ping()
    end = act(server, y)
    heard = []
    while True:
        m = y.message()
        event = json.loads(m[4])
        if event.get("reason", "")[:14] == "Authentication" and "user" not in event["client"]:
            continue                        # whoever looked whether the server accepts connections
        heard.append((m[0].replace(server_id(y), "ID"), event))
        if end(heard):
            return heard


def come_and_go(server, y):
    a = login(server, "a")
    a.send("SUB x 1\r\nPUB x 5\r\nhello\r\n")
    a.message()
    bad = server.client(options={"user": "a", "pass": "wrong"})
    assert b"Authorization Violation" in bad.rest()
    a.close()
    return lambda heard: (sum(s == "$SYS.ACCOUNT.A.DISCONNECT" for s, _ in heard) == 1 and
                          any(s == "$SYS.SERVER.ID.CLIENT.AUTH.ERR" for s, _ in heard) and
                          any(s == "$SYS.ACCOUNT.$G.DISCONNECT" for s, _ in heard) and
                          any(s == "$SYS.ACCOUNT.A.SERVER.CONNS" and o["conns"] == 0 for s, o in heard) and
                          any(s == "$SYS.SERVER.ACCOUNT.A.CONNS" and o["conns"] == 0 for s, o in heard))


@BOTH
def test_events_of_clients(start, which):
    heard = collect(begin(start, which), come_and_go)
    by = {}
    for subject, o in heard:
        by.setdefault(subject, []).append(o)
    connect = by["$SYS.ACCOUNT.A.CONNECT"][0]
    assert connect["type"] == "io.nats.server.advisory.v1.client_connect" and len(connect["id"]) == 22
    assert (connect["client"]["acc"], connect["client"]["user"], connect["client"]["name"]) == ("A", "a", "probe")
    gone = by["$SYS.ACCOUNT.A.DISCONNECT"][0]
    assert gone["reason"] == "Client Closed" and gone["sent"] == gone["received"] == {"msgs": 1, "bytes": 5}
    assert gone["client"]["id"] == connect["client"]["id"] and gone["client"]["rtt"] > 0
    error = by["$SYS.SERVER.ID.CLIENT.AUTH.ERR"][0]
    assert error["reason"] == "Authentication Failure" and error["client"]["user"] == "a"
    assert error["client"]["acc"] == "$G" and "wrong" not in json.dumps(heard)
    assert by["$SYS.ACCOUNT.$G.DISCONNECT"][0]["client"]["id"] == error["client"]["id"]
    conns = by["$SYS.ACCOUNT.A.SERVER.CONNS"]
    # changes that follow each other closely may be told as one
    assert {o["conns"] for o in conns} <= {0, 1} and conns[-1]["conns"] == 0 and conns[-1]["acc"] == "A"
    assert by["$SYS.SERVER.ACCOUNT.A.CONNS"][0]["id"] == conns[0]["id"]
    seqs = [o["server"]["seq"] for s, o in heard]
    assert len(set(o["id"] for s, o in heard if "CONNS" not in s)) == len([s for s, _ in heard if "CONNS" not in s])
    assert len(seqs) > 1


@pytest.mark.skipif(not REAL, reason="no nats-server to compare with")
def test_events_have_the_real_servers_shape(start):
    both = []
    for which in ("ours", "real"):
        heard = collect(begin(start, which), come_and_go)
        both.append({s: o for s, o in heard if ".SYS." not in s})    # who listens hears of itself, or not
    assert set(both[0]) == set(both[1])
    for subject in both[0]:
        same_shape(both[0][subject], both[1][subject], subject)


@BOTH
def test_who_never_logs_in_leaves_as_well(start, which):
    server = begin(start, which)
    y = login(server, "sys")
    y.send("SUB $SYS.ACCOUNT.> 1\r\nSUB $SYS.SERVER.*.CLIENT.AUTH.ERR 2\r\n")
    y.ping()
    silent = server.client(connect=False)
    silent.close()
    m = y.message()
    event = json.loads(m[4])
    while event.get("client", {}).get("id") != silent.info["client_id"]:    # whoever looked whether it accepts
        m = y.message()
        event = json.loads(m[4])
    assert m[0] == "$SYS.ACCOUNT.$G.DISCONNECT" and event["reason"] == "Client Closed"
    assert event["client"]["acc"] == "$G" and "user" not in event["client"]
    ask = Asker(y)
    closed = ask.json("$SYS.REQ.SERVER.PING.CONNZ", {"state": 1, "cid": silent.info["client_id"]})["data"]
    assert closed["connections"][0]["reason"] == "Client Closed"


@BOTH
def test_auth_errors_reach_the_account_as_well(start, which):
    server = begin(start, which, config="""
        accounts { SYS { users: [{user: sys, password: sys}] } }
        authorization { users: [{user: g, password: g}] }
        system_account: SYS""")
    g = login(server, "g")
    g.send("SUB $SYS.> 1\r\n")
    g.ping()
    assert b"Authorization Violation" in server.client(options={"user": "g", "pass": "no"}).rest()
    m = g.message()
    assert m[0] == "$SYS.ACCOUNT.CLIENT.AUTH.ERR"
    assert json.loads(m[4])["reason"] == "Authentication Failure"


@BOTH
def test_statsz_comes_by_itself(start, which):
    server = begin(start, which)
    y = login(server, "sys")
    y.send("SUB $SYS.SERVER.*.STATSZ 1\r\n")
    m = y.message()
    assert json.loads(m[4])["statsz"]["connections"] == 1


@BOTH
@pytest.mark.parametrize("how, says", [(signal.SIGTERM, "SHUTDOWN"), (signal.SIGUSR2, "LAMEDUCK")])
def test_the_end_is_told(start, which, how, says):
    server = begin(start, which)
    y = login(server, "sys")
    y.send("SUB $SYS.SERVER.*.SHUTDOWN 1\r\nSUB $SYS.SERVER.*.LAMEDUCK 2\r\n")
    y.ping()
    server.kill(how)
    m = y.message()
    assert m[0] == f"$SYS.SERVER.{server_id(y)}.{says}" and json.loads(m[4])["id"] == server_id(y)


# ---- what changes something

@BOTH
def test_kick(start, which):
    server = begin(start, which)
    ask = Asker(login(server, "sys"))
    ask.client.send("SUB $SYS.ACCOUNT.B.DISCONNECT 1\r\n")
    b = login(server, "b")
    answer = ask.json(f"$SYS.REQ.SERVER.{server_id(b)}.KICK", {"cid": b.info["client_id"]})
    assert set(answer) == {"server"}
    b.rest()
    assert json.loads(ask.client.message()[4])["reason"] == "Kicked"
    answer = ask.json(f"$SYS.REQ.SERVER.{server_id(b)}.KICK", {"cid": b.info["client_id"]})
    assert answer["error"]["code"] == 500


@BOTH
def test_lame_duck_of_one_client(start, which):
    server = begin(start, which)
    ask = Asker(login(server, "sys"))
    b, other = login(server, "b", protocol=1), login(server, "b", protocol=1)
    answer = ask.json(f"$SYS.REQ.SERVER.{server_id(b)}.LDM", {"cid": b.info["client_id"]})
    assert set(answer) == {"server"}
    b.until(b'"ldm":true')
    b.line()                                # the rest of it
    assert b"ldm" not in b.ping() + other.ping()


@BOTH
def test_reload(start, which):
    server = begin(start, which, config=CONFIG + "max_payload: 1000\n")
    ask = Asker(login(server, "sys"))
    subject = f"$SYS.REQ.SERVER.{server_id(ask.client)}.RELOAD"
    with open(server.config_path) as f:
        text = f.read()
    with open(server.config_path, "w") as f:
        f.write(text.replace("max_payload: 1000", "max_payload: 2000"))
    assert set(ask.json(subject)) == {"server"}
    assert login(server, "a").info["max_payload"] == 2000
    with open(server.config_path, "w") as f:
        f.write("nonsense {")
    answer = ask.json(subject)
    assert answer["error"]["code"] == 500 and answer["error"]["description"]


# ---- who does not speak

@BOTH
def test_without_a_system_account_there_is_none(start, which):
    server = begin(start, which, config="no_system_account: true\n")
    c = server.client()
    ask = Asker(c)
    for subject in ("$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING.CONNZ", "$SYS.REQ.ACCOUNT.PING.STATZ"):
        assert ask.ask(subject) is None, subject


@BOTH
def test_without_accounts_a_user_asks_about_its_own(start, which):
    server = begin(start, which, config="")
    c = server.client()
    c.ping()
    found = Asker(c).json("$SYS.REQ.SERVER.PING.CONNZ")["data"]
    assert [x["cid"] for x in found["connections"]] == [c.info["client_id"]]


# ---- HTTP: the same reports

def get(server, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port()}{path}", timeout=harness.LIMIT) as r:
            return r.status, r.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()


PATHS = ["/connz", "/connz?subs=detail&auth=1&limit=1", "/connz?subs=1&sort=bytes_to", "/connz?acc=A&auth=true",
         "/subsz", "/subscriptionsz?subs=1&acc=A&test=foo.a", "/accountz", "/accountz?acc=nobody",
         "/accstatz", "/accstatz?unused=true", "/routez", "/gatewayz", "/leafz", "/jsz",
         "/connz?limit=x", "/connz?subs=x", "/connz?sort=bad", "/connz?state=x", "/subsz?test=a.*"]


@pytest.mark.skipif(not REAL, reason="no nats-server to compare with")
def test_http_has_the_real_servers_shape(start):
    both = []
    for which in ("ours", "real"):
        server = begin(start, which, args=["-m", "-1"])
        keep = populate(server)
        both.append([get(server, path) for path in PATHS])
        assert keep
    for path, ours, theirs in zip(PATHS, *both):
        assert ours[0] == theirs[0], path
        if ours[0] != 200:
            assert ours[1] == theirs[1], path
        elif path.startswith("/accountz"):
            assert set(json.loads(ours[1])) == set(json.loads(theirs[1]))
        else:
            same_shape(json.loads(ours[1]), json.loads(theirs[1]), path)


# ---- when the system process has trouble

def test_the_system_process_is_replaced(start):
    server = begin(start, "ours", config=CONFIG + "debug: true\n")
    a, _ = populate(server)
    ask = Asker(login(server, "sys"))
    before = server.children("system")
    a.send("SUB own 5\r\n")
    for _ in range(3):
        for pid in server.children("system"):
            os.kill(pid, signal.SIGKILL)
        a.send("PUB own 2\r\nhi\r\n")
        assert a.message()[4] == b"hi"      # nobody else notices
        harness.until(lambda: (now := server.children("system")) and not now.keys() & before.keys(), "another system")
        before = server.children("system")

        def answered():
            ask.post("$SYS.REQ.SERVER.PING.SUBSZ", {"subscriptions": True, "account": "A"})
            m = ask.client.message()
            return not m[3] and {d["subject"] for d in json.loads(m[4])["data"]["subscriptions_list"]} >= {"foo.*", "own"}
        harness.until(answered, "it answers, and knows all subscriptions")


def test_a_stopped_system_process_holds_nobody_up(start):
    server = begin(start, "ours", config=CONFIG + "watchdog: 1\nring_size: 65536\n", workers=2)
    a, b = populate(server)
    ask = login(server, "sys")
    pid = list(server.children("system"))[0]
    os.kill(pid, signal.SIGSTOP)
    # more than its lane holds: who asks waits, and nobody else
    for _ in range(200):
        ask.sock.settimeout(0.01)
        try:
            ask.send("PUB $SYS.REQ.SERVER.PING.X y 1000\r\n", b"x" * 1000, "\r\n")
        except TimeoutError:
            break
    a.send("SUB own 5\r\n")
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        began = time.monotonic()
        a.send("PUB own 2\r\nhi\r\n")
        assert a.message()[4] == b"hi"
        assert time.monotonic() - began < 0.5
        login(server, "b").close()          # events do not wait either
    harness.until(lambda: pid not in server.children("system"), "it is replaced")
    with pytest.raises(EOFError):           # it has said half a message
        ask.sock.settimeout(harness.LIMIT)
        ask.send("\r\nnonsense\r\n" * 300)
        while True:
            ask.message()
    answer = Asker(login(server, "sys"))
    harness.until(lambda: answer.ask("$SYS.REQ.SERVER.PING.IDZ"), "its successor answers")
    assert b.quiet()


def test_a_flood_of_requests_costs_those_who_ask(start):
    server = begin(start, "ours")
    a, _ = populate(server)
    flood, ask = login(server, "sys"), Asker(login(server, "sys"))
    pid = list(server.children("system"))[0]
    request = "PUB $SYS.REQ.SERVER.PING.CONNZ nobody.hears 4000\r\n" + " " * 4000 + "\r\n"
    for _ in range(50):
        flood.send(request * 1000)
        a.send("SUB own 5\r\nPUB own 2\r\nhi\r\nUNSUB 5\r\n")
        assert a.message()[4] == b"hi"
    flood.ping()

    def answered():                         # one that came while the queue was full is lost
        ask.post("$SYS.REQ.SERVER.PING.IDZ")
        return ask.client.readable(0.1)
    harness.until(answered, "an answer")
    assert list(server.children("system")) == [pid]
    with open(f"/proc/{pid}/status") as f:
        resident = int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1))
    assert resident < (400 if harness.SANITIZED else 60) * 1024


def test_a_flood_from_one_account_delays_no_other(start):
    server = begin(start, "ours")
    a, b = populate(server)
    for user in (a, login(server, "sys")):      # out of an account, and in the system account
        flood, stop = Asker(user), threading.Event()

        def pour():
            request = b"PUB $SYS.REQ.SERVER.PING.CONNZ _INBOX.flood.1 2\r\n{}\r\n" * 1000
            flood.client.sock.settimeout(None)
            while not stop.is_set():
                flood.client.send(request)
        thread = threading.Thread(target=pour, daemon=True)
        thread.start()
        harness.until(lambda: "too many requests" in server.log(), "there is more than can be answered")
        try:
            for ask in (Asker(b), Asker(login(server, "sys"))):
                for _ in range(50):             # each one, and soon
                    assert ask.json("$SYS.REQ.SERVER.PING.CONNZ", {"limit": 1})["data"]["total"] > 0
        finally:
            stop.set()
            thread.join()


def subscribe_to_many(client, count, length=70):
    for k in range(0, count, 1000):
        client.send("".join(f"SUB {i:0{length}d} {i + 10}\r\n" for i in range(k, k + 1000)))
    client.ping()


@BOTH
def test_a_large_answer_is_whole(start, which):
    server = begin(start, which, config=CONFIG + "max_payload: 4096\n")
    a, _ = populate(server)
    subscribe_to_many(a, 40000)             # a multiple of max_payload, and of a lane
    ask = Asker(login(server, "sys"))
    answer = ask.json("$SYS.REQ.SERVER.PING.CONNZ", {"acc": "A", "subscriptions": True})
    assert len(answer["data"]["connections"][0]["subscriptions_list"]) == 40002


def test_an_answer_without_measure_is_cut(start):
    server = begin(start, "ours")
    a, _ = populate(server)
    subscribe_to_many(a, 20000, 1000)
    ask = Asker(login(server, "sys"))
    one = ask.json("$SYS.REQ.SERVER.PING.CONNZ", {"acc": "A", "subscriptions": True})["data"]["connections"][0]
    assert one["subscriptions"] == 20002 and 7000 < len(one["subscriptions_list"]) < 9000
    listed = ask.json("$SYS.REQ.SERVER.PING.SUBSZ", {"account": "A", "subscriptions": True, "limit": 16000})["data"]
    assert listed["total"] == 20002 and 7000 < len(listed["subscriptions_list"]) < 9000


def own_memory(pid):
    """Resident, without what workers show it."""
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"RssAnon:\s+(\d+) kB", f.read()).group(1)) << 10


@pytest.mark.skipif(harness.SANITIZED, reason="sanitizers keep freed memory")
@pytest.mark.parametrize("how", ["message", "http"])
def test_memory_of_a_large_answer_is_given_back(start, how):
    server = begin(start, "ours", args=["-m", "-1"])
    a, _ = populate(server)
    subscribe_to_many(a, 20000, 200)
    ask = Asker(login(server, "sys"))
    pid = list(server.children("system"))[0]
    before = own_memory(pid)
    if how == "message":
        answer = ask.json("$SYS.REQ.SERVER.PING.CONNZ", {"acc": "A", "subscriptions": True})["data"]
    else:
        answer = json.loads(get(server, "/connz?subs=1&acc=A")[1])
    assert len(answer["connections"][0]["subscriptions_list"]) == 20002
    assert own_memory(pid) > before + (4 << 20)
    harness.until(lambda: own_memory(pid) < before + (1 << 20), "its memory is as before")


# ---- what nobody listens to

def closed_over_http(server):
    return json.loads(get(server, "/connz?state=closed&auth=1&limit=1000")[1])["connections"]


def test_who_left_while_nobody_listened_is_among_the_closed(start):
    server = begin(start, "ours", args=["-m", "-1"], workers=2)
    left = []
    for i in range(300):
        a = login(server, "a", name=f"n{i}")
        a.send("PUB x 5\r\nhello\r\n")
        a.ping()
        left.append(a.info["client_id"])
        a.close()
    closed = harness.until(lambda: (now := [c for c in closed_over_http(server) if c.get("authorized_user") == "a"]) and
                           len(now) == 300 and now, "all are there")
    assert sorted(c["cid"] for c in closed) == left and {c["reason"] for c in closed} == {"Client Closed"}
    of_a = [s for s in json.loads(get(server, "/accstatz?unused=1")[1])["account_statz"] if s["acc"] == "A"]
    assert of_a[0]["conns"] == 0 and (of_a[0]["received"]["msgs"], of_a[0]["received"]["bytes"]) == (300, 1500)
    # who comes to listen hears of none of them, though the last ones are told of only now
    late = [login(server, "a") for _ in range(10)]
    for a in late:
        a.close()
    left += [a.info["client_id"] for a in late]
    harness.until(lambda: json.loads(get(server, "/connz")[1])["total"] == 0, "they are gone")
    y = login(server, "sys")
    y.send("SUB $SYS.ACCOUNT.A.> 1\r\n")
    y.ping()
    login(server, "a").close()
    events = []
    while not events or events[-1].get("reason") is None:
        events.append(json.loads(y.message()[4]))
    assert all(e["client"]["id"] > left[-1] for e in events if "client" in e)


def test_nothing_is_missed_from_the_pong_on(start):
    """Whoever has its PONG hears of all that come and go after it, on whichever worker, though system may not know yet
    that somebody listens."""
    for _ in range(5):
        server = begin(start, "ours", workers=3)
        y = login(server, "sys")
        y.send("SUB $SYS.ACCOUNT.A.CONNECT 1\r\nSUB $SYS.ACCOUNT.A.DISCONNECT 2\r\n")
        y.ping()
        for _ in range(3):
            gone = login(server, "a")
            gone.close()
            heard = [json.loads(y.message()[4])["client"]["id"] for _ in range(2)]
            assert heard == [gone.info["client_id"]] * 2
        server.stop()


def test_an_importer_alone_hears_statsz(start):
    server = begin(start, "ours", config="""
        accounts {
          SYS { users: [{user: sys, password: sys}], exports: [{stream: "$SYS.SERVER.>"}] }
          A { users: [{user: a, password: a}], imports: [{stream: {account: SYS, subject: "$SYS.SERVER.>"}}] }
        }
        system_account: SYS""")
    a = login(server, "a")
    a.send("SUB $SYS.SERVER.*.STATSZ 1\r\n")
    assert json.loads(a.message()[4])["statsz"]["connections"] == 1


@BOTH
def test_a_small_max_payload_is_for_clients(start, which):
    ask = Asker(login(begin(start, which, config=CONFIG + "max_payload: 100\n"), "sys"))
    assert ask.json("$SYS.REQ.SERVER.PING.VARZ")["data"]["max_payload"] == 100
    assert ask.json("$SYS.REQ.SERVER.PING.CONNZ", {"sort": "bad"})["error"]
