"""Who comes in, with real processes: the answers of the real server, and what its clients cannot see."""
import base64
import json
import os
import re
import signal
import subprocess

import pytest

import harness
from auth_cases import CASES
from test_wire import converse, frames

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden", "auth.json")) as f:
    GOLDEN = json.load(f)["answers"]

CONFIGS = list(CASES)
# The real server looks at no signature of the key that no_auth_user names; we do.
STRICTER = {(5, "an nkey without a signature"), (5, "an nkey with a wrong signature")}
# A message for several subscriptions of one connection: no order is promised.
ANY_ORDER = {"what overlaps a denied one is not delivered"}
VIOLATION = b"-ERR 'Authorization Violation'\r\n"


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    running = {}

    def get(config):
        if config not in running:
            running[config] = harness.Server(tmp_path_factory.mktemp("auth"), config="auth_failures: 0\n" + config,
                                             workers=2).start()
        return running[config]

    yield get
    for server in running.values():
        server.__exit__()


def check(servers, number, name, pieces):
    config = CONFIGS[number]
    golden = GOLDEN[config][name]
    answer = converse(servers(config), CASES[config][name], golden, pieces)
    if name in ANY_ORDER:
        answer, golden = frames(answer), {"answer": frames(golden["answer"])}
    assert answer == golden["answer"]


ALL = [(n, name) for n, config in enumerate(CONFIGS) for name in CASES[config] if (n, name) not in STRICTER]


@pytest.mark.parametrize("number,name", sorted(STRICTER))
def test_the_key_of_no_auth_user_needs_its_signature(servers, number, name):
    with servers(CONFIGS[number]).client(connect=False) as c:
        c.send(*CASES[CONFIGS[number]][name])
        assert c.rest() == VIOLATION


@pytest.mark.parametrize("number,name", ALL)
def test_answer_is_the_real_servers(servers, number, name):
    check(servers, number, name, 1 << 20)


@pytest.mark.parametrize("number,name", [(n, name) for n, name in ALL if n in (1, 2, 4) or n > 7])
def test_answer_is_the_same_byte_by_byte(servers, number, name):
    check(servers, number, name, 1)


def answer(server, **options):
    """Everything that comes after CONNECT and PING until PONG or the end."""
    with server.client(options=options) as c:
        try:
            return c.ping()
        except (EOFError, ConnectionError):
            return b"refused"


USERS = "authorization { users: [ {user: a, password: secret1}, {user: b, password: secret2} ] }\n"


def test_the_log_says_who_and_never_a_secret(start):
    server = start(config="debug: true\ntrace: true\n" + USERS)
    with server.client(options={"user": "a", "pass": "secret1", "name": "n", "lang": "py", "version": "1"}) as c:
        c.ping()
    answer(server, user="a", **{"pass": "wrongsecret"})
    answer(server, auth_token="tokensecret")
    answer(server, nkey="UAKEY", sig="sigsecret")
    with server.client(connect=False) as c:
        c.send(b"PING\r\n")
        c.rest()
    server.wait_log(r'cid:\d+ - "v1:py:n" - "\$G/user:a" - Client connection closed: Client Closed')
    server.wait_log(r'cid:\d+ - authentication error - User "a"\n')
    server.wait_log(r'cid:\d+ - authentication error - Token "\[REDACTED\]"\n')
    server.wait_log(r'cid:\d+ - authentication error - Nkey "UAKEY"\n')
    server.wait_log(r"cid:\d+ - authentication error\n")
    server.wait_log(r"Client connection closed: Authentication Failure")
    assert "secret" not in server.log()


def test_who_says_nothing_in_time_is_closed(start):
    server = start(config=USERS.replace("{ users", "{ timeout: 0.2, users"))
    with server.client(connect=False) as c:
        assert c.rest() == b"-ERR 'Authentication Timeout'\r\n"
    with server.client(options={"user": "a", "pass": "secret1"}) as c:
        c.ping()
        with server.client(connect=False) as other:
            other.rest()
        assert c.ping() == b""


# ---- nkeys

def crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1
        crc &= 0xffff
    return crc


class Nkey:
    """An Ed25519 key of a user; openssl(1) does what has to do with the key."""

    def __init__(self, folder, seed):
        self.path = os.path.join(str(folder), f"{seed[0]}.der")
        self.folder = str(folder)
        with open(self.path, "wb") as f:
            f.write(bytes.fromhex("302e020100300506032b657004220420") + seed)
        public = subprocess.run(["openssl", "pkey", "-inform", "DER", "-in", self.path, "-pubout", "-outform", "DER"],
                                check=True, capture_output=True).stdout[-32:]
        raw = bytes([20 << 3]) + public
        self.public = base64.b32encode(raw + crc16(raw).to_bytes(2, "little")).decode().rstrip("=")

    def sign(self, text):
        path = os.path.join(self.folder, "text")
        with open(path, "wb") as f:
            f.write(text.encode())
        return subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-keyform", "DER", "-inkey", self.path, "-in", path],
                              check=True, capture_output=True).stdout


@pytest.fixture
def nkeys(start, tmp_path):
    keys = [Nkey(tmp_path, bytes([n]) * 32) for n in (1, 2)]
    server = start(workers=2, config="debug: true\naccounts { A { users: [ {nkey: %s}, {user: u, password: p} ] } }\n"
                   % keys[0].public)
    return server, keys


def offer(client, key, signature):
    client.send(b"CONNECT ", json.dumps({"verbose": False, "protocol": 1, "nkey": key, "sig": signature}), b"\r\nPING\r\n")
    return client.until(b"\r\n")


def test_nkey(nkeys):
    server, (key, other) = nkeys
    for encode in (base64.urlsafe_b64encode, base64.b64encode):
        with server.client(connect=False) as c:
            text = encode(key.sign(c.info["nonce"])).decode()
            if encode is base64.urlsafe_b64encode:
                text = text.rstrip("=")
            assert offer(c, key.public, text) == b"PONG"
            assert json.loads(c.until(b"\r\n")[5:])["remote_account"] == "A"
    server.wait_log(rf'"A/nkey:{key.public}" - Client connection closed')


def test_a_signature_is_of_its_own_connection(nkeys):
    server, (key, other) = nkeys
    with server.client(connect=False) as first, server.client(connect=False) as second:
        assert first.info["nonce"] != second.info["nonce"]
        right = base64.urlsafe_b64encode(key.sign(first.info["nonce"])).decode().rstrip("=")
        assert offer(second, key.public, right) + b"\r\n" == VIOLATION
        assert offer(first, key.public, right) == b"PONG"
    with server.client(connect=False) as c:
        foreign = base64.urlsafe_b64encode(other.sign(c.info["nonce"])).decode().rstrip("=")
        assert offer(c, other.public, foreign) + b"\r\n" == VIOLATION
    with server.client(connect=False) as c:
        foreign = base64.urlsafe_b64encode(other.sign(c.info["nonce"])).decode().rstrip("=")
        assert offer(c, key.public, foreign) + b"\r\n" == VIOLATION


def test_many_nonces_are_different(nkeys):
    server, _ = nkeys
    clients = [server.client(connect=False) for _ in range(600)]
    nonces = {c.info["nonce"] for c in clients}
    assert len(nonces) == 600
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{15}", n) for n in nonces)
    for c in clients:
        c.close()


# ---- auth goes away, comes and ends

def test_who_is_in_stays_when_auth_dies(start):
    server = start(config="debug: true\n" + USERS.replace("{ users", "{ timeout: 30, users"), workers=2)
    inside = server.clients_on_different_workers(2, options={"user": "a", "pass": "secret1"})
    for c in inside:
        c.send(b"SUB foo 1\r\n")
        c.ping()
    for _ in range(3):
        (pid,) = server.children("auth")
        os.kill(pid, signal.SIGKILL)
        assert answer(server, user="a", **{"pass": "secret1"}) == b""
        assert answer(server, user="a", **{"pass": "secret2"}) != b""
        inside[0].send(b"PUB foo 2\r\nhi\r\n")
        for c in inside:
            assert c.message()[4] == b"hi"


def test_who_asked_is_answered_by_the_next_auth(start):
    server = start(config=USERS.replace("{ users", "{ timeout: 30, users"), workers=2)
    (pid,) = server.children("auth")
    os.kill(pid, signal.SIGSTOP)
    clients = [server.client(options={"user": "a", "pass": "secret1"}) for _ in range(10)]
    for c in clients:
        c.send(b"PING\r\n")
    os.kill(pid, signal.SIGKILL)
    for c in clients:
        c.until(b"PONG\r\n")
        c.close()


def reload(server, config):
    with open(server.config_path) as f:
        text = f.read()
    before = server.log().count("Reloaded server configuration")
    with open(server.config_path, "w") as f:
        f.write(config + text[text.index("\nworkers:"):])
    server.process.send_signal(signal.SIGHUP)
    harness.until(lambda: server.log().count("Reloaded server configuration") > before, "reload")


def test_a_reload_changes_who_may_be_here(start):
    server = start(config="debug: true\n" + USERS, workers=2)
    a = server.client(options={"user": "a", "pass": "secret1"})
    b = server.client(options={"user": "b", "pass": "secret2"})
    for c in (a, b):
        c.ping()
    reload(server, "debug: true\n" + USERS.replace("secret2", "secret3"))
    assert b.rest().endswith(VIOLATION)
    assert a.ping() == b""
    assert answer(server, user="b", **{"pass": "secret2"}) != b""
    assert answer(server, user="b", **{"pass": "secret3"}) == b""
    reload(server, "debug: true\n")             # nobody is asked: they come again, as nobody
    assert a.rest() == b""
    assert answer(server, name="n") == b""
    with server.client() as c:
        assert not c.info.get("auth_required")
        c.ping()
        reload(server, "debug: true\n" + USERS)
        assert c.rest().endswith(VIOLATION)
    with server.client(connect=False) as c:
        assert c.info["auth_required"]
    assert answer(server, user="a", **{"pass": "secret1"}) == b""


def test_an_account_that_goes_takes_its_clients_along(start):
    two = "accounts { A { users: [ {user: a, password: a} ] }, B { users: [ {user: b, password: b} ] } }\n"
    server = start(config="debug: true\n" + two, workers=2)
    a, b = (server.client(options={"user": u, "pass": u}) for u in "ab")
    for c in (a, b):
        c.send(b"SUB foo 1\r\n")
        c.ping()
    reload(server, "debug: true\n" + two.split(", B")[0] + " }\n")
    b.rest()
    a.send(b"PUB foo 0\r\n\r\n")
    assert a.message()[0] == "foo"
    assert answer(server, user="b", **{"pass": "b"}) != b""


def test_accounts_see_nothing_of_each_other(start):
    server = start(config="debug: true\naccounts { A { users: [ {user: a, password: a} ] }\n"
                   "B { users: [ {user: b, password: b} ] } }\n", workers=2)
    a = server.clients_on_different_workers(2, options={"user": "a", "pass": "a"})
    b = server.clients_on_different_workers(2, options={"user": "b", "pass": "b"})
    for c in a + b:
        c.send(b"SUB > 1\r\n")
        c.ping()
    a[0].send(b"PUB foo 1\r\na\r\n")
    b[1].send(b"PUB foo 1\r\nb\r\n")
    for c in a:
        assert c.message()[4] == b"a"
    for c in b:
        assert c.message()[4] == b"b"
    for c in a + b:
        assert c.quiet()
