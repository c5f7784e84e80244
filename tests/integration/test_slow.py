"""Slow consumers: one that is stopped is cut alone, one that is merely slower is not cut."""
import json
import re
import socket
import threading
import time
import urllib.request

import pytest

import harness

BODY = b"x" * 1000
PUB = b"PUB s 1000\r\n" + BODY + b"\r\n"
FRAME = len(b"MSG s 1 1000\r\n" + BODY + b"\r\n")


def subscribed(client):
    client.send("SUB s 1\r\n")
    client.ping()
    return client


def read_frames(client, frames, chunk=1 << 18, pause=0):
    """Read that many frames of PUB's size; bytes, not parsed."""
    left = frames * FRAME - len(client.buffer)
    client.buffer = b""
    while left > 0:
        data = client.sock.recv(min(chunk, left))
        if not data:
            return False
        left -= len(data)
        if pause:
            time.sleep(pause)
    return True


@pytest.mark.parametrize("workers", [1, 3])
def test_a_stopped_subscriber_is_cut_alone(start, workers):
    server = start(config="debug: true\nmax_pending: 4MB\nwrite_deadline: \"5s\"\n", workers=workers)
    if workers == 1:
        stopped, good, publisher = (server.client() for _ in range(3))
    else:
        stopped, good, publisher = server.clients_on_different_workers(3)
    stopped = subscribed(stopped)
    good = subscribed(good)
    count = 40000
    done = []
    reader = threading.Thread(target=lambda: done.append(read_frames(good, count)))
    reader.start()
    for _ in range(count // 100):
        publisher.send(PUB * 100)
    assert publisher.ping() == b""
    reader.join(harness.LIMIT)
    assert done == [True], "the other subscriber gets everything"
    cid = stopped.info["client_id"]
    server.wait_log(rf"cid:{cid} - .*Slow Consumer Detected: MaxPending of 4194304 Exceeded")
    assert f"cid:{good.info['client_id']} - Slow" not in server.log()
    rest = stopped.rest()
    assert b"-ERR" not in rest
    line = [x for x in server.log().splitlines() if "Slow Consumer" in x][0]
    assert "127.0.0.1:" in line and '"s"' in line
    pending = int(re.search(r"(\d+) bytes pending", line)[1])
    assert 4194304 < pending < 4194304 + 2 * FRAME, "at the first message too many"


def test_the_write_deadline_cuts_a_stopped_subscriber(start):
    server = start(config="debug: true\nwrite_deadline: \"300ms\"\n")
    stopped, publisher = server.clients_on_different_workers(2)
    subscribed(stopped)
    for _ in range(100):
        publisher.send(PUB * 100)
    publisher.ping()
    cid = stopped.info["client_id"]
    server.wait_log(rf"cid:{cid} - .*Slow Consumer Detected: WriteDeadline of 300ms exceeded with \d+ chunks of \d+ total bytes")


@pytest.mark.parametrize("workers", [1, 3])
def test_one_that_is_alive_but_slow_is_not_cut(start, workers):
    """A reader of about 20 MB/s behind a publisher at full speed, with a small max_pending."""
    server = start(config="debug: true\nmax_pending: 8MB\n", workers=workers)
    if workers == 1:
        slow, publisher = server.client(), server.client()
    else:
        slow, publisher = server.clients_on_different_workers(2)
    slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    subscribed(slow)
    count = 60000
    done = []
    reader = threading.Thread(target=lambda: done.append(read_frames(slow, count, 1 << 15, 0.001)))
    reader.start()
    for _ in range(count // 100):
        publisher.send(PUB * 100)
    assert publisher.ping() == b""
    reader.join(harness.LIMIT * 2)
    assert done == [True]
    assert "Slow Consumer" not in server.log()


def stalled(server):
    with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port()}/varz", timeout=harness.LIMIT) as r:
        return json.load(r)["stalled_clients"]


def test_a_slow_publisher_of_others_is_not_paced(start):
    """Only those who feed the slow one wait for it."""
    server = start(config="debug: true\nmax_pending: 8MB\n", args=["-m", "-1"])
    slow, feeder, other = server.clients_on_different_workers(3)
    subscribed(slow)
    friend = server.client()
    others = []
    while server.worker_of(friend) != server.worker_of(slow):   # one lane for all that is told
        others.append(friend)
        friend = server.client()
    friend.send("SUB t 1\r\n")
    friend.ping()
    stop = threading.Event()
    took = []

    def feed():
        try:
            while not stop.is_set():
                feeder.send(PUB * 50)
        except OSError:
            pass

    def drain():
        try:
            while not stop.is_set():
                slow.sock.recv(1 << 14)
                time.sleep(0.001)
        except OSError:
            pass

    threads = [threading.Thread(target=feed), threading.Thread(target=drain)]
    for t in threads:
        t.start()
    try:
        harness.until(lambda: stalled(server) > 0, "the feeder is paced")
        for _ in range(200):
            began = time.monotonic()
            other.send(b"PUB t 20000\r\n" + b"x" * 20000 + b"\r\n")   # more than one may send between pauses
            friend.message()
            took.append(time.monotonic() - began)
    finally:
        stop.set()
        slow.close()
        feeder.close()
        for t in threads:
            t.join()
    assert sorted(took)[20] < 0.005, "one that is paced waits 10 ms before each"


def test_no_fast_producer_stall_drops_for_the_slow_one_only(start):
    server = start(config="debug: true\nmax_pending: 2MB\nno_fast_producer_stall: true\n")
    slow, good, publisher = server.clients_on_different_workers(3)
    slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    subscribed(slow)
    subscribed(good)
    count = 20000
    done, sips = [], []
    stop = threading.Event()

    def sip():
        while not stop.is_set():
            try:
                sips.append(len(slow.sock.recv(4096)))
            except OSError:
                return
            time.sleep(0.002)

    threads = [threading.Thread(target=lambda: done.append(read_frames(good, count))), threading.Thread(target=sip)]
    for t in threads:
        t.start()
    for _ in range(count // 100):
        publisher.send(PUB * 100)
    publisher.ping()
    threads[0].join(harness.LIMIT)
    stop.set()
    threads[1].join()
    assert done == [True]
    assert "Slow Consumer" not in server.log()
    slow.send("PING\r\n")
    got, tail = sum(sips), b""
    while b"PONG\r\n" not in tail:
        data = slow.sock.recv(1 << 18)
        assert data, "it is cut"
        got += len(data)
        tail = tail[-5:] + data
    assert got < count * FRAME // 2, "most was dropped"
