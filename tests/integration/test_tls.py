"""Clients over TLS, with real processes; where it can be compared, beside the real server with the same files."""
import asyncio
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import time
import urllib.request

import pytest

import harness
from tls_client import Secure, context, first_only, read_info
from tls_files import openssl

REAL = harness.real_server()
beside_the_real_server = pytest.mark.skipif(REAL is None, reason="no nats-server to compare with")
DEBUG = "debug: true\n"
KEYS = ["server-rsa", "server-p256", "server-p384", "server-ed25519"]


def both(start, config, up=None):
    """The same configuration at ours and at the real server; up: what to do until it is ready."""
    servers = []
    for exe in (harness.BULKHEAD, REAL):
        server = start(config=config, exe=exe, wait=up is None)
        servers.append(up(server) if up else server)
    return servers


def plain_info(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=harness.LIMIT) as sock:
        line = read_info(sock)
    return about_tls(json.loads(line[5:])) if line else None


def about_tls(info):
    return {key: value for key, value in info.items() if "tls" in key}


def info_after_connect(client):
    """The INFO that follows the first PONG."""
    client.send(b'CONNECT {"verbose":false,"protocol":1}\r\nPING\r\n')
    line = client.line()
    while not line.startswith(b"INFO "):
        assert line.split(b" ")[0] in (b"PONG", b"PING"), line
        line = client.line()
    return about_tls(json.loads(line[5:]))


def refused(server, files, **wishes):
    """True if such a client is not let in: the handshake or the first read after it fails."""
    try:
        with Secure(server, files, **wishes) as c:
            c.ping()
    except (ssl.SSLError, OSError, EOFError):
        return True
    return False


def hang_up(server, text="Reloaded server configuration"):
    before = server.log().count(text)
    server.kill(signal.SIGHUP)
    harness.until(lambda: server.log().count(text) > before, f"log says {text} once more")


def rewrite(server, config):
    """Another configuration, and a reload."""
    with open(server.config_path) as f:
        tail = re.search(r"\nworkers: .*\Z", f.read(), re.S)
    with open(server.config_path, "w") as f:
        f.write(config + (tail[0] if tail else ""))
    hang_up(server)


# ---- what INFO says

MODES = [("", ""), ("allow_non_tls: true\n", ""), ("", "verify: true; ca_file: CA"),
         ("allow_non_tls: true\n", "verify: true; ca_file: CA")]
FIRST_MODES = [("", "handshake_first: true"), ("allow_non_tls: true\n", "handshake_first: true"),
               ("", "handshake_first: auto"), ("allow_non_tls: true\n", "handshake_first: auto"),
               ("allow_non_tls: true\n", "handshake_first: 200ms")]


@beside_the_real_server
@pytest.mark.parametrize("top,more", MODES)
def test_info_is_the_real_servers(start, tls, top, more):
    said = []
    for server in both(start, top + tls.block(*filter(None, [more.replace("CA", f'"{tls.ca}"')]))):
        with Secure(server, tls, connect=False, certificate="client") as c:
            said.append((plain_info(server), about_tls(c.info), info_after_connect(c)))
            if top:
                with harness.Client(server.port, connect=False) as plain:
                    said[-1] += (info_after_connect(plain),)
    assert said[0] == said[1]


@beside_the_real_server
@pytest.mark.parametrize("top,more", FIRST_MODES)
def test_info_of_handshake_first_is_the_real_servers(start, tls, top, more):
    said = []
    for server in both(start, top + tls.block(more, "timeout: 1"), up=first_only):
        with Secure(server, tls, connect=False, first=True) as c:
            said.append((about_tls(c.info), info_after_connect(c), plain_info(server)))
    assert said[0] == said[1]


# ---- handshakes

@pytest.fixture(scope="module")
def servers(tls, tmp_path_factory):
    """One server for each key, shared by the tests that change nothing."""
    running = {}

    def get(key):
        if key not in running:
            config = DEBUG + "max_payload: 8MB\nmax_pending: 64MB\n" + tls.block(server=key)
            running[key] = harness.Server(tmp_path_factory.mktemp("tls-server"), config).start()
        return running[key]

    yield get
    for server in running.values():
        server.__exit__()


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("key", KEYS)
def test_messages_pass_with_each_key_and_version(servers, tls, key, version):
    server = servers(key)
    with Secure(server, tls, version=version) as sub, Secure(server, tls, version=version) as pub:
        assert sub.sock.version() == "TLSv" + version
        sub.subscribe("a.>")
        for n in range(100):
            pub.publish(f"a.{n}", str(n).encode() * n)
        for n in range(100):
            assert sub.message() == (f"a.{n}", "1", None, b"", str(n).encode() * n)


def test_the_log_has_the_real_servers_words(servers, tls):
    server = servers("server-p256")
    with Secure(server, tls, version="1.3") as c:
        c.ping()
        prefix = rf"cid:{c.info['client_id']} - "
        cipher = c.sock.cipher()[0]
    log = server.wait_log(prefix + "Client connection closed") and server.log()
    words = re.findall(prefix + "(.*)", log)
    assert words[:4] == ["Client connection created", "Starting TLS client connection handshake",
                         "TLS handshake complete", f"TLS version 1.3, cipher suite {cipher}"]


@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize("top,first", [("", "true"), ("", "10s"), ("allow_non_tls: true\n", "true"), ("allow_non_tls: true\n", "10s")])
def test_openssls_client(start, tls, top, first, verify):
    more = ["verify: true", f'ca_file: "{tls.ca}"'] if verify else []
    shown = ["-cert", tls["client.pem"], "-key", tls["client-key.pem"]] if verify else []
    server = first_only(start(config=top + tls.block(f"handshake_first: {first}", *more), wait=False))
    for version in ("-tls1_2", "-tls1_3"):
        with subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", version, "-CAfile", tls.ca,
                               "-verify_return_error", "-servername", "localhost", "-quiet", "-no_ign_eof", *shown],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
            client.stdin.write(b'CONNECT {"verbose":false}\r\nPING\r\n')
            client.stdin.flush()
            assert client.stdout.readline().startswith(b"INFO ")
            assert client.stdout.readline() == b"PONG\r\n"
            client.stdin.close()


def test_nats_py(servers, tls):
    pytest.importorskip("nats.aio")     # a folder of ours is called nats, too
    import nats
    server = servers("server-rsa")

    async def talk():
        nc = await nats.connect(f"tls://localhost:{server.port}", tls=context(tls), tls_hostname="localhost",
                                max_reconnect_attempts=0)
        sub = await nc.subscribe("request")
        asked = asyncio.ensure_future(nc.request("request", os.urandom(200000), timeout=harness.LIMIT))
        message = await sub.next_msg(timeout=harness.LIMIT)
        await message.respond(message.data[::-1])
        assert (await asked).data == message.data[::-1]
        await nc.close()

    asyncio.run(talk())


def test_what_comes_with_the_end_of_the_handshake_is_read(servers, tls):
    """The client's last flight, CONNECT and PING in one segment: the socket tells of them once."""
    server = servers("server-p256")
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    secure = context(tls, version="1.3").wrap_bio(received, sent, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", server.port), timeout=harness.LIMIT) as sock:
        read_info(sock)
        while True:
            try:
                secure.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(sent.read())
                received.write(sock.recv(65536))
        secure.write(b'CONNECT {"verbose":false}\r\nPING\r\n')
        secure.write(b"PING\r\n")
        sock.sendall(sent.read())
        answer = b""
        while answer.count(b"PONG\r\n") < 2:
            received.write(sock.recv(65536))
            try:
                answer += secure.read(65536)
            except ssl.SSLWantReadError:
                pass


def test_all_reads_of_one_record(servers, tls):
    """What one read of the socket brings is more than one read of ours takes: the rest is not forgotten."""
    server = servers("server-p256")
    with Secure(server, tls) as sub, Secure(server, tls) as pub:
        sub.subscribe("many")
        pub.send(b"PUB many 4\r\nabcd\r\n" * 50000, b"PING\r\n")
        for _ in range(50000):
            assert sub.message()[4] == b"abcd"
        assert pub.until(b"PONG\r\n") == b""


def test_a_last_piece_in_one_record_is_handled_without_another(servers, tls):
    """A publisher that waits for its PONG before it sends more: nothing may stay in the stream."""
    server = servers("server-p256")
    with Secure(server, tls) as sub, Secure(server, tls) as pub:
        sub.subscribe("s")
        for size in (1, 1000, 8191, 8192, 16383, 16384, 40000, 131072, 300000):
            body = os.urandom(size)
            pub.send(f"PUB s {size}\r\n", body, b"\r\nPING\r\n")
            assert pub.until(b"PONG\r\n").replace(b"PING\r\n", b"") == b""
            assert sub.message()[4] == body


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_big_messages_arrive_as_they_were_sent(servers, tls, version):
    server = servers("server-rsa")
    pub, sub, other = server_clients(server, tls, 3, version)
    for c in (sub, other):
        c.subscribe("big")
    bodies = [os.urandom(size) for size in (8 << 20, 1 << 20, 3333333, 1, 8192, 65536, 131073)]
    for body in bodies:
        pub.publish("big", body)
    for c in (sub, other):
        for body in bodies:
            assert c.message()[4] == body
    for c in (pub, sub, other):
        c.close()


def server_clients(server, tls, count, version=None):
    """Over TLS, each on a worker of its own."""
    found = {}
    spare = []
    while len(found) < count:
        c = Secure(server, tls, version=version)
        spare.append(c)
        found.setdefault(server.worker_of(c), c)
        assert len(spare) < 200
    for c in spare:
        if c not in found.values():
            c.close()
    return list(found.values())


def test_errors_and_the_end_arrive_over_tls(start, tls):
    server = start(config=DEBUG + "authorization { user: a, password: b }\n" + tls.block())
    with Secure(server, tls, options={"user": "a", "pass": "wrong"}) as c:
        assert c.rest() == b"-ERR 'Authorization Violation'\r\n"     # then close_notify: else this read fails


def test_last_words_come_behind_all_that_waits(servers, tls):
    server = servers("server-p256")
    with Secure(server, tls) as sub, Secure(server, tls) as pub:
        sub.subscribe("big")
        body = os.urandom(8 << 20)
        pub.publish("big", body)
        assert sub.readable(harness.LIMIT)
        sub.send(b"WRONG\r\n")
        server.wait_log(rf"cid:{sub.info['client_id']} - .*Client connection closed: Protocol Violation")
        assert sub.message()[4] == body
        assert sub.rest() == b"-ERR 'Unknown Protocol Operation'\r\n"


# ---- sessions

@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_sessions_are_resumed_at_whichever_worker(start, tls, version):
    server = start(config=DEBUG + tls.block())
    how = context(tls, version=version)
    with Secure(server, tls, how=how) as c:
        c.ping()
        session = c.sock.session
        workers = {server.worker_of(c)}
    for n in range(100):
        if n > 10 and len(workers) == 3:
            break
        if n == 5:
            hang_up(server)
        with Secure(server, tls, how=how, session=session) as c:
            c.ping()
            assert c.sock.session_reused
            workers.add(server.worker_of(c))
    assert len(workers) == 3


def test_a_session_is_not_resumed_where_others_are_verified(start, tls):
    config = "verify: true; ca_file: \"%s\""
    server = start(config=tls.block(config % tls.ca))
    how = context(tls, certificate="client", version="1.2")
    with Secure(server, tls, how=how) as c:
        c.ping()
        session = c.sock.session
    with Secure(server, tls, how=how, session=session) as c:
        assert c.sock.session_reused
    rewrite(server, tls.block(config % tls.ca, f'crl_file: "{tls.crl}"'))
    with Secure(server, tls, how=how, session=session) as c:
        c.ping()
        assert not c.sock.session_reused


# ---- which certificate

def shown(server, tls, name, first=False):
    """The name in the certificate that a client who asks for `name` is shown."""
    how = context(tls)
    how.check_hostname = False
    with Secure(server, tls, how=how, name=name, connect=False, first=first) as c:
        return dict(pair for part in c.sock.getpeercert()["subject"] for pair in part)["commonName"]


def test_the_certificate_fits_the_name_that_is_asked_for(start, tls):
    pairs = ", ".join('{ cert_file: "%s", key_file: "%s" }' % (tls[n + ".pem"], tls[n + "-key.pem"])
                      for n in ("server-p256", "server-second"))
    server = start(config="tls { certs: [ %s ] }\n" % pairs)
    assert shown(server, tls, "second.example") == "second.example"
    assert shown(server, tls, "localhost") == "localhost"
    assert shown(server, tls, "neither.example") == "localhost"
    assert shown(server, tls, None) == "localhost"


# What a client says of itself with `openssl s_client`: versions, cipher suites, signature schemes, curves.
WISHES = ["-tls1_2", "-tls1_3", "-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256", "-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256",
          "-tls1_2 -cipher AES128-GCM-SHA256", "-tls1_2 -cipher DHE-RSA-AES128-GCM-SHA256", "-tls1_3 -sigalgs RSA-PSS+SHA256",
          "-tls1_3 -sigalgs ECDSA+SHA256", "-tls1_3 -sigalgs ECDSA+SHA384", "-tls1_2 -sigalgs RSA+SHA256", "-tls1_2 -sigalgs ed25519",
          "-tls1_2 -sigalgs RSA-PSS+SHA256 -cipher ECDHE-ECDSA-AES128-GCM-SHA256", "-tls1_2 -groups P-256", "-tls1_2 -groups X448"]


@beside_the_real_server
@pytest.mark.parametrize("kinds", ["p256 rsa", "rsa p256", "p384 p256 rsa", "ed25519 p384 rsa"])
def test_the_certificate_fits_what_the_client_can(start, tls, kinds):
    """Of several certificates for a name the first whose key the client has signatures, cipher suites and curves for."""
    pairs = ", ".join('{ cert_file: "%s", key_file: "%s" }' % (tls[f"server-{k}.pem"], tls[f"server-{k}-key.pem"]) for k in kinds.split())
    servers = both(start, "tls { certs: [ %s ]; handshake_first: true }\n" % pairs, up=first_only)

    def agreed(server, wish):
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", *wish.split()],
                              input=b"", capture_output=True, timeout=harness.LIMIT)
        return re.findall(rb"Peer signature type: \S+|, Cipher is \S+", done.stdout)

    for wish in WISHES:
        ours, real = (agreed(server, wish) for server in servers)
        assert ours == real, wish


# ---- with TLS or without

def test_with_allow_non_tls_both_come(start, tls):
    server = start(config=DEBUG + "allow_non_tls: true\n" + tls.block())
    with harness.Client(server.port) as plain, Secure(server, tls) as secure:
        for to, other in ((plain, secure), (secure, plain)):
            to.send(b"SUB both 1\r\n")
            to.ping()
            other.send(b"PUB both 5\r\nhello\r\n")
            assert to.message()[4] == b"hello"
            to.send(b"UNSUB 1\r\n")
    with harness.Client(server.port, connect=False) as slow:      # byte by byte: the first decides
        for byte in b"CONNECT {}\r\nPING\r\n":
            slow.send(bytes([byte]))
        assert slow.until(b"PONG\r\n") == b"+OK\r\n"


def test_with_allow_non_tls_a_silent_client_goes_on_in_plaintext(start, tls):
    """When the time for a handshake is over; then auth_timeout begins, and its end is told in plaintext."""
    server = start(config=DEBUG + "allow_non_tls: true\nauthorization { user: a, password: b, timeout: 0.4 }\n"
                   + tls.block("timeout: 0.4"))
    began = time.monotonic()
    with harness.Client(server.port, connect=False) as c:
        assert c.rest() == b"-ERR 'Authentication Timeout'\r\n"
        assert time.monotonic() - began >= 0.8


def test_without_it_plaintext_is_hung_up_on(start, tls):
    server = start(config=DEBUG + tls.block())
    for first in (b'CONNECT {"verbose":false}\r\nPING\r\n', b"GET / HTTP/1.0\r\n\r\n"):
        with harness.Client(server.port, connect=False) as c:
            c.send(first)
            assert c.rest() == b""
            server.wait_log(rf"\[DBG\].*cid:{c.info['client_id']} - TLS handshake error: .*first record does not look like a TLS handshake")
            server.wait_log(rf"cid:{c.info['client_id']} - Client connection closed: TLS Handshake Failure")


def test_at_a_unix_socket_tls_is_offered_only(start, tls, tmp_path):
    path = str(tmp_path / "socket")
    server = start(config=f'listen: [ "127.0.0.1:-1", "unix:{path}" ]\n' + tls.block("handshake_first: true"), wait=False, listen=False)
    first_only(server)
    with harness.Client(0, path=path) as c:
        assert about_tls(c.info) == {"tls_available": True}
        assert c.quiet()


# ---- first the handshake

def test_handshake_first(start, tls):
    server = first_only(start(config=DEBUG + tls.block("handshake_first: true", "timeout: 1"), wait=False))
    with Secure(server, tls, first=True) as c:
        assert c.info["tls_required"] and c.quiet()
    with harness.Client(server.port) as c:       # no INFO, only the end
        assert c.info is None and c.rest() == b""


@pytest.mark.parametrize("said,seconds", [("auto", 0.05), ("300ms", 0.3)])
def test_handshake_first_with_a_fallback(start, tls, said, seconds):
    server = start(config=DEBUG + tls.block(f"handshake_first: {said}"))
    with Secure(server, tls, first=True) as c:
        assert c.quiet()
    began = time.monotonic()
    with Secure(server, tls) as c:
        assert time.monotonic() - began >= seconds
        assert c.quiet()


@beside_the_real_server
@pytest.mark.parametrize("top", ["", "allow_non_tls: true\n"])
def test_one_that_leaves_before_the_fallback(start, tls, top):
    """As health checks do: no handshake of theirs fails, where they may come without."""
    said = []
    for server in both(start, DEBUG + top + tls.block("handshake_first: 10s"), up=first_only):
        with socket.create_connection(("127.0.0.1", server.port), timeout=harness.LIMIT) as sock:
            sock.shutdown(socket.SHUT_WR)
            info = read_info(sock)
            assert info and sock.recv(1) == b""
        server.wait_log("Client connection closed")
        said.append((about_tls(json.loads(info[5:])), re.findall(r"(\[[A-Z]+\]) \S+ - cid:\d+ - (.*)", server.log())))
    assert said[0] == said[1]


@beside_the_real_server
@pytest.mark.parametrize("more", ["timeout: 2", "handshake_first: true", "handshake_first: 10s"])
def test_one_too_many_is_told_in_plaintext(start, tls, more):
    said = []
    for server in both(start, DEBUG + "max_connections: 1\n" + tls.block(more), up=first_only):
        with Secure(server, tls, first="first" in more) as c:
            c.ping()
            with socket.create_connection(("127.0.0.1", server.port), timeout=harness.LIMIT) as sock:
                data = closed_after(sock)[0]
        said.append(re.sub(rb"INFO .*", b"INFO", data))
    assert said[0] == said[1]


# ---- time

def closed_after(sock):
    began = time.monotonic()
    data = b""
    try:
        while piece := sock.recv(65536):
            data += piece
    except ConnectionResetError:
        pass
    return data, time.monotonic() - began


@pytest.mark.parametrize("bytes_sent", [b"", b"\x16", b"\x16\x03\x01\x00\xf0\x01\x00\x00\xec\x03\x03"])
def test_a_handshake_has_its_time(start, tls, bytes_sent):
    server = start(config=DEBUG + "authorization { user: a, password: b, timeout: 0.1 }\n" + tls.block("timeout: 0.5"))
    with harness.Client(server.port, connect=False) as c:
        c.send(bytes_sent)
        data, seconds = closed_after(c.sock)
        assert data == b"" and 0.4 < seconds < 5
        prefix = rf"cid:{c.info['client_id']} - "
    server.wait_log(prefix + "TLS handshake timeout")
    server.wait_log(prefix + "Client connection closed: TLS Handshake Failure")


def test_auth_timeout_begins_with_the_end_of_the_handshake(start, tls):
    server = start(config=DEBUG + "authorization { user: a, password: b, timeout: 0.4 }\n" + tls.block("timeout: 3"))
    with socket.create_connection(("127.0.0.1", server.port), timeout=harness.LIMIT) as sock:
        read_info(sock)
        time.sleep(0.6)         # longer than auth_timeout, within the handshake's
        with context(tls).wrap_socket(sock, server_hostname="localhost") as secure:
            began = time.monotonic()
            assert secure.recv(1000) == b"-ERR 'Authentication Timeout'\r\n"
            assert time.monotonic() - began > 0.2


def test_so_does_that_of_a_reload(start, tls):
    server = start(config=DEBUG + tls.block("timeout: 10"))
    with socket.create_connection(("127.0.0.1", server.port), timeout=harness.LIMIT) as sock:
        read_info(sock)
        rewrite(server, DEBUG + "authorization { user: a, password: b, timeout: 0.3 }\n" + tls.block("timeout: 10"))
        time.sleep(0.6)         # longer than auth_timeout
        with context(tls).wrap_socket(sock, server_hostname="localhost") as secure:
            assert secure.recv(1000) == b"-ERR 'Authentication Timeout'\r\n"


# ---- whom it lets in

VERIFIED = ["client", "client-email", "client-dns", "client-names"]
NOT_VERIFIED = [None, "client-expired", "client-future", "client-other", "client-server"]


@beside_the_real_server
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_verify_asks_for_a_certificate_and_no_more(start, tls, version):
    for server in both(start, DEBUG + tls.block("verify: true", f'ca_file: "{tls.ca}"')):
        for name in VERIFIED:
            assert not refused(server, tls, certificate=name, version=version), name
        for name in NOT_VERIFIED:
            assert refused(server, tls, certificate=name, version=version), name
        server.wait_log(r"\[ERR\].*TLS handshake error: tls: client didn't provide a certificate")
        server.wait_log(r"\[ERR\].*TLS handshake error: .*certificate has expired or is not yet valid: current time \S+ is after "
                        r"2021-01-01T00:00:00Z \(CN=client SHA-256: [0-9a-f]{64}; CN=ca,O=Test SHA-256: [0-9a-f]{64}\)")
        server.wait_log(r"\[ERR\].*TLS handshake error: .*certificate signed by unknown authority")


def test_a_revoked_certificate_is_not_let_in(start, tls):
    server = start(config=DEBUG + tls.block("verify: true", f'ca_file: "{tls.ca}"', f'crl_file: "{tls.crl}"'))
    assert not refused(server, tls, certificate="client")
    assert refused(server, tls, certificate="client-revoked")
    server.wait_log(r"TLS handshake error: .*revoked")


@beside_the_real_server
def test_pinned_certificates(start, tls):
    pins = f'pinned_certs: [ "{tls.pin("client-dns")}" ]'
    for server in both(start, DEBUG + tls.block("verify: true", f'ca_file: "{tls.ca}"', pins)):
        assert not refused(server, tls, certificate="client-dns")
        assert refused(server, tls, certificate="client")
        server.wait_log("TLS handshake error: certificate not pinned")


# ---- whom the certificate names

USERS = {
    "e-mail": ["user@example.com"],
    "second e-mail": ["second@example.com"],
    "both e-mails": ["second@example.com", "first@example.com"],
    "DNS": ["client.example.com"],
    "URI": ["spiffe://example.com/client"],
    "e-mail before DNS": ["one.example.com", "first@example.com", "spiffe://example.com/many"],
    "DNS before URI": ["spiffe://example.com/many", "two.example.com"],
    "URI before subject": ["CN=many,O=Test", "spiffe://example.com/many"],
    "subject": ["CN=client", "CN=email,O=Test"],
    "subject, other order": ["O=Test,CN=email", "O=Test,CN=uri"],
    "subject with many parts": ["CN=several parts,OU=Two,OU=One,O=Test\\, and more,DC=example,DC=com"],
    "domain components first": ["DC=com,DC=example,O=Test\\, and more,OU=One,OU=Two,CN=several parts"],
    "Go's order": ["CN=several parts,OU=One+OU=Two,O=Test\\, and more,DC=com,DC=example"],
    "nobody": ["somebody"],
}
CERTIFICATES = ["client", "client-email", "client-dns", "client-uri", "client-many", "client-names"]


def who(server, tls, certificate, **options):
    """Which user it is there; None: it was not let in."""
    try:
        with Secure(server, tls, certificate=certificate, options=options) as c:
            c.send(b"SUB answer 1\r\nPUB $SYS.REQ.USER.INFO answer 0\r\n\r\n")
            return json.loads(c.message()[4])["data"]["user"]
    except (EOFError, OSError, ssl.SSLError):
        return None


@beside_the_real_server
@pytest.mark.parametrize("what", list(USERS))
def test_users_by_certificate_are_the_real_servers(start, tls, what):
    users = ", ".join("{ user: %s }" % json.dumps(u) for u in USERS[what])
    config = DEBUG + "auth_failures: 0\n" * 0 + "authorization { users: [ %s ] }\n" % users
    config += tls.block("verify_and_map: true", f'ca_file: "{tls.ca}"')
    answers = [{name: who(server, tls, name) for name in CERTIFICATES} for server in both(start, config)]
    assert answers[0] == answers[1]
    assert what == "nobody" or any(answers[0].values())


@beside_the_real_server
def test_who_says_a_password_is_whom_the_certificate_names(start, tls):
    config = ('authorization { users: [ { user: "user@example.com" }, { user: b, password: c },'
              ' { user: "client.example.com", password: d } ] }\n')
    config += tls.block("verify_and_map: true", f'ca_file: "{tls.ca}"')
    answers = [[who(s, tls, name, **{"user": "b", "pass": p}) for name in ("client-email", "client", "client-dns") for p in ("", "c", "d")]
               for s in both(start, config)]
    assert answers[0] == answers[1]
    assert answers[0] == ["user@example.com", None, None, None, None, None, None, None, "client.example.com"]


@beside_the_real_server
def test_without_a_certificate_nobody_is_named(start, tls):
    """With allow_non_tls one can come in plaintext, and is refused even with a password that is right."""
    config = 'allow_non_tls: true\nauthorization { users: [ { user: "user@example.com" }, { user: b, password: c } ] }\n'
    config += tls.block("verify_and_map: true", f'ca_file: "{tls.ca}"')
    for server in both(start, config):
        for options in ({}, {"user": "b", "pass": "c"}):
            with harness.Client(server.port, options=options) as c:
                c.send(b"PING\r\n")
                assert c.rest() == b"-ERR 'Authorization Violation'\r\n"


@beside_the_real_server
def test_a_single_user_is_asked_for_its_password_all_the_same(start, tls):
    config = "authorization { user: a, password: b }\n" + tls.block("verify_and_map: true", f'ca_file: "{tls.ca}"')
    answers = [[refused(s, tls, certificate="client", options={"user": "a", "pass": p}) for p in ("b", "c")] for s in both(start, config)]
    assert answers[0] == answers[1]


# ---- slow ones

def test_a_slow_consumer_over_tls_is_cut(start, tls):
    server = start(config=DEBUG + "max_pending: 1MB\nwrite_deadline: 60s\n" + tls.block())
    with Secure(server, tls) as slow, Secure(server, tls) as pub:
        slow.subscribe("slow")
        body = os.urandom(100000)
        deadline = time.monotonic() + harness.LIMIT
        while "Slow Consumer Detected" not in server.log():
            assert time.monotonic() < deadline
            pub.publish("slow", body)
            pub.ping()
        server.wait_log("Client connection closed: Slow Consumer \\(Pending Bytes\\)")
        assert pub.quiet()


def test_one_that_takes_nothing_is_cut_after_write_deadline(start, tls):
    server = start(config=DEBUG + "max_pending: 64MB\nwrite_deadline: 500ms\n" + tls.block())
    with Secure(server, tls) as slow, Secure(server, tls) as pub:
        slow.subscribe("slow")
        for _ in range(100):
            pub.publish("slow", bytes(200000))
        server.wait_log("Client connection closed: Slow Consumer \\(Write Deadline\\)")
        assert pub.quiet()


def test_one_that_is_merely_slow_gets_everything(start, tls):
    server = start(config=DEBUG + "max_pending: 4MB\n" + tls.block())
    with Secure(server, tls, version="1.3") as slow, Secure(server, tls) as pub:
        slow.subscribe("slow")
        bodies = [os.urandom(50000 + n) for n in range(400)]
        sender = __import__("threading").Thread(target=lambda: [pub.publish("slow", b) for b in bodies])
        sender.start()
        for n, body in enumerate(bodies):
            assert slow.message()[4] == body
            if n % 40 == 0:
                time.sleep(0.02)        # it is to be slower than its publisher
        sender.join()
        assert pub.quiet()


def test_memory_of_tls_counts_for_the_accounts_limit(start, tls):
    """Clients that fit without TLS do not with it."""
    config = DEBUG + "accounts { A: { users: [ { user: a, password: b } ], limits: { max_memory: 100KB } } }\nallow_non_tls: true\n"
    server = start(config=config + tls.block(), workers=1)
    login = {"user": "a", "pass": "b"}

    def come(connect):
        n, kept = 0, []
        while n < 40:
            c = connect()
            kept.append(c)
            try:
                c.ping()
            except (EOFError, OSError):
                break
            n += 1
        for c in kept:
            c.close()
        return n

    plain = come(lambda: harness.Client(server.port, options=login))
    secure = come(lambda: Secure(server, tls, options=login))
    assert plain == 40 and 0 < secure < 40


# ---- reload

def test_tls_is_turned_on_and_off_by_a_reload(start, tls):
    server = start(config=DEBUG)
    with harness.Client(server.port) as before:
        rewrite(server, DEBUG + tls.block())
        assert before.quiet()
        assert refused_plaintext(server)
        with Secure(server, tls) as during:
            during.subscribe("over")
            rewrite(server, DEBUG)
            before.send(b"PUB over 2\r\nhi\r\n")
            assert during.message()[4] == b"hi"
            with harness.Client(server.port) as after:
                assert about_tls(after.info) == {} and after.quiet()


def refused_plaintext(server):
    with harness.Client(server.port) as c:
        assert c.info["tls_required"]
        return c.rest() == b""


def test_another_certificate_by_a_reload(start, tls):
    server = start(config=DEBUG + tls.block())
    with Secure(server, tls) as c:
        rewrite(server, DEBUG + tls.block(server="server-second"))
        assert shown(server, tls, "localhost") == "second.example"
        assert c.quiet()


def test_a_handshake_under_way_ends_under_the_context_that_it_began_with(start, tls):
    server = start(config=DEBUG + tls.block("timeout: 10"))
    with socket.create_connection(("127.0.0.1", server.port), timeout=harness.LIMIT) as sock:
        read_info(sock)
        rewrite(server, DEBUG + tls.block(server="server-second"))
        with context(tls).wrap_socket(sock, server_hostname="localhost") as secure:
            secure.sendall(b'CONNECT {"verbose":false}\r\nPING\r\n')
            assert secure.recv(6) == b"PONG\r\n"


def test_a_bad_certificate_leaves_everything_as_it_was(start, tls):
    server = start(config=DEBUG + tls.block())
    with open(server.config_path) as f:
        text = f.read()
    with open(server.config_path, "w") as f:
        f.write(text.replace(tls["server-rsa.pem"], tls["server-p256.pem"]))
    server.kill(signal.SIGHUP)
    server.wait_log(r"\[ERR\].*server-p256.pem|\[ERR\].*server-rsa-key.pem")
    assert shown(server, tls, "localhost") == "localhost"
    with Secure(server, tls) as c:
        assert c.quiet()


# ---- reports

@beside_the_real_server
def test_connz_shows_tls_as_the_real_server(start, tls):
    config = "http: 127.0.0.1:-1\n" + tls.block("verify: true", f'ca_file: "{tls.ca}"', "handshake_first: auto")
    said = []
    for server in both(start, config):
        with Secure(server, tls, certificate="client-names", version="1.2", first=True) as a, Secure(server, tls, certificate="client") as b:
            a.ping(), b.ping()
            with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port()}/connz?auth=1") as answer:
                rows = json.load(answer)["connections"]
        said.append([{k: v for k, v in row.items() if k.startswith("tls")} for row in rows])
        for row in said[-1]:
            del row["tls_peer_certs"][1:]       # ours knows the client's own alone
    assert len(said[0]) == 2 and said[0] == said[1]


@beside_the_real_server
def test_connz_shows_tls_of_those_that_are_gone(start, tls):
    said = []
    for server in both(start, "http: 127.0.0.1:-1\nallow_non_tls: true\n" + tls.block()):
        for c in (Secure(server, tls), harness.Client(server.port)):
            with c:
                c.ping()

        def closed(s=server):
            with urllib.request.urlopen(f"http://127.0.0.1:{s.http_port()}/connz?state=closed") as answer:
                rows = json.load(answer)["connections"]
            return sorted(([{k: v for k, v in row.items() if k.startswith("tls")}, row["reason"]]
                           for row in rows if row.get("in_msgs", 0) == 0 and row["reason"] == "Client Closed"), key=str)

        harness.until(lambda: any(row[0] for row in closed()), "a closed connection with TLS")
        said.append(max(closed(), key=lambda row: len(row[0])))
    assert said[0] == said[1]


def test_handshakes_give_way_to_messages(start, tls):
    """Where processors are scarce, those who are in come before signatures."""
    server = start(config=tls.block())
    (signer,) = server.children("signer")
    (worker, *_) = server.workers()
    nice = os.getpriority(os.PRIO_PROCESS, worker)
    assert nice == os.getpriority(os.PRIO_PROCESS, server.pid)
    assert os.getpriority(os.PRIO_PROCESS, signer) == min(nice + 10, 19)
