"""Files of certificates and keys: what is wrong with them ends a start and no running server; what is
replaced on disk comes into force by itself, whole or not at all, and nobody loses a connection."""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import urllib.request

import pytest

import harness
from tls_client import Secure

REAL = harness.real_server()
PAIR = "error parsing X509 certificate/key pair"
LOOK = 'tls_file_check: "100ms"\n'
AGAIN = "Reloaded certificates and keys: their files have changed"
KEPT = "Failed to reload changed certificates and keys, those before stay in force"


def block(*more, certificate, key):
    return "tls { %s }\n" % "; ".join([f'cert_file: "{certificate}"', f'key_file: "{key}"', *more])


def der(files, name):
    with open(files[f"{name}.pem"]) as f:
        return ssl.PEM_cert_to_DER_cert(f.read())


def shown(server, files):
    """The certificate that a new client gets to see."""
    with Secure(server, files) as c:
        c.ping()
        return c.sock.getpeercert(True)


class Live:
    """A pair of files that a server uses and the test replaces."""

    def __init__(self, tmp_path, files, name="server-p256"):
        self.files = files
        self.certificate, self.key = str(tmp_path / "live.pem"), str(tmp_path / "live-key.pem")
        self.put(name)

    def put(self, name, key=None):
        """Each under its name in one step, as most tools do it."""
        for source, path in ((f"{name}.pem", self.certificate), (f"{key or name}-key.pem", self.key)):
            shutil.copy(self.files[source], path + ".new")
            os.rename(path + ".new", path)

    def block(self, *more):
        return block(*more, certificate=self.certificate, key=self.key)


@pytest.fixture
def live(tmp_path, tls):
    return Live(tmp_path, tls)


def count(server, text):
    return server.log().count(text)


# ---- at the start

def wrong(name, expected, certificate="server-p256.pem", key="server-p256-key.pem", more=()):
    return pytest.param(certificate, key, more, expected, id=name)


WRONG = [
    wrong("no certificate", rf"{PAIR}: open \S*none.pem: no such file or directory", certificate="none.pem"),
    wrong("no key", rf"{PAIR}: open \S*none.pem: no such file or directory", key="none.pem"),
    wrong("another's key", rf"{PAIR}: tls: private key( type)? does not match public key.*server-rsa-key.pem",
          key="server-rsa-key.pem"),
    wrong("switched", rf"{PAIR}: \S*server-p256-key.pem: failed to find certificate PEM data in certificate input, "
          "but did find a private key", "server-p256-key.pem", "server-p256.pem"),
    wrong("a certificate as key", rf"{PAIR}: .*server-p256.pem", key="server-p256.pem"),
    wrong("garbage", rf"{PAIR}: \S*garbage.pem: failed to find any PEM data", certificate="garbage.pem"),
    wrong("garbage as key", rf"{PAIR}: .*garbage.pem", key="garbage.pem"),
    wrong("empty", rf"{PAIR}: \S*empty.pem: failed to find any PEM data", certificate="empty.pem"),
    wrong("empty key", rf"{PAIR}: read \S*empty.pem: it is empty", key="empty.pem"),
    wrong("a folder", rf"{PAIR}: read /: is a directory", certificate="/"),
    wrong("a device", rf"{PAIR}: read /dev/zero: not a regular file", key="/dev/zero"),
    wrong("locked, no password", rf"{PAIR}: .*server-p256-key-locked.pem", key="server-p256-key-locked.pem"),
    wrong("no authority", r"open \S*none.pem: no such file or directory", more=['ca_file: "{none.pem}"']),
    wrong("no authority in it", r"\S*server-p256-key.pem: failed to parse root ca certificate",
          more=['ca_file: "{server-p256-key.pem}"']),
]
OURS = [
    wrong("wrong password", rf"{PAIR}: .*server-p256-key-locked.pem", key="server-p256-key-locked.pem",
          more=['key_password_file: "{password-wrong}"']),
    wrong("no password file", r"error reading the password of a key: open \S*none: no such file or directory",
          key="server-p256-key-locked.pem", more=['key_password_file: "{none}"']),
    wrong("no list in it", r"\S*garbage.pem: no list of revoked certificates \(X509 CRL\) in it",
          more=['ca_file: "{ca.pem}"', "verify: true", 'crl_file: "{garbage.pem}"']),
]


def fill(tls, certificate, key, more):
    more = [re.sub(r"\{(.*)\}", lambda m: tls[m.group(1)], text) for text in more]
    return block(*more, certificate=tls[certificate], key=tls[key])


def verdict(exe, path):
    done = subprocess.run([exe, "-c", str(path), "-t"], capture_output=True, text=True, timeout=harness.LIMIT)
    return done.returncode, done.stderr


@pytest.mark.parametrize("certificate, key, more, expected", WRONG + OURS)
def test_what_is_wrong_ends_the_start(start, tmp_path, tls, certificate, key, more, expected):
    config = "debug: true\n" + fill(tls, certificate, key, more)
    server = start(config=config, wait=False)
    assert server.process.wait(harness.LIMIT) == 1
    said = server.process.stdout.read().decode() + server.log()
    assert re.search(expected, said), said
    assert "Listening for client" not in said and "started worker" not in said     # nobody starts before the keys are good
    status, said = verdict(harness.BULKHEAD, server.config_path)
    assert status == 1 and re.search("^bulkhead: .*" + expected, said), said


@pytest.mark.skipif(REAL is None, reason="no nats-server to compare with")
@pytest.mark.parametrize("certificate, key, more, expected", [w for w in WRONG if w.id != "a device"])
def test_the_real_server_refuses_the_same(tmp_path, tls, certificate, key, more, expected):
    path = tmp_path / "real.conf"
    path.write_text(fill(tls, certificate, key, more))
    assert verdict(REAL, path)[0] == 1


@pytest.mark.parametrize("key", ["server-rsa-key-pkcs1.pem", "server-rsa-key-locked.pem", "server-rsa-key-old.pem"])
def test_forms_of_keys(start, tls, key):
    more = [] if "pkcs1" in key else [f'key_password_file: "{tls.password}"']
    server = start(config=block(*more, certificate=tls["server-rsa.pem"], key=tls[key]))
    assert shown(server, tls) == der(tls, "server-rsa")
    assert verdict(harness.BULKHEAD, server.config_path)[0] == 0


def test_certificate_and_key_in_one_file(start, tls):
    server = start(config=block(certificate=tls["server-both.pem"], key=tls["server-both.pem"]))
    assert shown(server, tls) == der(tls, "server-p256")


def test_the_log_says_what_listens(start, tls):
    server = start(config=tls.block())
    assert re.search(r"Listening for client connections on .*\n.*TLS required for client connections\n(.*\n)*.*Server is ready",
                     server.log())
    server = start(config=tls.block("handshake_first: 100ms") + "allow_non_tls: true\n")
    assert "TLS available for client connections" in server.log()


# ---- changes on disk

def test_a_new_pair_comes_into_force_by_itself(start, tls, live):
    server = start(config=LOOK + live.block())
    with Secure(server, tls) as sub, Secure(server, tls) as pub:
        sub.subscribe("a")
        for name in ("server-rsa", "server-ed25519", "server-p256"):
            before = count(server, AGAIN)
            live.put(name)
            harness.until(lambda: count(server, AGAIN) > before, "the new pair is in force")
            assert shown(server, tls) == der(tls, name)
            pub.publish("a", name.encode())
            assert sub.message()[-1] == name.encode()
    assert KEPT not in server.log() and "[ERR]" not in server.log()


def test_files_that_are_as_they_were_are_left_alone(start, tls, live):
    server = start(config=LOOK + "debug: true\n" + live.block())
    for n in (1, 2, 3):
        os.utime(live.certificate)
        harness.until(lambda: count(server, AGAIN) == n, "one reload for each change")
    server.kill(signal.SIGHUP)
    server.wait_log("Reloaded server configuration")
    assert count(server, AGAIN) == 3


def test_a_bad_pair_leaves_the_old_one_in_force(start, tls, live):
    server = start(config=LOOK + live.block())
    with Secure(server, tls) as c:
        live.put("server-rsa", key="server-ed25519")
        server.wait_log(KEPT + r": signer 0: .*private key( type)? does not match")
        assert shown(server, tls) == der(tls, "server-p256")
        with open(live.certificate, "w") as f:
            f.write("garbage")
        server.wait_log(KEPT + r": \S*server.conf:\d+:\d+: .*live.pem: failed to find any PEM data")
        os.unlink(live.key)
        shutil.copy(tls["server-rsa.pem"], live.certificate)
        server.wait_log(KEPT + r": .*open \S*live-key.pem: no such file")
        assert shown(server, tls) == der(tls, "server-p256")
        failed = count(server, KEPT)
        live.put("server-rsa")
        harness.until(lambda: AGAIN in server.log(), "the good one is in force")
        assert shown(server, tls) == der(tls, "server-rsa")
        assert count(server, KEPT) == failed
        c.ping()


def test_folders_of_kubernetes(start, tmp_path, tls):
    """tls.crt -> ..data/tls.crt, ..data -> a folder; an update is another folder and one rename of ..data."""
    for folder, name in (("..one", "server-p256"), ("..two", "server-rsa")):
        os.mkdir(tmp_path / folder)
        shutil.copy(tls[f"{name}.pem"], tmp_path / folder / "tls.crt")
        shutil.copy(tls[f"{name}-key.pem"], tmp_path / folder / "tls.key")
    os.symlink("..one", tmp_path / "..data")
    for name in ("tls.crt", "tls.key"):
        os.symlink(f"..data/{name}", tmp_path / name)
    server = start(config=LOOK + block(certificate=tmp_path / "tls.crt", key=tmp_path / "tls.key"))
    assert shown(server, tls) == der(tls, "server-p256")
    os.symlink("..two", tmp_path / "..new")
    os.rename(tmp_path / "..new", tmp_path / "..data")
    server.wait_log(AGAIN)
    assert shown(server, tls) == der(tls, "server-rsa")
    assert KEPT not in server.log()


def test_hang_up_reads_files_again(start, tls, live):
    server = start(config="tls_file_check: 0s\n" + live.block())
    with Secure(server, tls) as c:
        live.put("server-rsa", key="server-p256")
        server.kill(signal.SIGHUP)
        server.wait_log("Failed to reload server configuration: .*private key( type)? does not match")
        assert shown(server, tls) == der(tls, "server-p256")
        live.put("server-rsa")
        server.kill(signal.SIGHUP)
        server.wait_log(r"Reloaded: tls = enabled\n.*Reloaded server configuration")
        assert shown(server, tls) == der(tls, "server-rsa")
        c.ping()
    assert AGAIN not in server.log()


# ---- a signer that dies

def signer(server):
    pids = list(server.children("signer"))
    return pids[0] if pids else None


def kill_signer(server):
    pid = signer(server)
    os.kill(pid, signal.SIGKILL)
    harness.until(lambda: signer(server) not in (None, pid), "another signer")


def verdict_without_signer(path):
    """What -t says if its signer is killed. None: that was too late."""
    server = subprocess.Popen([harness.BULKHEAD, "-c", str(path), "-t"], stderr=subprocess.PIPE, text=True)
    while server.poll() is None:
        for pid in (p for p, name in harness.children(server.pid).items() if "signer" in name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    text = server.communicate()[1]
    return text if server.returncode != 0 else None


def test_a_test_that_ends_its_signer_says_so_in_one_sentence(tls, tmp_path):
    path = tmp_path / "tested.conf"
    path.write_text(block(certificate=tls["server-p256.pem"], key=tls["server-p256-key.pem"]))
    text = harness.until(lambda: verdict_without_signer(path), "the signer is killed in time")
    assert text == "bulkhead: signer was ended by signal 9 (Killed)\n"


def test_its_successor_has_the_same_keys_whatever_the_files_are(start, tls, live):
    server = start(config=LOOK + live.block())
    with Secure(server, tls) as c:
        os.unlink(live.key)
        with open(live.certificate, "w") as f:
            f.write("garbage")
        server.wait_log(KEPT)
        for _ in range(3):
            kill_signer(server)
            assert shown(server, tls) == der(tls, "server-p256")
        c.ping()
        live.put("server-rsa")
        server.wait_log(AGAIN)
        kill_signer(server)
        assert shown(server, tls) == der(tls, "server-rsa")


def test_it_dies_while_files_change(start, tls, live):
    """Whatever falls together: in the end the last pair is in force, and all are asked the right key."""
    server = start(config=LOOK + live.block())
    names = ["server-rsa", "server-ed25519", "server-p384", "server-p256"] * 2
    for name in names:
        live.put(name)
        pid = signer(server)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        harness.until(lambda: shown(server, tls) == der(tls, name), f"{name} is in force")


def test_a_signer_that_dies_with_each_reload_does_not_let_a_bad_pair_in(start, tls, live):
    server = start(config=LOOK + live.block())
    for n in range(1, 4):
        live.put("server-rsa", key="server-ed25519" if n % 2 else "server-p256")
        os.kill(signer(server), signal.SIGKILL)
        harness.until(lambda: count(server, KEPT) >= n, "it is refused")
    assert shown(server, tls) == der(tls, "server-p256")
    assert "cannot load its keys" not in server.log() and AGAIN not in server.log()


def test_a_reload_waits_for_a_signer_that_can_say_that_keys_are_good(start, tls, live):
    server = start(config="tls_file_check: 0s\ndebug: true\n" + live.block())
    live.put("server-rsa", key="server-ed25519")
    pid = signer(server)
    os.kill(pid, signal.SIGSTOP)
    asked = count(server, "config 0 (")
    server.kill(signal.SIGHUP)
    harness.until(lambda: len(re.findall(r"config 0 .* exited with status 0", server.log())) == 2 and
                  count(server, "config 0 (") > asked, "the file is read, and the others are asked")
    os.kill(pid, signal.SIGKILL)
    server.wait_log("Failed to reload server configuration: signer did not come up")
    assert shown(server, tls) == der(tls, "server-p256")


def test_a_pair_that_nobody_could_judge_is_read_again(start, tls, live):
    """The signer is what fails, not the pair: it has not been tried in vain."""
    server = start(config=LOOK + live.block())
    os.kill(signer(server), signal.SIGSTOP)
    live.put("server-rsa")
    server.wait_log(KEPT + ": signer did not come up")
    server.wait_log(AGAIN)
    assert shown(server, tls) == der(tls, "server-rsa")


def test_a_pair_is_not_to_blame_for_other_settings(start, tls, live):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = start(config='tls_file_check: "1s"\n' + live.block())
        with open(server.config_path, "a") as f:
            f.write(f'\nhttp: "127.0.0.1:{taken.getsockname()[1]}"\n')
        live.put("server-rsa")
        server.kill(signal.SIGHUP)
        server.wait_log("Failed to reload server configuration: .*address already in use")
        server.wait_log(AGAIN)
        assert shown(server, tls) == der(tls, "server-rsa")


# ---- turned on, turned off

def rewritten(server, before, after):
    with open(server.config_path) as f:
        text = f.read()
    assert before in text
    with open(server.config_path, "w") as f:
        f.write(text.replace(before, after))
    server.kill(signal.SIGHUP)


def test_the_signer_comes_and_goes_with_tls(start, tls):
    server = start(config="# tls\n")
    assert signer(server) is None
    rewritten(server, "# tls\n", tls.block(server="server-rsa").replace("server-rsa-key", "server-p256-key"))
    server.wait_log("Failed to reload .*private key( type)? does not match")
    harness.until(lambda: signer(server) is None, "it ends again")
    with server.client() as c:
        assert "tls_required" not in c.info
        rewritten(server, "server-p256-key", "server-rsa-key")
        server.wait_log("Reloaded: tls = enabled")
        assert shown(server, tls) == der(tls, "server-rsa")
        assert signer(server) is not None
        c.ping()
    rewritten(server, "tls {", "#tls {")
    server.wait_log("Reloaded: tls = disabled")
    harness.until(lambda: signer(server) is None, "without TLS it ends")
    with server.client() as c:
        assert "tls_required" not in c.info


# ---- how many, and what is shown

def test_connections_above_the_rate_are_closed_and_counted(start, tls):
    server = start(config=tls.block("connection_rate_limit: 5"))
    closed = 0
    for _ in range(30):
        with socket.create_connection(("127.0.0.1", server.port), timeout=harness.LIMIT) as sock:
            try:
                closed += sock.recv(5) == b""
            except ConnectionResetError:
                closed += 1
    assert closed >= 15
    server.wait_log(r"\[WRN\] Rejected \d+ connections due to TLS rate limiting")
    harness.until(lambda: sum(map(int, re.findall(r"Rejected (\d+) connections due to TLS", server.log()))) >= closed,
                  "all of them are counted")


def varz(server):
    with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port()}/varz", timeout=harness.LIMIT) as answer:
        return {k: v for k, v in json.load(answer).items() if k.startswith("tls_")}


@pytest.mark.skipif(REAL is None, reason="no nats-server to compare with")
@pytest.mark.parametrize("config", ["", "plain", "timeout: 5", "verify: true", "allow"])
def test_varz_shows_tls_as_the_real_server(start, tls, config):
    text = "http: 127.0.0.1:-1\n"
    if config == "allow":
        text += "allow_non_tls: true\n"
    if config:
        text += tls.block(f'ca_file: "{tls.ca}"', *([config] if ":" in config else []))
    ours, theirs = (varz(up(start, text, exe)) for exe in (harness.BULKHEAD, REAL))
    assert list(ours.items()) == list(theirs.items())


def up(start, text, exe):
    server = start(config=text, exe=exe, wait=False)
    harness.until(lambda: server.process.poll() is not None or server.ports(), "ports file")
    return server


def test_varz_follows_the_files(start, tls, live):
    server = start(config="http: 127.0.0.1:-1\n" + LOOK + live.block())
    assert varz(server)["tls_cert_not_after"] == "2055-01-01T00:00:00Z"
    live.put("server-expired")
    server.wait_log(AGAIN)
    assert varz(server)["tls_cert_not_after"] == "2021-01-01T00:00:00Z"
