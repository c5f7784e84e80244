"""What a client may publish, subscribe to and be sent: over two workers, and while it changes.
The answers to each operation are in auth_cases.py."""
import json

import pytest

import harness
from test_auth import reload

CONFIG = """debug: true
authorization { users: [
    { user: all, password: p }
    { user: some, password: p, permissions: { %s } }
] }
"""


def users(server, *names):
    """Clients of these users; the first two on different workers."""
    first = server.clients_on_different_workers(2, options={"user": names[0], "pass": "p"})
    clients = [first[0]]
    other = server.worker_of(first[1])
    for name in names[1:]:
        while True:
            c = server.client(options={"user": name, "pass": "p"})
            if len(clients) > 1 or server.worker_of(c) == other:
                break
        clients.append(c)
    for c in clients:
        c.ping()
    return clients


def payloads(client, count):
    return [client.message()[4] for _ in range(count)]


def test_what_is_denied_is_not_delivered_from_another_worker(start):
    server = start(config=CONFIG % 'subscribe: { deny: ["foo.secret", "*.q g"] }', workers=2)
    publisher, reader = users(server, "all", "some")
    reader.send(b"SUB foo.* 1\r\n", b"SUB > g 2\r\n")
    reader.ping()
    publisher.send(b"PUB foo.secret 6\r\nsecret\r\nPUB x.q 6\r\nsecret\r\nPUB foo.open 4\r\nopen\r\n")
    publisher.ping()
    assert payloads(reader, 2) == [b"open", b"open"]
    assert reader.quiet()


def test_a_queue_message_goes_to_a_member_that_may_have_it(start):
    server = start(config=CONFIG % 'subscribe: { deny: "*.secret" }', workers=2)
    publisher, reader, other = users(server, "all", "some", "all")
    reader.send(b"SUB foo.* q 1\r\n")
    other.send(b"SUB foo.* q 1\r\n")
    reader.ping()
    other.ping()
    for n in range(50):
        publisher.send(b"PUB foo.secret 2\r\n%02d\r\n" % n)
    publisher.ping()
    assert sorted(payloads(other, 50)) == [b"%02d" % n for n in range(50)]
    assert reader.quiet()


@pytest.mark.parametrize("allowed,count", [("true", 1), ("{ max: 3 }", 3), ("{ max: -1 }", 20)])
def test_who_is_asked_may_answer(start, allowed, count):
    server = start(config=CONFIG % f'subscribe: "ask", allow_responses: {allowed}', workers=2)
    asks, answers = users(server, "all", "some")
    answers.send(b"SUB ask 1\r\n")
    answers.ping()
    asks.send(b"SUB in.* 1\r\n", b"PUB ask in.box 1\r\n?\r\n")
    assert answers.message()[2] == "in.box"
    answers.send(b"PUB in.box 1\r\n!\r\n" * 20)
    errors = answers.ping().count(b"-ERR 'Permissions Violation for Publish to \"in.box\"'\r\n")
    assert errors == 20 - count
    assert payloads(asks, count) == [b"!"] * count
    answers.send(b"PUB in.other 1\r\n!\r\n")
    assert b"in.other" in answers.ping()
    assert asks.quiet()


def test_an_answer_comes_too_late(start):
    server = start(config=CONFIG % 'subscribe: "ask", allow_responses: { max: -1, expires: "50ms" }', workers=2)
    asks, answers = users(server, "all", "some")
    answers.send(b"SUB ask 1\r\n")
    answers.ping()
    asks.send(b"SUB in.box 1\r\n", b"PUB ask in.box 1\r\n?\r\n")
    answers.message()

    def refused():
        answers.send(b"PUB in.box 1\r\n!\r\n")
        return b"-ERR 'Permissions Violation" in answers.ping()

    harness.until(refused, "the answer is refused")


def test_no_subscription_is_wider_than_what_is_allowed(start):
    """The real server takes `foo.>` under `foo.*`, and `>` under `*`."""
    server = start(config=CONFIG % 'subscribe: ["foo.*", "*"]', workers=2)
    publisher, reader = users(server, "all", "some")
    reader.send(b"SUB foo.> 1\r\n", b"SUB > 2\r\n", b"SUB *.* 3\r\n", b"SUB foo.* 4\r\n", b"SUB foo.*.* 5\r\n")
    refused = [line.split(b'"')[1] for line in reader.ping().split(b"\r\n")[:-1]]
    assert refused == [b"foo.>", b">", b"*.*", b"foo.*.*"]
    publisher.send(b"PUB foo.a 1\r\na\r\nPUB foo.a.b 1\r\nb\r\nPUB c.d 1\r\nc\r\n")
    publisher.ping()
    assert payloads(reader, 1) == [b"a"]
    assert reader.quiet()


def test_a_reload_changes_what_a_client_may(start):
    server = start(config=CONFIG % 'publish: "x"', workers=2)
    publisher, reader = users(server, "all", "some")
    reader.send(b"SUB foo 1\r\n", b"SUB foo.* g 2\r\n", b"SUB bar.* 3\r\n", b"SUB other 4\r\n")
    reader.ping()
    reload(server, CONFIG % 'publish: "y", subscribe: { deny: ["foo", "foo.* g", "bar.no"] }')
    told = harness.until(lambda: (reader.ping() or None), "it is told")
    assert sorted(told.split(b"\r\n")[:-1]) == [
        b"-ERR 'Permissions Violation for Subscription to \"foo\" (sid \"1\")'",
        b"-ERR 'Permissions Violation for Subscription to \"foo.*\" using queue \"g\" (sid \"2\")'"]
    server.wait_log(r'Removed sub "foo" \(sid "1"\) for User "some" - not authorized')
    publisher.send(b"PUB foo 0\r\n\r\nPUB foo.a 0\r\n\r\nPUB bar.no 2\r\nno\r\nPUB bar.yes 3\r\nyes\r\nPUB other 1\r\no\r\n")
    publisher.ping()
    assert payloads(reader, 2) == [b"yes", b"o"]
    reader.send(b"SUB foo 9\r\n", b"PUB x 0\r\n\r\n", b"PUB y 0\r\n\r\n")
    assert reader.ping() == (b"-ERR 'Permissions Violation for Subscription to \"foo\"'\r\n"
                             b"-ERR 'Permissions Violation for Publish to \"x\"'\r\n")
    reload(server, CONFIG % "")
    publisher.send(b"PUB bar.no 2\r\nno\r\n")
    assert payloads(reader, 1) == [b"no"]


def test_mapped_in_the_read_of_its_connect(start):
    """The real server misses the messages that come with CONNECT."""
    server = start(config='accounts { A { users: [ {user: a, password: p} ], mappings: { "in.*": "out.$1" } } }\n')
    with server.client(options={"user": "a", "pass": "p"}) as reader:
        reader.send(b"SUB out.* 1\r\n")
        reader.ping()
        with server.client(connect=False) as c:
            c.send(b'CONNECT {"verbose":false,"user":"a","pass":"p"}\r\nPUB in.x 1\r\nx\r\nPING\r\n')
            c.until(b"PONG\r\n")
        assert reader.message()[:2] == ("out.x", "1")


def test_a_second_connect_leaves_the_first_account(start):
    server = start(config="debug: true\naccounts { A { users: [ {user: a, password: p} ] }, B { users: [ {user: b, password: p} ] } }\n",
                   workers=2)
    with server.client(options={"user": "a", "pass": "p"}) as a, server.client(options={"user": "b", "pass": "p"}) as b, \
            server.client(options={"user": "a", "pass": "p"}) as moves:
        moves.send(b"SUB foo 1\r\n", b"".join(b"SUB s.%d x%d\r\n" % (n, n) for n in range(3000)))
        moves.ping()
        moves.send(b'CONNECT {"verbose":false,"user":"b","pass":"p"}\r\n', b"SUB foo 2\r\n")
        moves.ping()
        b.send(b"PUB foo 1\r\nb\r\n")
        a.send(b"PUB foo 1\r\na\r\n", b"PUB s.2999 1\r\na\r\n")
        a.ping()
        assert moves.message()[1:] == ("2", None, b"", b"b")
        assert moves.quiet()


# ---- who it is

INFO = """debug: true
server_name: srv
accounts {
    A { users: [
        { user: a, password: p, permissions: { publish: { allow: ["$SYS.REQ.USER.INFO", "x"], deny: "y" }
            subscribe: { allow: ["in.>", "s"], deny: "t" }, allow_responses: { max: 5, expires: "1m" } } }
        { user: free, password: p } ] }
    S { users: [ { user: s, password: p } ] }
}
system_account: S
"""


def user_info(server, name):
    with server.client(options={"user": name, "pass": "p"}) as c:
        c.send(b"SUB in.box 1\r\n", b"PUB $SYS.REQ.USER.INFO in.box 0\r\n\r\n")
        return c.message()[4].decode()


def shape(value):
    """Keys in their order, and the kind of each value."""
    if isinstance(value, dict):
        return [(k, shape(v)) for k, v in value.items() if k not in ("feature_flags",)]
    return type(value).__name__


def in_any_order(value):
    """Subjects are in the file's order with us, in any with the real server."""
    if isinstance(value, dict):
        return {k: in_any_order(v) for k, v in value.items()}
    return sorted(value) if isinstance(value, list) else value


@pytest.mark.parametrize("name", ["a", "free", "s"])
def test_user_info_is_the_real_servers(start, name):
    ours = json.loads(user_info(start(config=INFO, workers=2), name))
    assert ours["server"]["name"] == "srv"
    exe = harness.real_server()
    if exe is None:
        pytest.skip("no nats-server to compare with")
    theirs = json.loads(user_info(start(config=INFO, exe=exe), name))
    assert in_any_order(ours["data"]) == in_any_order(theirs["data"])
    if theirs["server"]["ver"] == ours["server"]["ver"]:
        assert shape(ours) == shape(theirs)


def test_user_info_needs_permission(start):
    server = start(config=CONFIG % 'publish: "x"', workers=2)
    with server.client(options={"user": "some", "pass": "p"}) as c:
        c.send(b"SUB in.box 1\r\n", b"PUB $SYS.REQ.USER.INFO in.box 0\r\n\r\n")
        assert c.ping() == b"-ERR 'Permissions Violation for Publish to \"$SYS.REQ.USER.INFO\"'\r\n"
