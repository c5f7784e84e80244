"""HTTP monitoring as far as launchers and nats-top need it."""
import json
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
    unknown = {"tls_timeout", "git_commit", "system_account", "feature_flags", "disk_io_wait_stats", "gomemlimit", "xkey"}
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


def test_monitor_and_system_are_replaced(monitored):
    import os
    import signal
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
