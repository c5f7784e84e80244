"""auth dies again and again while clients log in and publish: who is in stays in, who
waits for a verdict gets it from the next one."""
import os
import random
import signal
import socket
import threading
import time

import harness
from test_kill import ROUNDS, Load

TIMEOUT = 20        # seconds, auth_timeout
CONFIG = f"""debug: true
restart_limit: 100000
auth_timeout: {TIMEOUT}
accounts {{
  A {{ users = [ {{user: a, password: secret}} ], limits {{ max_connections: 40 }} }}
  B {{ users = [ {{user: b, password: secret}} ] }}
}}
"""
A, B = ({"user": name, "pass": "secret"} for name in "ab")


def log_in_all(server, stop, failures, times):
    """Log in all the time, every third with a wrong password: each has its own verdict."""
    for i in range(1 << 30):
        if stop.is_set():
            return
        wrong = i % 3 == 0
        began = time.monotonic()
        try:
            with harness.Client(server.port, options=dict(B, **{"pass": "wrong"} if wrong else {}),
                                timeout=harness.LIMIT + TIMEOUT) as c:
                c.send("PING\r\n")
                line = c.line()
            expected = b"-ERR 'Authorization Violation'" if wrong else b"PONG"
            if line != expected:
                failures.append((line, expected))
            times.append(time.monotonic() - began)
        except OSError as e:
            failures.append(repr(e))


def auth_of(server):
    """The auth that is ready, by its process id."""
    return harness.until(lambda: next((pid for pid in server.children("auth")
                                       if f"auth 0 (process {pid}) is ready" in server.log()), None), "auth is ready")


def test_kill_auth_in_a_loop(start):
    server = start(config=CONFIG + "auth_failures: 0\n", workers=3)
    clients = server.clients_on_different_workers(3, options=A)
    for c in clients:
        assert c.ping() == b""
    load = Load(clients[0], clients[1], "steady")
    load.start()
    stop, failures, times = threading.Event(), [], []
    users = [threading.Thread(target=log_in_all, args=(server, stop, failures, times)) for _ in range(4)]
    for t in users:
        t.start()
    try:
        for i in range(ROUNDS):
            harness.until(lambda n=len(times): len(times) > n, "somebody logs in")
            os.kill(auth_of(server), random.choice((signal.SIGKILL, signal.SIGSEGV)))
            harness.until(lambda: server.log().count("auth 0 (process") > 0 and
                          server.log().count("signal 9 (Killed); it is replaced")
                          + server.log().count("signal 11 (Segmentation fault); it is replaced") > i, "it is replaced")
    finally:
        stop.set()
        load.stop = True
        for t in [*users, load]:
            t.join()
    assert not load.error and load.count > 0
    assert not failures
    assert max(times) < TIMEOUT
    assert clients[2].ping() == b""
    assert server.log().count("Client connection closed: Authentication Timeout") == 0
    assert server.stop() == 0


def test_limits_outlive_auth(start):
    """What is counted is counted again by the next one: those who are in, wherever they are."""
    server = start(config=CONFIG, workers=3)
    held = [server.client(options=A) for _ in range(40)]
    for c in held:
        assert c.ping() == b""
    for _ in range(5):
        os.kill(auth_of(server), signal.SIGKILL)
        assert b"maximum account active connections exceeded" in server.client(options=A).rest()
    held.pop().close()
    harness.until(lambda: logs_in(server, A), "there is room for one again")
    for c in held:
        assert c.ping() == b""


def logs_in(server, options):
    with server.client(options=options) as c:
        try:
            return c.ping() == b""
        except (EOFError, ConnectionError):
            return False


def test_a_stopped_auth_is_replaced(start):
    """Stopped rather than dead: after `watchdog` there is another, and who waited logs in."""
    server = start(config=CONFIG + "watchdog: \"500ms\"\n", workers=2)
    inside = server.client(options=A)
    assert inside.ping() == b""
    pid = auth_of(server)
    os.kill(pid, signal.SIGSTOP)
    with socket.create_connection(("127.0.0.1", server.port), timeout=harness.LIMIT):
        waiting = server.client(options=B)
        assert inside.ping() == b""
        assert waiting.ping() == b""
    assert not harness.alive(pid)
    assert server.stop() == 0


CHANGING = f"""debug: true
restart_limit: 100000
auth_timeout: {TIMEOUT}
auth_failures: 0
accounts {{
  A {{ users = [
    {{user: stays, password: secret, permissions {{ publish: "v.%(n)d", subscribe: "%(subscribe)s" }} }}
    {{user: changes, password: "secret%(n)d"}}
  ] }}
  B {{ users = [ {{user: b, password: secret, limits {{ max_connections: %(most)d }} }}%(moved)s ] }}
  %(odd)s
}}
"""


def changing(n):
    odd = n % 2 == 1
    return CHANGING % {"n": n, "subscribe": "odd.>" if odd else ">", "most": 2 + n % 2,
                       "moved": "" if odd else ", {user: moves, password: secret}",
                       "odd": "ODD { users = [ {user: moves, password: secret} ] }" if odd else ""}


def is_closed(client):
    return b"-ERR 'Authorization Violation'" in (rest := client.rest()) or rest == b""


def test_auth_dies_in_the_middle_of_a_reload(start):
    """Whenever it dies, what the file says is in force for all soon after: who may be here, and what they may."""
    server = start(config=changing(0), workers=2)
    stays = server.clients_on_different_workers(2, options={"user": "stays", "pass": "secret"})
    held = [server.client(options=B) for _ in range(2)]
    for c in held:
        assert c.ping() == b""
    for n in range(1, ROUNDS + 1):
        leaving = [server.client(options={"user": "changes", "pass": f"secret{n - 1}"}),
                   server.client(options={"user": "moves", "pass": "secret"})]
        for c in [*stays, *leaving]:
            assert c.ping() == b""
        pid = auth_of(server)
        before = server.log().count("Reloaded server configuration")
        with open(server.config_path) as f:
            text = f.read()
        with open(server.config_path, "w") as f:
            f.write(changing(n) + text[text.index("\nworkers:"):])
        server.process.send_signal(signal.SIGHUP)
        time.sleep(random.random() * 0.02)      # anywhere within the reload, of some 10 ms
        os.kill(pid, signal.SIGKILL)
        harness.until(lambda b=before: server.log().count("Reloaded server configuration") > b, "it is reloaded")
        for c in leaving:
            assert is_closed(c)
        for c in stays:
            harness.until(lambda c=c, n=n: may_publish(c, f"v.{n}"), "its permissions are the new ones")
            assert not may_publish(c, f"v.{n - 1}")
        for c in held:
            assert c.ping() == b""
        assert not logs_in(server, {"user": "changes", "pass": f"secret{n - 1}"})
        assert logs_in(server, {"user": "changes", "pass": f"secret{n}"})
        if n % 2 == 0:
            assert b"maximum user active connections exceeded" in server.client(options=B).rest()
    assert server.stop() == 0


def may_publish(client, subject):
    client.send(f"PUB {subject} 0\r\n\r\n")
    return b"Permissions Violation" not in client.ping()
