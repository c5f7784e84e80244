"""What docs/architecture.md promises of a message, across workers as within one.

Every test runs with at least three workers; where it matters, the clients are
known to be on different ones."""
import json
import random
import threading

import pytest

import harness


def publish(subject, body=b"", reply=b""):
    return b"PUB " + subject + b" " + (reply + b" " if reply else b"") + str(len(body)).encode() + b"\r\n" + body + b"\r\n"


@pytest.fixture
def spread(server):
    """Four clients, of which at least three are on workers of their own, the last beside the first."""
    three = server.clients_on_different_workers(3)
    home = server.worker_of(three[0])
    beside = None
    spare = []
    while beside is None:
        c = server.client()
        if server.worker_of(c) == home:
            beside = c
        else:
            spare.append(c)
    yield [*three, beside]


def test_order_from_one_publisher_to_each_subscriber(spread):
    count = 20000
    subscribers = spread[1:]
    for s in subscribers:
        s.send("SUB seq.> 1\r\n")
        s.ping()

    def publisher():
        for base in range(0, count, 500):
            spread[0].send(b"".join(publish(b"seq.%d" % (i % 7), b"%d" % i) for i in range(base, base + 500)))

    thread = threading.Thread(target=publisher)
    thread.start()
    for s in subscribers:
        for i in range(count):
            assert s.message()[4] == b"%d" % i
    thread.join()


def test_order_holds_for_sizes_that_travel_in_pieces(spread):
    sizes = [0, 1, 100, 5000, 70000, 300000, 1048576, 3, 262144, 262143, 1048575, 0, 17]
    for s in spread[1:]:
        s.send("SUB big 1\r\n")
        s.ping()
    rng = random.Random(1)
    bodies = [rng.randbytes(n) for n in sizes]
    thread = threading.Thread(target=lambda: spread[0].send(b"".join(publish(b"big", b) for b in bodies)))
    thread.start()
    for s in spread[1:]:
        for body in bodies:
            assert s.message()[4] == body
    thread.join()


def test_a_subscription_is_seen_by_every_publisher_after_its_pong(spread):
    for i in range(300):
        subscriber = spread[i % 4]
        pattern = [f"now.{i}", f"now.*", f"now.{i}.>", f"*.{i}"][i % 4]
        subject = f"now.{i}.x" if pattern.endswith(">") else f"now.{i}"
        subscriber.send(f"SUB {pattern} {i}\r\n")
        assert subscriber.ping() == b""
        for publisher in spread:
            if publisher is not subscriber:
                publisher.send(publish(subject.encode(), b"x"))
                assert publisher.ping() == b""
        for _ in range(3):
            assert subscriber.message()[:2] == (subject, str(i))
        subscriber.send(f"UNSUB {i}\r\n")
        assert subscriber.ping() == b""


def test_nothing_comes_after_unsub_and_pong(spread):
    a, b = spread[0], spread[1]
    for i in range(100):
        b.send("SUB gone 1\r\n")
        b.ping()
        b.send("UNSUB 1\r\n")
        b.ping()
        a.send(publish(b"gone"))
        a.ping()
        assert b.quiet()


def test_a_queue_group_gets_each_message_once_and_evenly(spread):
    members = spread[1:]
    for i, m in enumerate(members):
        for k in range(i + 1):                          # 1 + 2 + 3 members
            m.send(f"SUB jobs.* workers {k}\r\n")
        m.send("SUB end 99\r\n")                        # a marker behind all that was before it
        m.ping()
    plain = spread[0]
    plain.send("SUB jobs.> all\r\n")
    plain.ping()
    count = 6000
    spread[0].send(b"".join(publish(b"jobs.x", b"%d" % i) for i in range(count)))
    for _ in range(count):
        assert plain.message()[1] == "all"
    got = []
    seen = set()
    spread[0].send(publish(b"end"))
    for m in members:
        n = 0
        while (message := m.message())[1] != "99":
            assert message[4] not in seen, "twice"
            seen.add(message[4])
            n += 1
        got.append(n)
    assert sum(got) == count
    for n, weight in zip(got, (1, 2, 3)):
        assert abs(n - count * weight / 6) < 250, got   # about five standard deviations


def test_two_groups_each_get_every_message(spread):
    spread[1].send("SUB t red 1\r\n")
    spread[2].send("SUB t blue 2\r\n")
    spread[3].send("SUB t red 3\r\nSUB t blue 4\r\n")
    for c in spread[1:]:
        c.send("SUB end 9\r\n")
        c.ping()
    spread[0].send(b"".join(publish(b"t", b"%d" % i) for i in range(500)) + publish(b"end"))
    seen = {"red": [], "blue": []}
    names = {"1": "red", "2": "blue", "3": "red", "4": "blue"}
    for c in spread[1:]:
        while (m := c.message())[1] != "9":
            seen[names[m[1]]].append(int(m[4]))
    assert sorted(seen["red"]) == sorted(seen["blue"]) == list(range(500))


def test_a_queue_message_whose_member_leaves_is_not_lost(spread):
    """Members come and go on other workers while messages flow: at least one member always
    stays, so each message is delivered exactly once."""
    steady, flicker, publisher = spread[1], spread[2], spread[0]
    steady.send("SUB f g 1\r\n")
    steady.ping()
    stop = threading.Event()

    def come_and_go():
        while not stop.is_set():
            flicker.send("SUB f g 7\r\nUNSUB 7\r\n")
            flicker.ping_seen = flicker.ping()
            got.extend(part for part in flicker.ping_seen.split(b"\r\n") if part.isdigit())

    got = []
    thread = threading.Thread(target=come_and_go)
    thread.start()
    count = 20000
    for base in range(0, count, 100):
        publisher.send(b"".join(publish(b"f", b"%d" % i) for i in range(base, base + 100)))
        publisher.ping()
    stop.set()
    thread.join()
    flicker.send("PING\r\n")
    got += [part for part in flicker.until(b"PONG\r\n").split(b"\r\n") if part.isdigit()]
    steady.send("SUB end 9\r\n")
    steady.ping_rest = steady.ping()
    got += [part for part in steady.ping_rest.split(b"\r\n") if part.isdigit()]
    publisher.send(publish(b"end"))
    while (m := steady.message())[1] != "9":
        got.append(m[4])
    numbers = sorted(map(int, got))
    assert len(numbers) == len(set(numbers)), "twice"
    assert numbers == list(range(count))


def test_no_responders_comes_at_once_and_only_then(spread):
    asker, other = spread[0], spread[1]
    asker.send("SUB inbox.* 1\r\n")
    asker.ping()
    asker.send(publish(b"nobody", b"", b"inbox.1"))
    m = asker.message()
    assert m[0] == "inbox.1" and m[3] == b"NATS/1.0 503\r\nNats-Subject: nobody\r\n\r\n" and m[4] == b""
    other.send("SUB somebody 5\r\n")
    other.ping()
    asker.send(publish(b"somebody", b"?", b"inbox.2"))
    assert other.message()[2] == "inbox.2"
    other.send(publish(b"inbox.2", b"!"))
    assert asker.message()[4] == b"!"
    other.send("UNSUB 5\r\n")
    other.ping()
    asker.send(publish(b"somebody", b"?", b"inbox.3"))
    assert asker.message()[3].startswith(b"NATS/1.0 503")


def test_no_responders_when_only_the_asker_without_echo_is_there(server):
    c = server.client(options={"echo": False})
    c.send("SUB svc 1\r\nSUB in 2\r\n")
    c.send(publish(b"svc", b"", b"in"))
    assert c.message()[3].startswith(b"NATS/1.0 503")


def test_request_and_reply_between_all_workers(spread):
    for i, responder in enumerate(spread):
        responder.send(f"SUB svc.{i} r\r\n")
        responder.ping()
    for i, responder in enumerate(spread):
        for j, asker in enumerate(spread):
            if i == j:
                continue
            asker.send(f"SUB in.{i}.{j} q{i}\r\n", publish(b"svc.%d" % i, b"x", b"in.%d.%d" % (i, j)))
            subject, sid, reply, _, body = responder.message()
            assert sid == "r" and body == b"x"
            responder.send(publish(reply.encode(), b"y"))
            assert asker.message()[1:] == (f"q{i}", None, b"", b"y")


def test_a_request_never_overtakes_the_subscription_to_its_reply(spread):
    asker, responder = spread[0], spread[1]
    responder.send("SUB svc 1\r\n")
    responder.ping()
    for i in range(500):
        asker.send(b"SUB r.%d 7\r\n" % i + publish(b"svc", b"", b"r.%d" % i))
        reply = responder.message()[2]
        responder.send(publish(reply.encode(), b"ok"))
        assert asker.message()[4] == b"ok"
        asker.send("UNSUB 7\r\n")


def test_echo_off_across_workers(server):
    quiet = server.client(options={"echo": False})
    quiet.send("SUB e 1\r\n")
    quiet.ping()
    others = server.clients_on_different_workers(3)
    for c in others:
        c.send("SUB e 1\r\n")
        c.ping()
    quiet.send(publish(b"e", b"mine"))
    for c in others:
        assert c.message()[4] == b"mine"
    others[0].send(publish(b"e", b"theirs"))
    assert quiet.message()[4] == b"theirs"


def test_headers_and_clients_without_them_across_workers(server):
    plain = server.client(options={"headers": False, "no_responders": False})
    plain.send("SUB h 1\r\n")
    plain.ping()
    clients = server.clients_on_different_workers(3)
    head = b"NATS/1.0\r\nA: b\r\n\r\n"
    for c in clients[1:]:
        c.send("SUB h 1\r\n")
        c.ping()
    clients[0].send(b"HPUB h %d %d\r\n" % (len(head), len(head) + 4) + head + b"body\r\n")
    for c in clients[1:]:
        assert c.message() == ("h", "1", None, head, b"body")
    assert plain.message() == ("h", "1", None, b"", b"body")


def test_auto_unsubscribe_counts_across_workers(spread):
    s = spread[1]
    s.send("SUB a 1\r\nUNSUB 1 5\r\n")
    s.ping()
    for p in (spread[0], spread[2], spread[3]):
        p.send(publish(b"a") * 3)
        p.ping()
    for _ in range(5):
        s.message()
    assert s.quiet()


def test_many_wildcards_against_a_plain_model(spread):
    rng = random.Random(7)
    tokens = ["a", "b", "c", "*"]

    def matches(pattern, subject):
        p, s = pattern.split("."), subject.split(".")
        for i, t in enumerate(p):
            if t == ">":
                return len(s) > i
            if i >= len(s) or t not in ("*", s[i]):
                return False
        return len(p) == len(s)

    held = {}
    for sid in range(400):
        who = rng.randrange(4)
        pattern = ".".join(rng.choice(tokens) for _ in range(rng.randint(1, 4)))
        if rng.random() < 0.2:
            pattern += ".>"
        spread[who].send(f"SUB {pattern} {sid}\r\n")
        held[sid] = (who, pattern)
    for c in spread:
        assert c.ping() == b""
    for n in range(200):
        subject = ".".join(rng.choice("abc") for _ in range(rng.randint(1, 5)))
        if n % 20 == 0:                                 # some leave
            for sid in rng.sample(sorted(held), 10):
                who, _ = held.pop(sid)
                spread[who].send(f"UNSUB {sid}\r\n")
            for c in spread:
                c.ping()
        spread[rng.randrange(4)].send(publish(subject.encode(), b"%d" % n))
        for who, c in enumerate(spread):
            expected = sorted(str(s) for s, (w, p) in held.items() if w == who and matches(p, subject))
            got = sorted(c.message()[1] for _ in expected)
            assert got == expected, subject
    for c in spread:
        assert c.quiet()


def test_connection_ids_are_unique_and_rise(server):
    ids = [server.client().info["client_id"] for _ in range(50)]
    assert ids == sorted(set(ids))


def test_info_has_what_clients_rely_on(server):
    info = server.client(connect=False).info
    assert info["version"] == "2.15.2" and info["proto"] == 1 and info["headers"] is True
    assert len(info["server_id"]) == 56 and info["server_id"].startswith("N")
    assert info["server_name"] == info["server_id"]
    assert info["max_payload"] == 1048576 and info["client_ip"] == "127.0.0.1"
    assert info["host"] == "127.0.0.1" and info["port"] == server.port
    c = server.client(options={"protocol": 1})
    c.send("PING\r\n")
    c.until(b"PONG\r\n")
    second = json.loads(c.line()[5:])
    assert second["connect_info"] is True and second["remote_account"] == "$G"
    assert second["client_id"] == c.info["client_id"]


def test_odd_bytes_in_subject_and_reply_cross_workers(server):
    """What the parser lets pass as a word must not look like a lie to another worker."""
    a, b, c = server.clients_on_different_workers(3)
    before = server.workers()
    a.send("SUB > 1\r\n")
    a.ping()
    for word in (b"x\ry", b"\r", b"x\0y", b"x\xffy", b"x\x0by"):
        b.send(publish(word, b"one"), publish(b"plain", b"two", word))
    b.send(publish(b"end"))
    lines = a.until(b"end 1 0\r\n")
    assert lines.count(b"\r\none\r\n") == 5 and lines.count(b"\r\ntwo\r\n") == 5
    assert b.quiet() and c.quiet()
    assert server.workers() == before
