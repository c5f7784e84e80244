"""Limits and timers: the real server's texts, and nobody else notices."""
import os
import re
import resource
import socket
import time

import pytest

import harness


def test_max_connections(start):
    server = start(config="max_connections: 3\n")
    kept = [server.client() for _ in range(3)]
    for _ in range(3):
        refused = server.client(connect=False)
        assert refused.info["max_payload"] == 1048576
        assert refused.rest() == b"-ERR 'maximum connections exceeded'\r\n"
    for c in kept:
        assert c.quiet()
    kept.pop().close()

    def room():
        c = server.client()
        try:
            return c.ping() == b"" and c
        except EOFError:
            return None
    harness.until(room, "there is room again")


def test_max_connections_zero_refuses_all(start):
    server = start(config="max_connections: 0\n")
    assert server.client(connect=False).rest() == b"-ERR 'maximum connections exceeded'\r\n"


def test_limit_for_each_source_address(start):
    server = start(config="max_connections_per_address: 2\n")
    a = [server.client(), server.client()]
    for c in a:
        c.ping()
    assert b"-ERR" in server.client(connect=False).rest()
    s = socket.socket()
    s.bind(("127.0.0.2", 0))
    s.connect(("127.0.0.1", server.port))
    assert s.recv(5) == b"INFO "


def test_a_stale_connection_is_closed_with_its_error(start):
    server = start(config='ping_interval: "200ms"\nping_max: 2\n')
    c = server.client()
    assert c.rest() == b"PING\r\nPING\r\n-ERR 'Stale Connection'\r\n"


def test_a_client_that_answers_pings_stays(start):
    server = start(config='ping_interval: "100ms"\nping_max: 1\n')
    c = server.client()
    for _ in range(10):
        assert c.line() == b"PING"
        c.send("PONG\r\n")


def test_a_bad_client_costs_only_itself(server):
    good = server.clients_on_different_workers(3)
    for c in good:
        c.send("SUB ok 1\r\n")
        c.ping()
    for bad in (b"\0\0\0\0", b"GET / HTTP/1.1\r\n\r\n", b"PUB foo 99999999999\r\n", b"CONNECT {{{\r\n", b"SUB\r\n",
                b"PUB " + b"x" * 70000, os.urandom(5000), b"HPUB a 1 1\r\nx\r\n", b"+" * 10000, b"PUB a 3\r\nabcdef\r\n"):
        for _ in range(5):
            c = server.client(connect=False)
            try:
                c.send(bad)
            except ConnectionError:
                pass
            c.rest()
    for c in good:
        assert c.quiet()
    good[0].send("PUB ok 2\r\nhi\r\n")
    for c in good:
        assert c.message()[4] == b"hi"
    assert len(server.workers()) == 3


def test_the_error_reaches_a_client_that_still_sends(server):
    """Closing with unread input would reset the connection and, but for the loopback, lose the -ERR."""
    for _ in range(20):
        c = server.client()
        c.send(b"PUB a 2000000\r\n" + b"x" * 2000000)
        while c.receive():
            pass
        assert b"Maximum Payload Violation" in c.buffer


def test_descriptors_exhausted_old_clients_go_on(start):
    server = start(config="debug: true\n")
    keep = server.clients_on_different_workers(3)
    limit = len(os.listdir(f"/proc/{server.pid}/fd")) + 3
    soft, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (limit, hard))
    waiting = []
    for _ in range(40):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", server.port))
        waiting.append(s)
    keep[0].send("SUB a 1\r\n")
    keep[0].ping()
    keep[1].send("PUB a 2\r\nhi\r\n")
    assert keep[0].message()[4] == b"hi"
    server.wait_log("cannot accept connections")
    end = time.monotonic() + 0.5                    # of the second for which they may wait
    while time.monotonic() < end:
        assert keep[1].ping() == b""
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (soft, hard))
    for s in waiting:
        s.settimeout(harness.LIMIT)
        assert s.recv(5) == b"INFO ", "every attempt is served in the end"


def test_exhaustion_that_comes_and_goes_is_said_once(start):
    server = start(config="debug: true\n")
    waiting = []
    limit = len(os.listdir(f"/proc/{server.pid}/fd")) + 1       # for one connection at a time
    soft, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (limit, hard))
    for _ in range(40):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", server.port))
        waiting.append(s)
    for s in waiting:
        s.settimeout(harness.LIMIT)
        assert s.recv(5) == b"INFO "
    assert server.log().count("cannot accept connections") == 1
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (soft, hard))

    def again():
        server.client().close()
        return "connections are accepted again" in server.log()
    harness.until(again, "it is over")
    for _ in range(3):
        server.worker_of(server.client())           # so much is in the log by now
    assert server.log().count("connections are accepted again") == 1


def test_ten_thousand_subscriptions_on_one_connection_and_back(server):
    c = server.client()
    c.send("".join(f"SUB s.{i} {i}\r\n" for i in range(10000)))
    assert c.ping() == b""
    other = server.client()
    for i in (0, 4999, 9999):
        other.send(f"PUB s.{i} 0\r\n\r\n")
        assert c.message()[1] == str(i)
    c.send("".join(f"UNSUB {i}\r\n" for i in range(10000)))
    assert c.ping() == b""
    other.send("PUB s.5 0\r\n\r\n")
    other.ping()
    assert c.quiet()
