"""HTTP monitoring as far as launchers and nats-top need it."""
import ctypes
import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import pytest

import harness


@pytest.fixture
def monitored(start):
    return start(config="debug: true\n", args=["-m", "-1"])


def get(server, path, method="GET"):
    request = urllib.request.Request(f"http://127.0.0.1:{server.http_port()}{path}", method=method)
    with urllib.request.urlopen(request, timeout=harness.LIMIT) as r:
        return r.status, r.headers, r.read()


def varz(server):
    return json.loads(get(server, "/varz")[2])


def test_healthz(monitored):
    status, headers, body = get(monitored, "/healthz")
    assert status == 200 and json.loads(body) == {"status": "ok"}
    assert headers["Content-Type"].startswith("application/json")


def test_varz_counts_over_all_workers(monitored):
    clients = monitored.clients_on_different_workers(3)
    for c in clients:
        c.send("SUB v 1\r\n")
        c.ping()
    for c in clients:
        c.send("PUB v 3\r\nabc\r\n")
    for c in clients:
        for _ in range(3):
            c.message()
    v = harness.until(lambda: (x := varz(monitored))["out_msgs"] == 9 and x, "counters are there")
    assert v["in_msgs"] == 3 and v["in_bytes"] == 9 and v["out_bytes"] == 27
    assert v["subscriptions"] == 3 and v["connections"] == 3
    assert v["total_connections"] >= 3 and v["version"] == "2.15.2"
    assert v["server_id"] == clients[0].info["server_id"] and v["port"] == monitored.port


def test_varz_has_the_real_servers_fields_and_types(monitored, tmp_path):
    real = harness.real_server()
    if not real:
        pytest.skip("no nats-server to compare with")
    folder = tmp_path / "real"
    folder.mkdir()
    with harness.Server(folder, exe=real, args=["-m", "-1"]) as other:
        theirs = varz(other)
    ours = varz(monitored)
    unknown = {"git_commit", "system_account", "feature_flags", "disk_io_wait_stats", "gomemlimit", "xkey"}
    missing = {k for k in theirs if k not in ours} - unknown
    assert not missing, missing
    for key in ours.keys() & theirs.keys():
        number = (int, float)
        a, b = ours[key], theirs[key]
        assert type(a) is type(b) or isinstance(a, number) and isinstance(b, number), key


def test_counters_survive_a_worker(monitored):
    c = monitored.client()
    c.send("PUB a 3\r\nabc\r\n" * 10)
    c.ping()
    harness.until(lambda: varz(monitored)["in_msgs"] == 10, "counted")
    import os
    import signal
    victim = monitored.worker_of(c)
    os.kill(victim, signal.SIGKILL)
    harness.until(lambda: len(monitored.workers()) == 3 and victim not in monitored.workers(), "replaced")
    harness.until(lambda: (v := varz(monitored))["in_msgs"] == 10 and v["connections"] == 0, "departed counters are kept")
    assert varz(monitored)["bulkhead"]["replaced"] == 1


@pytest.mark.parametrize("path,status", [("/nothing", 404), ("/varz/../x", 404), ("/" + "a" * 300, 404)])
def test_unknown_paths(monitored, path, status):
    with pytest.raises(urllib.error.HTTPError) as e:
        get(monitored, path)
    assert e.value.code == status


def test_methods_other_than_get(monitored):
    with pytest.raises(urllib.error.HTTPError) as e:
        get(monitored, "/varz", "DELETE")
    assert e.value.code == 405


def test_garbage_on_the_monitoring_port_costs_only_its_sender(monitored):
    before = monitored.children("monitor")
    for data in (b"\0" * 1000, b"GET / HTTP/9.9\r\n\r\n", b"GET " + b"a" * 100000, b"POST /varz HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"):
        s = socket.create_connection(("127.0.0.1", monitored.http_port()))
        s.settimeout(harness.LIMIT)
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            while s.recv(65536):
                pass
        except OSError:
            pass
        s.close()
    assert get(monitored, "/healthz")[0] == 200
    assert monitored.children("monitor") == before


def dribble(sock, begun):
    """A byte of a request now and then until we are cut off; seconds since `begun`."""
    sock.settimeout(0.5)
    for byte in b"GET /varz HTTP/1.1\r\nX: " + b"x" * 100:
        try:
            sock.sendall(bytes([byte]))
            if not sock.recv(65536):
                break
        except socket.timeout:
            continue
        except ConnectionError:
            break
    else:
        pytest.fail("never cut off")
    return time.monotonic() - begun


def answered(sock):
    """One whole answer on a connection that stays open."""
    sock.settimeout(harness.LIMIT)
    sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    got = b""
    while b'"status"' not in got:
        piece = sock.recv(65536)
        assert piece, got
        got += piece


def test_a_request_that_does_not_end_is_cut_off(monitored):
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", monitored.http_port())) as sock:
        assert 9 < dribble(sock, begun) < 20


def test_the_time_for_a_request_begins_with_the_last_answer(monitored):
    with socket.create_connection(("127.0.0.1", monitored.http_port())) as sock:
        for _ in range(3):
            answered(sock)
        begun = time.monotonic()
        assert 9 < dribble(sock, begun) < 20


def test_places_come_free_again(monitored):
    """512 that never finish their request keep others out for ten seconds, not for ever."""
    begun = time.monotonic()
    held = [socket.create_connection(("127.0.0.1", monitored.http_port())) for _ in range(512)]

    def served():
        for sock in held:
            try:
                sock.send(b"G")
            except ConnectionError:
                pass
        try:
            return get(monitored, "/healthz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    assert not served()
    harness.until(served, "there are places again", limit=30)
    assert time.monotonic() - begun > 9
    for sock in held:
        sock.close()


def test_monitor_and_system_are_replaced(monitored):
    for name in ("monitor", "system"):
        (victim,) = monitored.children(name)
        os.kill(victim, signal.SIGKILL)
        harness.until(lambda: (k := monitored.children(name)) and victim not in k, f"{name} is replaced")

        def answers():
            try:
                return get(monitored, "/varz")[0] == 200
            except OSError:
                return False
        harness.until(answers, "varz answers again")


def sockets(pid):
    """Its descriptors that are sockets, by their inode."""
    links = {n: os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")}
    return {link: int(n) for n, link in links.items() if link.startswith("socket:")}


def shut(pid, fd):
    """Shut a socket of another process down, which it sees as its peer's end."""
    with os.fdopen(os.pidfd_open(pid), "rb", buffering=0) as process:
        copy = ctypes.CDLL(None, use_errno=True).syscall(438, process.fileno(), fd, 0)  # pidfd_getfd
    if copy == -1:
        pytest.skip(f"pidfd_getfd: {os.strerror(ctypes.get_errno())}")
    with socket.socket(fileno=copy) as s:
        s.shutdown(socket.SHUT_RDWR)


def test_monitor_and_system_meet_again(monitored):
    """Their channel breaks while both live: they are given another, and nobody hears of it."""
    (monitor,), (system,) = monitored.children("monitor"), monitored.children("system")
    try:
        before = sockets(monitor)
    except PermissionError:
        pytest.skip("only root looks into the processes of the server")
    assert get(monitored, "/varz")[0] == 200
    os.kill(system, signal.SIGKILL)
    assert get(monitored, "/varz")[0] == 200    # waits for the new one
    (channel,) = harness.until(lambda: len(new := sockets(monitor).keys() - before.keys()) == 1 and new,
                               "it has one new channel")
    (system,) = monitored.children("system")
    shut(monitor, sockets(monitor)[channel])
    for _ in range(3):
        assert get(monitored, "/varz")[0] == 200
    assert list(monitored.children("monitor")) == [monitor] and list(monitored.children("system")) == [system]
