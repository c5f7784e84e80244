"""Accounts that import from each other: what arrives is what arrives at the real server.

The same clients do the same at both, one step after the other. What a step brings at the real
server is asked of ours until it is there, over two workers; what comes too much shows in the next."""
import json
import random
import re

import pytest

import harness

CONFIG = """
accounts {
  A { users: [ {user: a, password: a} ]
      exports: [ {stream: "s.>"}, {stream: "only.b", accounts: [B]}, {service: "q.*"},
        {service: "many", response: stream}, {service: "pieces", response: chunked},
        {service: "told"}, {service: "chain"},
        {service: "timed", latency: {sampling: 100%, subject: "lat"}},
        {service: "timed.open", latency: {sampling: 100%, subject: "lat"}},
        {service: "timed.traced", latency: {sampling: headers, subject: "lat"}},
        {service: "timed.short", threshold: "300ms", latency: {sampling: 100%, subject: "lat"}} ]
      mappings: { "q.mapped": "q.other" } }
  B { users: [ {user: b, password: b} ]
      exports: [ {service: "bchain"}, {stream: "p.>"} ]
      imports: [ {stream: {account: A, subject: "s.>"}, prefix: "p"},
        {stream: {account: A, subject: "s.*.*"}, to: "turned.$2.$1"},
        {stream: {account: A, subject: "only.b"}},
        {service: {account: A, subject: "q.*"}}, {service: {account: A, subject: "q.one"}, to: "one"},
        {service: {account: A, subject: "many"}}, {service: {account: A, subject: "pieces"}},
        {service: {account: A, subject: "told"}, share: true},
        {service: {account: A, subject: "timed"}}, {service: {account: A, subject: "timed.open"}, share: true},
        {service: {account: A, subject: "timed.traced"}}, {service: {account: A, subject: "timed.short"}},
        {service: {account: A, subject: "chain"}, to: "bchain"} ]
      mappings: { "inbox.mapped": "inbox.other" } }
  C { users: [ {user: c, password: c} ]
      imports: [ {service: {account: B, subject: "bchain"}, to: "cchain"},
        {stream: {account: B, subject: "p.>"}, prefix: "c"} ] }
}
"""


class Party:
    """Clients of one server by name: the first letter is the user. At ours, on workers in turn."""

    def __init__(self, server, names):
        self.clients = {}
        for name in names:
            c = server.client(options={"user": name[0], "pass": name[0], "name": name, "lang": "tests",
                                       "version": "1.2"})
            c.ping()
            self.clients[name] = c

    def arrived(self):
        """Messages that have come to each since the last call."""
        return {name: sorted(messages(c.ping())) for name, c in self.clients.items()}

    def close(self):
        for c in self.clients.values():
            c.close()


def messages(data):
    """Each message: subject, sid, reply, headers, payload. Of our own reply subjects only that they are."""
    found = []
    while data:
        line, data = data.split(b"\r\n", 1)
        words = line.decode().split()
        assert words[0] in ("MSG", "HMSG"), line
        size = int(words[-1])
        head = int(words[-2]) if words[0] == "HMSG" else 0
        reply = words[3] if len(words) == (6 if words[0] == "HMSG" else 5) else ""
        found.append((words[1], words[2], reply, data[:head].decode(), data[head:size].decode()))
        data = data[size + 2:]
    return found


def shape(message):
    subject, sid, reply, head, body = message
    if " 503\r\n" in head:
        sid = ""                        # of whichever subscription of the reply's
    for pattern, what in ((r'"rtt":\d+', '"rtt":0'), (r'"(start|timestamp)":"[^"]*"', r'"\1":""'),
                          (r'"id":"?\w+"?', '"id":""'), (r'"(service|system|total)":\d+', r'"\1":0'),
                          (r'"server":"[^"]*"', '"server":""')):
        head, body = re.sub(pattern, what, head), re.sub(pattern, what, body)
    return (re.sub(r"_R_\.[\w.-]+", "_R_", subject), sid, re.sub(r"_R_\.[\w.-]+", "_R_", reply), head, body)


def shapes(arrived):
    return {name: sorted(shape(m) for m in got) for name, got in arrived.items()}


def reply_subject(arrived, name):
    replies = {m[2] for m in arrived[name] if m[2].startswith("_R_")}
    assert len(replies) == 1, arrived[name]
    return replies.pop()


class Both:
    """Ours and the real server side by side."""

    def __init__(self, ours, theirs, names):
        self.ours, self.theirs = Party(ours, names), Party(theirs, names)
        self.last = None

    def send(self, name, text):
        """text may have REPLY in it: the last reply subject that `answerer` was asked under."""
        for i, party in enumerate((self.ours, self.theirs)):
            party.clients[name].send(text.replace("REPLY", self.last[i] if self.last else "REPLY"))
            party.clients[name].send("PING\r\n")
            before = party.clients[name].until(b"PONG\r\n")
            party.clients[name].buffer = before + party.clients[name].buffer
        return self

    def told(self, name):
        """Wait for a message to this one at the real server, which sends samples when it likes."""
        c = self.theirs.clients[name]
        while b"MSG " not in c.buffer:
            assert c.receive()
        return self

    def same(self, answerer=None):
        """What came of it is the same; what came at the real server."""
        theirs = self.theirs.arrived()
        expected = shapes(theirs)
        ours = {name: [] for name in expected}

        def all_there():
            for name, got in self.ours.arrived().items():
                ours[name] += got
            return all(len(ours[name]) >= len(expected[name]) for name in expected)
        try:
            harness.until(all_there, "as many messages as at the real server", 5)
        except AssertionError:
            pass
        assert shapes(ours) == expected
        if answerer:
            self.last = [reply_subject(ours, answerer), reply_subject(theirs, answerer)]
        return theirs

    def close(self):
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def servers(start, tmp_path):
    real = harness.real_server()
    if real is None:
        pytest.skip("no nats-server to compare with")
    made = []

    def make(config, names):
        both = Both(start(config=config, workers=2), start(config=config, exe=real), names)
        made.append(both)
        return both
    yield make
    for both in made:
        both.close()


def pub(subject, body="", reply=""):
    return f"PUB {subject} {reply} {len(body)}\r\n{body}\r\n"


def hpub(subject, head, body="", reply=""):
    return f"HPUB {subject} {reply} {len(head)} {len(head) + len(body)}\r\n{head}{body}\r\n"


@pytest.fixture
def all_listen(servers):
    """Two clients of each account, who see all there is, and inboxes."""
    both = servers(CONFIG, ["a", "a2", "b", "b2", "c", "c2"])
    for name in ("a", "b", "c"):
        both.send(name, "SUB > 1\r\n")
        both.send(name + "2", "SUB inbox.* 2\r\nSUB _INBOX.> 3\r\n")
    return both


def test_streams(all_listen):
    both = all_listen
    for subject in ("s.x", "s.x.y", "s", "only.b", "other", "p.s.x", "turned.1.2"):
        for name in ("a", "b", "c"):
            both.send(name, pub(subject, f"{subject} by {name}", "answer.to")).same()


@pytest.mark.parametrize("wanted", ["p.>", "p.s.x", "p.*.x", "*.s.*", "turned.*.x", "turned.y.*", "turned.>", "*.*.*",
                                    "p.s", "s.x", "only.*", ">", "*", "p.q.*"])
def test_subscriptions_of_importers(servers, wanted):
    both = servers(CONFIG, ["a", "b", "b2"])
    both.send("b", f"SUB {wanted} 1\r\n")
    if wanted != ">":                   # there two imports bring s.x.y, and the group gets either
        both.send("b2", f"SUB {wanted} group 2\r\n")
    for subject in ("s.x", "s.x.y", "s.x.y.z", "only.b", "other.x"):
        both.send("a", pub(subject, subject)).same()
    both.send("b", "UNSUB 1\r\n")
    for subject in ("s.x", "s.x.y", "only.b"):
        both.send("a", pub(subject, subject)).same()


def test_a_service_answers_once(all_listen):
    both = all_listen
    both.send("b", pub("q.help", "please", "inbox.1")).same("a")
    both.send("a", pub("REPLY", "here")).same()
    both.send("a", pub("REPLY", "again")).same()
    both.send("b", pub("one", "please", "inbox.1")).same("a")
    both.send("b", pub("REPLY", "not mine to answer")).same()
    both.send("c", pub("REPLY", "nor mine")).same()
    both.send("a2", pub("REPLY", "another client's answer")).same()


@pytest.mark.parametrize("subject", ["many", "pieces"])
def test_a_service_answers_many_times(all_listen, subject):
    both = all_listen
    both.send("b2", pub(subject, "", "inbox.1")).same("a")
    for body in ("1", "2", "3", "", "4"):
        both.send("a", pub("REPLY", body)).same()


def test_requests_without_a_reply_and_with_headers(all_listen):
    both = all_listen
    both.send("b", pub("q.x", "tell nobody")).same()
    both.send("b", hpub("q.x", "NATS/1.0\r\nA: b\r\n\r\n", "body", "inbox.1")).same("a")
    both.send("a", hpub("REPLY", "NATS/1.0 200 fine\r\nC: d\r\n\r\n", "answer")).same()


def test_a_service_is_told_who_asks(all_listen):
    both = all_listen
    both.send("b2", pub("told", "x", "inbox.1")).same("a")
    both.send("b2", hpub("told", "NATS/1.0\r\nNats-Request-Info: {}\r\n\r\n", "x", "inbox.1")).same()


def test_mappings_of_both_accounts(all_listen):
    both = all_listen
    both.send("b", pub("q.mapped", "x", "inbox.mapped")).same("a")
    both.send("a", pub("REPLY", "y")).same()


def test_a_chain_and_an_answer_that_asks_back(all_listen):
    both = all_listen
    both.send("c", pub("cchain", "x", "inbox.1")).same("a")
    both.send("a", pub("REPLY", "and you?", "inbox.2")).same()
    both.send("c", pub("cchain", "x", "_INBOX.x.y")).same("a")
    both.send("a", pub("REPLY", "y")).same()


def test_nobody_is_there(servers):
    both = servers(CONFIG, ["a", "b", "c"])
    for name in ("b", "c"):
        both.send(name, "SUB inbox.* 1\r\n")
    for name, subject in (("b", "q.x"), ("b", "many"), ("b", "bchain"), ("c", "cchain"), ("c", "nothing")):
        both.send(name, pub(subject, "x", "inbox.1")).same()
    both.send("a", "SUB q.x group 1\r\n")
    both.send("b", pub("q.x", "x", "inbox.1")).same("a")
    both.send("b", "SUB q.y 2\r\n").send("b", pub("q.y", "x", "inbox.1")).same()


# ---- how long services take

TRACED = "NATS/1.0\r\nTraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n"


@pytest.fixture
def timed(servers):
    """Who answers, who gets the samples, who asks; three clients are of both workers."""
    both = servers(CONFIG, ["a", "a2", "b", "b2"])
    both.send("a", "SUB timed 1\r\nSUB timed.* 3\r\n").send("a2", "SUB lat 2\r\n").send("b", "SUB inbox.* 1\r\n")
    return both


def requested(both, subject, traced=False):
    text = hpub(subject, TRACED, "x", "inbox.1") if traced else pub(subject, "x", "inbox.1")
    both.send("b", text).same("a")


@pytest.mark.parametrize("subject", ["timed", "timed.open", "timed.traced"])
@pytest.mark.parametrize("answerer", ["a", "a2"])
def test_latency_of_an_answer(timed, subject, answerer):
    requested(timed, subject, subject == "timed.traced")
    timed.send(answerer, pub("REPLY", "y")).told("a2").same()


@pytest.mark.parametrize("subject", ["timed", "timed.open", "timed.traced"])
def test_latency_of_a_request_without_a_reply(timed, subject):
    if subject == "timed.traced":
        timed.send("b", hpub(subject, TRACED, "x")).told("a2").same()
        timed.send("b", pub(subject, "x")).same()
    else:
        timed.send("b", pub(subject, "x")).told("a2").same()


@pytest.mark.parametrize("subject", ["timed", "timed.open"])
def test_latency_where_nobody_serves(timed, subject):
    timed.send("a", "UNSUB 1\r\nUNSUB 3\r\n").send("b", pub(subject, "x", "inbox.1")).told("a2").same()


def test_latency_of_what_is_not_answered_in_time(timed):
    timed.send("b", pub("timed.short", "x", "inbox.1"))
    reports = []
    for party in (timed.ours, timed.theirs):
        subject, sid, _, _, body = party.clients["a2"].message()
        assert json.loads(body)["status"] == 504
        reports.append(shape((subject, sid, "", "", body.decode())))
    assert reports[0] == reports[1]


@pytest.mark.parametrize("subject", ["timed", "timed.open", "timed.traced"])
def test_latency_when_the_requester_unsubscribes(timed, subject):
    timed.send("b2", "SUB other 1\r\n")
    requested(timed, subject, subject == "timed.traced")
    timed.send("b2", "UNSUB 1\r\n").same()
    timed.send("b", "UNSUB 1\r\n")
    assert samples(timed.told("a2").same()) == [408]
    timed.send("a", pub("REPLY", "too late")).same()


def samples(theirs):
    return [json.loads(m[4])["status"] for m in theirs["a2"]]


@pytest.mark.parametrize("subject", ["timed", "timed.open"])
def test_latency_when_the_requester_disconnects(timed, subject):
    requested(timed, subject)
    for party in (timed.ours, timed.theirs):
        party.clients.pop("b").close()
    assert samples(timed.told("a2").same()) == [408]


@pytest.mark.parametrize("subject", ["timed", "timed.open"])
def test_another_client_wants_the_answer(timed, subject):
    timed.send("b2", "SUB inbox.1 1\r\n")
    requested(timed, subject)
    timed.send("b", "UNSUB 1\r\n").same()
    timed.send("a", pub("REPLY", "y"))
    assert samples(timed.told("a2").same()) == [200]


def of_workers(server, user, count=1):
    """Clients of this user, by the worker that holds them, as many of each."""
    found = {}

    def enough():
        c = server.client(options={"user": user, "pass": user, "name": f"client of {user}", "lang": "tests",
                                   "version": "1.2"})
        c.ping()
        found.setdefault(server.worker_of(c), []).append(c)
        return len(found) == 2 and all(len(f) >= count for f in found.values())
    harness.until(enough, "clients on both workers")
    return [found[pid] for pid in sorted(found)]


@pytest.mark.parametrize("worker", range(2))
def test_the_responder_of_another_worker_is_described(start, worker):
    server = start(config=CONFIG + "\ndebug: true\n", workers=2)
    responder = of_workers(server, "a")[worker][0]
    requester = of_workers(server, "b")[1 - worker][0]
    listener = server.client(options={"user": "a", "pass": "a"})
    listener.send("SUB lat 1\r\n")
    listener.ping()
    responder.send("SUB timed 1\r\n")
    responder.ping()
    requester.send("SUB inbox.1 1\r\n", pub("timed", "please", "inbox.1"))
    reply = responder.message()[2]
    responder.send(pub(reply, "here"))
    assert requester.message()[4] == b"here"
    sample = json.loads(listener.message()[4])
    who = sample["responder"]
    assert (who["acc"], who["user"], who["name"]) == ("A", "a", "client of a")
    assert (who["lang"], who["ver"], who["host"], who["id"]) == ("tests", "1.2", "127.0.0.1", responder.info["client_id"])
    assert who["start"] and who["kind"] == "Client" and "server" in who
    assert 0 <= sample["service"] <= sample["total"] < 60e9
    assert sample["total"] >= sample["service"] + sample["requestor"].get("rtt", 0)


def test_requests_of_who_went_take_no_memory(start):
    server = start(config=CONFIG + "\ndebug: true\n", workers=2)
    a, listener = (server.client(options={"user": "a", "pass": "a"}) for _ in range(2))
    a.send("SUB timed 1\r\n")
    a.ping()
    listener.send("SUB lat 1\r\n")
    listener.ping()
    flood, other = of_workers(server, "b", 2)[0][:2]
    reply = "inbox." + "x" * 3000
    flood.send("SUB inbox.> 1\r\n", *[pub("timed", "", f"{reply}.{i}") for i in range(8000)])
    taken = 8000 - flood.ping().count(b" 503\r\n")
    assert 4000 < taken < 8000
    flood.close()
    ended = 0

    def all_ended():
        nonlocal ended
        ended += listener.ping().count(b'"status":408')
        return ended >= taken
    harness.until(all_ended, "a sample for each of those requests")
    assert ended == taken
    other.send("SUB inbox.> 1\r\n", *[pub("timed", "", f"{reply}.{i}") for i in range(4000)])
    assert b" 503\r\n" not in other.ping()


# ---- at random

TOKENS = ("a", "b", "c")


def pattern(rng, wild=True):
    n = rng.randint(1, 3)
    tokens = [rng.choice(TOKENS) for _ in range(n)]
    if wild:
        tokens = [t if rng.random() < 0.6 else "*" for t in tokens]
        if rng.random() < 0.2:
            tokens[-1] = ">"
    return ".".join(tokens)


def random_config(rng):
    """A exports; B imports from it, C from both; no subject twice, as the real server wants it."""
    imports = {"B": [], "C": []}
    exports = {"A": [], "B": []}
    used = set()
    for by, owners in (("B", "A"), ("C", "AB")):
        for i in range(4):
            owner, theirs = rng.choice(owners), pattern(rng)
            kind = rng.choice(("stream", "service"))
            if (kind, owner, theirs) in used:
                continue
            used.add((kind, owner, theirs))
            exports[owner].append(f'{{{kind}: "{theirs}"}}')
            if kind == "stream":
                ours = f', prefix: "{rng.choice(TOKENS)}"' if rng.random() < 0.5 else ""
            else:
                ours = f', to: "{rng.choice(TOKENS)}.{theirs}"' if ">" not in theirs and "*" not in theirs else ""
            imports[by].append(f'{{{kind}: {{account: {owner}, subject: "{theirs}"}}{ours}}}')
    text = "accounts {\n"
    for account in "ABC":
        user = account.lower()
        text += (f'{account} {{ users: [{{user: {user}, password: {user}}}]\n'
                 f'exports: [{", ".join(exports.get(account, []))}]\nimports: [{", ".join(imports.get(account, []))}] }}\n')
    return text + "}\n"


@pytest.mark.parametrize("seed", range(4))
def test_random_imports(servers, seed):
    rng = random.Random(seed)
    names = ["a", "a2", "b", "b2", "c", "c2"]
    both = None
    while both is None:
        config = random_config(rng)
        try:
            both = servers(config, names)
        except AssertionError as refused:           # by both: a cycle, an overlap
            assert "nats-server" in str(refused)
    sid = 0
    for _ in range(80):
        name = rng.choice(names)
        if rng.random() < 0.4:
            sid += 1
            both.send(name, f"SUB {pattern(rng)} {sid}\r\n")
            continue
        reply = pattern(rng, False) if rng.random() < 0.3 else ""
        both.send(name, pub(pattern(rng, False), "x", reply)).same()
