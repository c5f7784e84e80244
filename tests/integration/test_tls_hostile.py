"""TLS from those who mean harm, and a signer that dies: others are served meanwhile."""
import os
import random
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

import harness
from tls_client import Secure, context, first_only, read_info

DEBUG = "debug: true\n"


def hello(version=None):
    """A ClientHello, as Python's client sends it."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    if version:
        c.minimum_version = c.maximum_version = version
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        c.wrap_bio(received, sent, server_hostname="localhost").do_handshake()
    except ssl.SSLWantReadError:
        pass
    return sent.read()


def connect(server):
    """Connected, and INFO is read."""
    sock = socket.create_connection(("127.0.0.1", server.port), timeout=harness.LIMIT)
    assert read_info(sock).startswith(b"INFO ")
    return sock


def ended(sock):
    try:
        while sock.recv(65536):
            pass
    except ConnectionResetError:
        pass
    sock.close()
    return True


def resident(pids):
    """Kilobytes of memory that these processes have of their own."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            total += sum(int(n) for n in re.findall(r"^Private_\w+:\s+(\d+)", f.read(), re.M))
    return total


def test_garbage(start, tls):
    server = start(config=DEBUG + tls.block("timeout: 0.5", "verify: true", f'ca_file: "{tls.ca}"'))
    workers = server.workers()
    whole, chance = hello(), random.Random(1)
    with Secure(server, tls, certificate="client") as c:
        kinds = [b"\x16" + chance.randbytes(300) for _ in range(20)]
        kinds += [b"\x16\x03\x01" + n.to_bytes(2, "big") + chance.randbytes(n) for n in (0, 1, 4, 5, 512, 16384, 20000, 65535)]
        for _ in range(60):
            bent = bytearray(whole)
            for _ in range(chance.randint(1, 8)):
                bent[chance.randrange(len(bent))] = chance.randrange(256)
            kinds.append(bytes(bent))
        kinds += [whole[:n] for n in range(0, len(whole), 29)]
        socks = []
        for data in kinds:
            sock = connect(server)
            try:
                sock.sendall(data)
            except OSError:
                pass
            socks.append(sock)
        assert c.quiet()
        assert all(ended(sock) for sock in socks)
        assert c.quiet()
    assert server.workers() == workers


def test_garbage_after_the_handshake(start, tls):
    server = start(config=DEBUG + tls.block())
    workers = server.workers()
    with Secure(server, tls) as other:
        for data in (b"\x17\x03\x03\x00\x20" + os.urandom(32), b"PUB a 0\r\n\r\n", b"\x16\x03\x03\x00\x04\x01\x00\x00\x00",
                     b"\x17\x03\x03\xff\xff", b"\x15\x03\x03\x00\x02\x02\x00"):
            with Secure(server, tls) as c:
                c.ping()
                os.write(c.sock.fileno(), data)
                try:
                    while c.sock.recv(1000):
                        pass
                except (ssl.SSLError, OSError):
                    pass
        assert other.quiet()
    assert server.workers() == workers


def test_hundreds_of_half_handshakes(start, tls):
    """They have their time and little memory, and whoever is in is served meanwhile."""
    count = 400
    server = start(config=DEBUG + tls.block("timeout: 8"), workers=2)
    with Secure(server, tls) as c:
        assert c.quiet()
        before = resident(server.workers())
        socks = [connect(server) for _ in range(count)]
        data = hello()
        began, longest = time.monotonic(), 0
        for n, sock in enumerate(socks):
            sock.sendall(data[:-1] if n % 2 else data)      # half of them wait for our first flight, and say no more
            if n % 20 == 0:
                asked = time.monotonic()
                assert c.quiet()
                longest = max(longest, time.monotonic() - asked)
        each = (resident(server.workers()) - before) / count
        print(f"{each:.0f} KB for each half handshake, PONG within {longest * 1000:.0f} ms")
        assert each < (1000 if harness.SANITIZED else 160)
        assert longest < harness.LIMIT / 10
        with Secure(server, tls) as late:                   # nobody has to wait for them
            assert late.quiet() and time.monotonic() - began < 8
        assert all(ended(sock) for sock in socks)
        assert c.quiet()


def test_silent_ones_cost_next_to_nothing(start, tls):
    count = 1000
    server = start(config=tls.block("timeout: 60"), workers=1)
    before = resident(server.workers())
    socks = [connect(server) for _ in range(count)]
    each = (resident(server.workers()) - before) / count
    print(f"{each:.1f} KB for each that has not begun")
    for sock in socks:
        sock.close()
    assert each < (60 if harness.SANITIZED else 4)


def test_renegotiation_is_refused(start, tls):
    server = first_only(start(config=DEBUG + tls.block("handshake_first: true"), wait=False))
    client = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-tls1_2", "-CAfile", tls.ca],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        out = b""
        while b"INFO {" not in out:
            out += os.read(client.stdout.fileno(), 65536)
        out, _ = client.communicate(b"R\n", timeout=harness.LIMIT)
    finally:
        client.kill()
        client.wait()
    assert b"RENEGOTIATING" in out and re.search(rb"no renegotiation|handshake failure|unexpected message", out), out
    with Secure(server, tls, first=True) as c:
        assert c.quiet()


def test_a_huge_certificate_is_not_read_to_its_end(start, tls, tmp_path):
    names = [f"DNS:{'x' * 40}{n}.example.com" for n in range(3000)]
    tls.issue("client-huge", "/CN=huge", names)
    server = start(config=DEBUG + tls.block("verify: true", f'ca_file: "{tls.ca}"'))
    with pytest.raises((ssl.SSLError, OSError, EOFError)):
        with Secure(server, tls, certificate="client-huge", version="1.2") as c:
            c.ping()
    server.wait_log("TLS handshake error: .*excessive message size")
    with Secure(server, tls, certificate="client") as c:
        assert c.quiet()


def test_more_names_than_a_login_takes(start, tls):
    names = [f"DNS:{'x' * 40}{n}.example.com" for n in range(500)]
    tls.issue("client-named", "/CN=named", names)
    users = 'authorization { users: [ { user: "%s" } ] }\n' % names[0][4:]
    server = start(config=DEBUG + users + tls.block("verify_and_map: true", f'ca_file: "{tls.ca}"'))
    with Secure(server, tls, certificate="client-named") as c:
        c.send(b"PING\r\n")
        assert c.rest() == b"-ERR 'Authorization Violation'\r\n"


def test_the_signer_dies_in_a_storm_of_handshakes(start, tls):
    """Handshakes are delayed, none fails; who is in notices nothing."""
    server = start(config=DEBUG + tls.block("timeout: 30", server="server-p256"))
    stop, done, failed = threading.Event(), [], []

    def storm():
        while not stop.is_set():
            try:
                with Secure(server, tls) as c:
                    assert c.quiet()
                done.append(1)
            except Exception as e:      # whatever it is, it is not to be
                failed.append(repr(e))

    threads = [threading.Thread(target=storm) for _ in range(6)]
    with Secure(server, tls) as c:
        for t in threads:
            t.start()
        for _ in range(5):
            seen = len(done)
            harness.until(lambda n=seen: len(done) > n + 5 or failed, "handshakes go on")
            before = server.children("signer")
            os.kill(next(iter(before)), signal.SIGKILL)
            harness.until(lambda b=before: server.children("signer") and not set(server.children("signer")) & set(b), "a successor")
            assert c.quiet()
        seen = len(done)
        harness.until(lambda: len(done) > seen + 5 or failed, "handshakes go on")
        stop.set()
        for t in threads:
            t.join()
        assert c.quiet()
    assert failed == []


def test_while_the_signer_is_stopped_others_are_served(start, tls):
    server = start(config=DEBUG + tls.block("timeout: 30", server="server-p256"))
    signer = next(iter(server.children("signer")))
    with Secure(server, tls) as c, Secure(server, tls) as other:
        c.subscribe("s")
        os.kill(signer, signal.SIGSTOP)
        try:
            result = []
            late = threading.Thread(target=lambda: result.append(Secure(server, tls)))
            late.start()
            for n in range(50):
                other.publish("s", str(n).encode())
                assert c.message()[4] == str(n).encode()
        finally:
            os.kill(signer, signal.SIGCONT)
        late.join()
        assert result[0].quiet()
        result[0].close()
