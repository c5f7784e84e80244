"""Subject mappings: what a publish becomes is what the real server makes of it, raw bytes at both."""
import json
import signal

import pytest

import harness
from test_accounts import pub, servers  # noqa: F401

CONFIG = """
accounts {
  A { users: [ {user: a, password: a} ]
      mappings: {
        plain: mapped.plain
        chain: plain
        "swap.*.*": "swapped.$2.{{wildcard(1)}}"
        "part.*.*": "parted.{{partition(7,1,2)}}.{{Partition(3, 2)}}"
        "whole.*.>": "whole.{{partition(13)}}.>"
        "split.*": "split.{{split(1,-)}}"
        "chars.*": "chars.{{Split(1,)}}"
        "left.*": "{{splitFromLeft(1,2)}}.{{left(1,3)}}"
        "right.*": "{{SplitFromRight(1,2)}}.{{Right(1, 3)}}"
        "slice.*": "{{sliceFromLeft(1,2)}}.x.{{SliceFromRight(1,2)}}"
        "zero.*": "zero.{{random(1)}}.$1"
        "tail.>": "tailed.>"
        "dollar.*": "$SYS.x.$1.$y"
        lost: [ {destination: lost, weight: 0%} ]
        far: [ {destination: near, weight: 100%, cluster: elsewhere} ]
        "odd.*": "{{wildcard(1)}}.{{ wildcard( 1 ) }}"
      } }
  B { users: [ {user: b, password: b} ], mappings: { plain: b.plain } }
}
"""

SUBJECTS = ["plain", "chain", "mapped.plain", "swap.x.y", "swap.x", "part.one.two", "part.two.one", "part.a.b", "whole.a.b.c",
            "whole.a", "split.a-b--c", "split.-a-", "split.none", "chars.abc", "chars.\u00e9x", "left.abcdef", "left.ab",
            "right.abcdef", "right.a", "slice.abcde", "slice.ab", "zero.q", "tail.x", "tail.x.y.z", "tail", "dollar.a",
            "far", "odd.o", "other"]


def test_each_kind(servers):  # noqa: F811
    both = servers(CONFIG, ["a", "a2", "b"])
    for name in ("a2", "b"):
        both.send(name, "SUB > 1\r\nSUB *.> group 2\r\n")
    for subject in SUBJECTS:
        for name in ("a", "b"):
            both.send(name, pub(subject, "x", "the.reply")).same()


def test_what_is_lost(servers):  # noqa: F811
    both = servers(CONFIG, ["a", "a2"])
    both.send("a2", "SUB > 1\r\nSUB lost 2\r\n")
    both.send("a", pub("lost", "gone")).same()


def test_who_asks_hears_that_it_is_lost(start):
    """The subject it hears of is the empty one that it became."""
    theirs = harness.real_server()
    for exe in [harness.BULKHEAD] + ([theirs] if theirs else []):
        c = start(config=CONFIG, exe=exe).client(
            options={"user": "a", "pass": "a", "no_responders": True, "headers": True})
        c.ping()                        # the real server does not map what comes in the read of CONNECT
        c.send("SUB > 1\r\n" + pub("lost", "gone", "in.1") + "PING\r\n")
        assert c.until(b"PONG\r\n") == b"HMSG in.1 1 32 32\r\nNATS/1.0 503\r\nNats-Subject: \r\n\r\n\r\n"


@pytest.mark.parametrize("first", ["", "PING\r\n"])
def test_the_first_message_in_the_read_of_connect(start, first):
    """Which the real server does not map."""
    c = start(config=CONFIG).client(connect=False)
    options = json.dumps({"user": "a", "pass": "a", "verbose": False})
    c.send(f"CONNECT {options}\r\n{first}SUB > 1\r\nPUB plain 2\r\nhi\r\n")
    assert c.message()[0] == "mapped.plain"


WEIGHTS = """
mappings: {
  "canary.*": [ {destination: "new.$1", weight: 20%}, {destination: "old.$1", weight: 80} ]
  half: [ {destination: other, weight: 50%} ]
  lossy: [ {destination: lossy, weight: 70%} ]
}
"""
THROWN = 4000


@pytest.mark.parametrize("subject,expected", [
    ("canary.x", {"new.x": 0.2, "old.x": 0.8}), ("half", {"other": 0.5, "half": 0.5}), ("lossy", {"lossy": 0.7})])
def test_weights(servers, subject, expected):  # noqa: F811
    """Over two workers; within six standard deviations, at the real server too."""
    both = servers(WEIGHTS, ["x", "y"])
    for party in (both.ours, both.theirs):
        count = {}
        x, y = party.clients["x"], party.clients["y"]
        y.send("SUB *.x 1\r\nSUB half 2\r\nSUB other 3\r\nSUB lossy 4\r\nSUB end 5\r\n")
        y.ping()
        x.send(f"PUB {subject} 0\r\n\r\n" * THROWN + "PUB end 0\r\n\r\n")
        x.ping()
        while (arrived := y.message()[0]) != "end":
            count[arrived] = count.get(arrived, 0) + 1
        assert set(count) == set(expected)
        for destination, part in expected.items():
            off = abs(count[destination] - THROWN * part)
            assert off < 6 * (THROWN * part * (1 - part)) ** 0.5, count


PERMITTED = """
authorization { users: [
  {user: a, password: a, permissions: {publish: ["map.foo", "map.free"]}},
  {user: b, password: b, permissions: {publish: {deny: "map.bar"}}},
  {user: c, password: c, permissions: {publish: "map.bar"}},
  {user: d, password: d} ] }
mappings: { "map.foo": "map.bar", "else": "map.free" }
"""


def test_permission_is_for_where_it_goes(servers):  # noqa: F811
    both = servers(PERMITTED, ["a", "b", "c", "d"])
    both.send("d", "SUB > 1\r\n")
    for name in "abc":
        for subject in ("map.foo", "map.bar", "map.free", "else"):
            for party in (both.ours, both.theirs):
                party.clients[name].send(pub(subject, subject) + "PING\r\n")
            answers = [party.clients[name].until(b"PONG\r\n") for party in (both.ours, both.theirs)]
            assert answers[0] == answers[1], (name, subject)
            both.same()


def test_a_reload_changes_what_is_mapped(start):
    text = "debug: true\nworkers: 2\nmappings: { one: %s }\n"
    server = start(config=text.replace("workers: 2\n", "") % "first", workers=2)
    clients = server.clients_on_different_workers(2)
    for c in clients:
        c.send("SUB * 1\r\n")
        c.ping()

    def becomes():
        for c in clients:
            c.send("PUB one 0\r\n\r\n")
        return {c.message()[0] for c in clients for _ in clients}
    assert becomes() == {"first"}
    with open(server.config_path, "w") as f:
        f.write(text % "second")
    server.kill(signal.SIGHUP)
    server.wait_log("Reloaded server configuration")
    assert becomes() == {"second"}
