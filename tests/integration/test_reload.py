"""Reload: each key that may change while the server runs, and how the change shows; all processes
or none; nobody loses a connection, a subscription or a message."""
import datetime
import glob
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.request

import pytest

import harness
from tls_client import Secure

HTTP = 'http: "127.0.0.1:-1"\n'


class Reloadable(harness.Server):
    """Its configuration is all in the file, so that a reload can change it."""

    def __init__(self, folder, config="", workers=3, http=True, env=None):
        super().__init__(folder, listen=False, env=env, workers=workers)
        for flag in ("-l", "--ports_file_dir"):
            at = self.argv.index(flag)
            del self.argv[at:at + 2]
        self.tail = f"\nworkers: {workers}\n" + ("sandbox: off\n" if harness.SANITIZED else "")
        self.common = HTTP if http else ""
        self.write(config)
        if "-c" not in self.argv:
            self.argv += ["-c", self.config_path]

    def write(self, config):
        """The file for the next start or reload; what config does not say is as tests need it."""
        text = config + "\n"
        for key, value in (("host", "127.0.0.1"), ("port", "-1"), ("log_file", self.log_path),
                           ("ports_file_dir", self.folder)):
            if not re.search(rf"^{key}:", config, re.M) and not (key in ("host", "port") and "listen:" in config):
                text += f'{key}: {json.dumps(value) if key != "port" else value}\n'
        if "http" not in config:
            text += self.common
        with open(self.config_path, "w") as f:
            f.write(text + self.tail)

    def log(self):
        """With what was rotated away, also while this is read."""
        while True:
            text, old = "", sorted(glob.glob(self.log_path + ".*"))
            for path in (*old, self.log_path):
                try:
                    with open(path, errors="replace") as f:
                        text += f.read()
                except OSError:
                    pass
            if old == sorted(glob.glob(self.log_path + ".*")):
                return text

    def reloads(self):
        return len(re.findall(r"Reloaded server configuration", self.log()))

    def failures(self):
        return re.findall(r"Failed to reload server configuration: (.*)", self.log())

    def reload(self, config=None, log=None):
        """Change the file, hang up, wait until all processes have followed. log: where it will say so."""
        before = self.reloads()
        if config is not None:
            self.write(config)
        if log is not None:
            self.log_path, before = log, 0
        self.kill(signal.SIGHUP)
        harness.until(lambda: self.reloads() > before or self.failures(), "the reload is over")
        assert not self.failures(), self.failures()
        self.port = self.ports()

    def refused(self, config):
        """The same for one that cannot be; what the log says about it."""
        before, failed = self.reloads(), len(self.failures())
        self.write(config)
        self.kill(signal.SIGHUP)
        harness.until(lambda: len(self.failures()) > failed, "the reload is refused")
        assert self.reloads() == before
        return self.failures()[failed:]

    def varz(self):
        with urllib.request.urlopen(self.port_data["monitoring"][0] + "/varz", timeout=harness.LIMIT) as r:
            return json.load(r)


@pytest.fixture
def reloadable(tmp_path):
    servers = []

    def starter(*args, **kwargs):
        folder = tmp_path / f"server{len(servers)}"
        folder.mkdir()
        servers.append(Reloadable(folder, *args, **kwargs))
        return servers[-1].start()

    yield starter
    for server in servers:
        pids = list(server.children()) if server.process else []
        server.__exit__()
        for pid in pids:
            harness.until(lambda p=pid: not harness.alive(p), f"process {pid} ends with its supervisor")


# ---- how each key shows: true with the value behind, not with the one before

def in_varz(key, value):
    return lambda s: s.varz().get(key) == value


def answers(*lines, end):
    """A new client that says these is told that."""
    def shows(s):
        with s.client() as c:
            c.send(*lines, "PING\r\n")
            try:
                return end in c.until(b"PONG\r\n")
            except EOFError as e:
                return end in str(e).encode()
    return shows


def in_info(key, value):
    def shows(s):
        with s.client() as c:
            return c.info.get(key) == value
    return shows


def traced(server):
    """Trace of one message with headers."""
    length = len(server.log())
    with server.client() as c:
        c.send("HPUB t 22 25\r\nNATS/1.0\r\nKey: val\r\n\r\nabc\r\n")
        c.ping()
        harness.until(lambda: re.search(r"(?s)HPUB t .*<<- \[PING", server.log()[length:]), "trace")
    return server.log()[length:]


def logs(pattern, act=None):
    """Sooner or later, after a client has come and gone."""
    def shows(s):
        length = len(s.log())
        with s.client() as c:
            c.ping()
        (act or (lambda _: None))(s)
        try:
            harness.until(lambda: re.search(pattern, s.log()[length:]), pattern, 1)
        except AssertionError:
            return False
        return True
    return shows


def rate_limited(s):
    dropped = 0
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", s.port), timeout=harness.LIMIT) as c:
            try:
                dropped += c.recv(4) == b""
            except ConnectionResetError:
                dropped += 1
    return dropped > 5


def second_is_refused(s):
    with s.client() as a:
        a.ping()
        with s.client(connect=False) as b:
            b.send("PING\r\n")
            try:
                return b"-ERR" in b.until(b"PONG\r\n")
            except (EOFError, ConnectionResetError):
                return True


def stale_after(s, pings):
    with s.client() as c:
        return c.rest().count(b"PING") == pings


def pinged_soon(s):
    with s.client() as c:
        return c.readable(1.5) and c.line() == b"PING"


def slow_reader_survives(s):
    """It takes a little all the time, but never all that waited at the beginning."""
    with s.client() as sub, s.client() as pub:
        sub.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sub.send("SUB slow 1\r\n")
        sub.ping()
        pub.send(*["PUB slow 100000\r\n" + "x" * 100000 + "\r\n"] * 600)
        pub.ping()
        end = time.monotonic() + 1.2
        while time.monotonic() < end:
            try:
                if sub.sock.recv(65536) == b"":
                    return False
            except ConnectionResetError:
                return False
            time.sleep(0.003)           # what is tested is a slow reader
        cid = sub.info["client_id"]
        return not re.search(rf"cid:{cid} - .*connection closed: Slow", s.log())


def unread_survives(s):
    """A subscriber that does not read, sent far more than max_pending."""
    with s.client() as sub, s.client() as pub:
        sub.send("SUB full 1\r\n")
        sub.ping()
        for _ in range(30):
            pub.send(*["PUB full 100000\r\n" + "x" * 100000 + "\r\n"] * 10)
        pub.ping()
        cid = sub.info["client_id"]
        return not re.search(rf"cid:{cid} - .*MaxPending", s.log())


def stopped_is_replaced(s):
    worker = s.workers()[0]
    os.kill(worker, signal.SIGSTOP)
    s.wait_log(r"stopped for longer than watchdog allows \(0\.3 s\)")
    harness.until(lambda: not harness.alive(worker), "it is gone")
    return True


def backs_off(s):
    for _ in range(3):
        worker = max(s.workers())       # the one that came last: they are counted one by one
        os.kill(worker, signal.SIGKILL)
        harness.until(lambda w=worker: not harness.alive(w), "killed")
        harness.until(lambda: len(s.workers()) == 3 or "replaced in" in s.log(), "three workers")
    s.wait_log("it is replaced in ")
    return True


def lame_duck_begins_soon(s):
    c = s.client()
    c.ping()
    s.kill(signal.SIGUSR2)
    s.wait_log("Closing existing clients", 5)
    return c.rest() is not None


def lame_duck_goes_fast(s):
    """300 clients in an hour, or in half a minute: the first 20."""
    clients = [s.client() for _ in range(300)]
    for c in clients:
        c.ping()
    s.kill(signal.SIGUSR2)
    s.wait_log("Closing existing clients")
    began = time.monotonic()
    harness.until(lambda: s.log().count("connection closed: Server Shutdown") >= 20, "20 are closed", 10)
    return time.monotonic() - began < 10


def traces_payload(text):
    return lambda s: text in traced(s)


def hour_differs(s):
    """The last line's time is UTC, in a zone nine hours ahead of it."""
    with s.client() as c:
        c.ping()
    stamp = re.findall(r"\d{4}/\d\d/\d\d (\d\d):", s.log())[-1]
    return int(stamp) == datetime.datetime.now(datetime.timezone.utc).hour


def without_time(s):
    length = len(s.log())
    with s.client() as c:
        c.ping()
    harness.until(lambda: len(s.log()) > length, "a line")
    line = s.log()[length:].splitlines()[0]
    return re.match(r"\[\d+\] \[[A-Z]{3}\]", line) is not None


def json_lines(s):
    length = len(s.log())
    with s.client() as c:
        c.ping()
    harness.until(lambda: s.log()[length:].endswith("\n"), "a line")
    return s.log()[length:].startswith("{")


def errors_in_log(s):
    """Of 60 protocol errors at one worker within a second, how many have a line?"""
    length = len(s.log())
    for _ in range(60):
        with s.client() as c:
            c.send("NONSENSE\r\n")
            c.rest()
    with s.client() as c:
        c.ping()
    return len(re.findall(r"protocol error", s.log()[length:]))


def rotated(s, clients):
    """How many old logs there are after so many lines have come."""
    for _ in range(clients):
        with s.client() as c:
            c.ping()
    return len(glob.glob(s.log_path + ".*"))


def keeps_two(s):
    """Old logs are there, and soon few, however much is written."""
    if rotated(s, 600) == 0:
        return False
    try:
        harness.until(lambda: len(glob.glob(s.log_path + ".*")) <= 2, "few are left", 1)
    except AssertionError:
        return False
    return True


@pytest.fixture
def collector():
    """Somebody who listens as the system's log does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        s.settimeout(harness.LIMIT)
        yield s, f"udp://127.0.0.1:{s.getsockname()[1]}"


def listens(port_of, host="127.0.0.1"):
    def shows(s):
        try:
            with harness.Client(port_of(s), host=host) as c:
                return c.info is not None
        except OSError:
            return False
    return shows


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def slowed_down(s):
    """After two failed logins, is the next one looked at later?"""
    for password in ("wrong", "wrong", "secret"):
        time.sleep(0.01)        # longer than the shortest auth_failure_window: not a wait for anything
        began = time.monotonic()
        with s.client(options={"user": "a", "pass": password}) as c:
            c.send("PING\r\n")
            c.line()
    return time.monotonic() - began > 0.4


# Who says nothing is let in.
USERS = """authorization { users = [ {user: a, password: secret}, {user: b, password: secret} ] }
no_auth_user: b
"""
PORT, PORT2 = free_port(), free_port()

# key: value before, value after, what shows it[, what else the file says]
ONCE = object()         # to look at it changes the server: only after the reload
ROWS = {
    "host": ('"127.0.0.1"', '"127.0.0.2"', lambda s: listens(lambda s: s.port, "127.0.0.2")(s)),
    "port": (PORT, PORT2, listens(lambda s: PORT2)),
    "listen": (f'["127.0.0.1:{PORT}"]', f'["127.0.0.1:{PORT}", "127.0.0.1:{PORT2}"]', listens(lambda s: PORT2)),
    "http_host": ('"127.0.0.1"', '"127.0.0.2"', in_varz("http_host", "127.0.0.2"), "http_port: -1\n"),
    "http": (None, '"127.0.0.1:-1"', lambda s: "monitoring" in s.port_data and s.varz()["server_id"] != "", "# no http\n"),
    "http_port": (PORT, PORT2, lambda s: s.http_port() == PORT2 and s.varz()["http_port"] == PORT2),
    "client_advertise": ('"a.example:1"', '"b.example:2"', in_info("host", "b.example")),
    "max_connections": (100, 101, in_varz("max_connections", 101)),
    "max_connections_per_address": (0, 1, second_is_refused),
    "max_connection_rate": (0, 1, rate_limited),
    "max_subscriptions": (10, 1, answers("SUB a 1\r\nSUB b 2\r\n", end=b"maximum subscriptions exceeded")),
    "max_sub_tokens": (0, 2, answers("SUB a.b.c 1\r\n", end=b"too many tokens")),
    "max_control_line": ("4KB", 100, answers("SUB " + "a" * 200 + " 1\r\n", end=b"maximum control line exceeded")),
    "max_payload": ("1MB", 10, answers("PUB a 11\r\n01234567890\r\n", end=b"Maximum Payload Violation")),
    "max_pending": ("64MB", "2MB", in_varz("max_pending", 2 << 20)),
    "write_deadline": ('"10s"', '"3s"', in_varz("write_deadline", 3 * 10**9)),
    "ping_interval": ('"1h"', '"100ms"', lambda s: in_varz("ping_interval", 10**8)(s) and pinged_soon(s)),
    "ping_max": (1, 3, lambda s: stale_after(s, 3), 'ping_interval: "100ms"\n'),
    "auth_timeout": (2, 3, in_varz("auth_timeout", 3)),
    "auth_failures": (1000, 1, slowed_down, USERS + 'auth_failure_delay: "500ms"\n'),
    "auth_failure_delay": (0, '"500ms"', slowed_down, USERS + "auth_failures: 1\n"),
    "auth_failure_window": ('"10s"', '"1ms"', lambda s: not slowed_down(s),
                            USERS + 'auth_failures: 1\nauth_failure_delay: "500ms"\n'),
    "no_header_support": ("false", "true", in_info("headers", False)),
    "write_timeout": ("close", "retry", slow_reader_survives, 'debug: true\nwrite_deadline: "300ms"\nmax_pending: 1GB\n'),
    "no_fast_producer_stall": ("false", "true", unread_survives, "debug: true\nmax_pending: 1MB\n"),
    "lame_duck_duration": ('"1h"', '"30s"', lame_duck_goes_fast, 'debug: true\nlame_duck_grace_period: "100ms"\n', ONCE),
    "lame_duck_grace_period": ('"20s"', '"100ms"', lame_duck_begins_soon, 'lame_duck_duration: "30s"\n', ONCE),
    "server_tags": ("[a]", "[a, b]", in_varz("tags", ["a", "b"])),
    "watchdog": ('"60s"', '"300ms"', stopped_is_replaced, "", ONCE),
    "restart_limit": (100000, 1, backs_off, "", ONCE),
    "debug": ("false", "true", logs(r"\[DBG\] .*Client connection created")),
    "trace": ("false", "true", logs(r"\[TRC\] .*<<- \[PING")),
    "trace_headers": ("false", "true", lambda s: "abc" not in traced(s), "trace: true\n"),
    "max_traced_msg_len": (0, 1, lambda s: "abc" not in traced(s), "trace: true\n"),
    "logtime": ("true", "false", without_time, "debug: true\n"),
    "logtime_utc": ("false", "true", hour_differs, "debug: true\n"),
    "log_format": ("text", "json", json_lines, "debug: true\n"),
    "log_burst": (5, 0, lambda s: errors_in_log(s) == 60),
    "logfile_size_limit": (0, 20000, lambda s: rotated(s, 300) > 0, "debug: true\n"),
    "logfile_max_num": (0, 3, keeps_two, "debug: true\nlogfile_size_limit: 20000\n"),
}
# Those that need more than a row; each has a test of its own below, named after it.
APART = {"unix_socket_mode", "unix_socket_group", "trace_verbose", "log_file", "syslog", "remote_syslog", "pid_file", "ports_file_dir", "allow_non_tls", "tls_file_check", "tls_ticket_lifetime",
         "signer_rate"}


def settings_how(how):
    path = os.path.join(harness.ROOT, "common", "settings.def")
    with open(path) as f:
        return [m[1] for m in re.finditer(rf"^SETTING\(\w+, +(\w+), .*, {how}, ", f.read(), re.M)]


def test_allow_non_tls(reloadable, tls):
    server = reloadable(tls.block())
    with server.client() as c:
        assert c.info.get("tls_required") and c.rest() == b""
    server.reload(tls.block() + "allow_non_tls: true\n")
    with server.client() as c:
        assert "tls_required" not in c.info
        c.ping()


def test_tls_file_check(reloadable, tls, tmp_path):
    path = tmp_path / "live.pem"
    path.write_text(tls.read("server-rsa.pem"))
    block = tls.block().replace(tls["server-rsa.pem"], str(path))
    server = reloadable("tls_file_check: 0s\n" + block)
    server.reload('tls_file_check: "100ms"\n' + block)
    path.touch()
    server.wait_log("Reloaded certificates and keys")


def test_tls_ticket_lifetime(reloadable, tls):
    def hint():
        with Secure(server, tls, version="1.2") as c:
            c.ping()
            return c.sock.session.ticket_lifetime_hint

    server = reloadable('tls_ticket_lifetime: "1h"\n' + tls.block())
    assert hint() == 3600
    server.reload('tls_ticket_lifetime: "2m"\n' + tls.block())
    assert hint() == 120


def test_signer_rate(reloadable, tls):
    def seconds():
        began = time.monotonic()
        for _ in range(8):
            with Secure(server, tls) as c:
                c.ping()
        return time.monotonic() - began

    server = reloadable(tls.block(server="server-p256"), workers=1)
    assert seconds() < 2
    server.reload("signer_rate: 2\n" + tls.block(server="server-p256"))
    assert seconds() > 2


def test_every_live_key_is_here():
    live = settings_how(r"(?:LIVE|LIVE \| SECRET)")
    assert len(live) > 30
    assert sorted(live) == sorted(set(ROWS) | APART)
    for key in APART:
        assert f"test_{key}" in globals(), key


@pytest.mark.parametrize("key", sorted(ROWS))
def test_a_live_key(reloadable, key):
    before, now, shows, rest, once = (*ROWS[key], "", None)[:5] if len(ROWS[key]) < 5 else ROWS[key]
    env = dict(os.environ, TZ="Asia/Tokyo")
    server = reloadable(rest + (f"{key}: {before}\n" if before is not None else ""), env=env)
    held = None if key in ("max_connections_per_address", "lame_duck_duration") else server.client()
    if held:
        held.send("SUB held 1\r\n")
        held.ping()
    if once is not ONCE:
        assert not shows(server), f"{key} shows what it is not set to"
    server.reload(rest.replace("# no http\n", "") + f"{key}: {now}\n")
    if key != "log_format":
        assert re.search(rf"\[INF\] Reloaded: {key} = ", server.log()) or key in ("http", "port")
    assert shows(server), f"{key} does not show"
    if held and once is not ONCE and not key.startswith("ping"):
        held.send("PUB held 2\r\nhi\r\n")
        assert held.message()[4] == b"hi"


def test_unix_socket_mode(reloadable, tmp_path):
    listen = f'listen: ["127.0.0.1:-1", "unix:{tmp_path}/s"]\n'
    server = reloadable(listen)
    assert os.lstat(tmp_path / "s").st_mode & 0o777 == 0o600
    server.reload(listen + 'unix_socket_mode: "0660"\n')
    assert "Reloaded: unix_socket_mode = 0660" in server.log()
    assert os.lstat(tmp_path / "s").st_mode & 0o777 == 0o660


def test_unix_socket_group(reloadable, tmp_path):
    listen = f'listen: ["127.0.0.1:-1", "unix:{tmp_path}/s"]\n'
    group = 54321 if os.geteuid() == 0 else os.getegid()
    server = reloadable(listen)
    server.reload(listen + f'unix_socket_group: "{group}"\n')
    assert f"Reloaded: unix_socket_group = {group}" in server.log()
    assert os.lstat(tmp_path / "s").st_gid == group
    server.reload(listen)
    assert os.lstat(tmp_path / "s").st_gid == os.getegid()


def test_trace_verbose(reloadable):
    """Nothing that the system account says passes through a client yet: all workers know it, that is all."""
    server = reloadable("trace: true\n")
    server.reload("trace: true\ntrace_verbose: true\n")
    assert "Reloaded: trace_verbose = true" in server.log()


def test_log_file(reloadable, tmp_path):
    server = reloadable()
    old, new = server.log_path, str(tmp_path / "other.log")
    server.reload(f'log_file: "{new}"\ndebug: true\n', log=new)
    assert "Reloaded: log_file = " + new in server.log()
    with server.client() as c:
        c.ping()
    server.wait_log("Client connection created")
    length = os.path.getsize(old)
    server.kill(signal.SIGHUP)
    harness.until(lambda: server.reloads() == 2, "reloaded again")
    assert os.path.getsize(old) == length


def test_a_log_file_that_cannot_be_opened_refuses_all(reloadable):
    server = reloadable()
    errors = server.refused('log_file: "/nonexistent/log"\nmax_payload: 77\n')
    assert "/nonexistent/log" in errors[0]
    assert server.varz()["max_payload"] == 1 << 20
    with server.client() as c:
        assert c.info["max_payload"] == 1 << 20


def test_remote_syslog(reloadable, collector):
    sock, url = collector
    server = reloadable()
    server.write(f'syslog: true\nremote_syslog: "{url}"\nlog_file: ""\n')
    server.kill(signal.SIGHUP)
    lines = b""
    while b"Reloaded server configuration" not in lines:
        lines += sock.recv(65536)
    assert b"Reloaded: remote_syslog = " in lines and b"Reloaded: syslog = true" in lines


def test_syslog(reloadable, collector):
    """From the system's log back to a file."""
    sock, url = collector
    server = reloadable(f'syslog: true\nremote_syslog: "{url}"\nlog_file: ""\n')
    server.reload("")
    assert "Reloaded: syslog = false" in server.log()


def test_pid_file(reloadable, tmp_path):
    one, two = tmp_path / "one.pid", tmp_path / "two.pid"
    server = reloadable(f'pid_file: "{one}"\n')
    assert one.read_text() == str(server.pid)
    server.reload(f'pid_file: "{two}"\n')
    assert two.read_text() == str(server.pid) and not one.exists()
    errors = server.refused('pid_file: "/nonexistent/pid"\nmax_payload: 77\n')
    assert "Could not write pidfile" in errors[0]
    assert two.read_text() == str(server.pid)
    assert server.varz()["max_payload"] == 1 << 20
    failed, changes, done = len(server.failures()), server.log().count("Reloaded: pid_file"), server.reloads()
    server.write(f'pid_file: "{two}"\nmax_payload: 88\n')
    server.kill(signal.SIGHUP)
    harness.until(lambda: server.reloads() > done, "reloaded")
    assert "Reloaded: max_payload = 88" in server.log()
    assert server.log().count("Reloaded: pid_file") == changes and len(server.failures()) == failed
    assert server.stop() == 0 and not two.exists()


def test_ports_file_dir(reloadable, tmp_path):
    server = reloadable()
    other = tmp_path / "other"
    other.mkdir()
    old = glob.glob(server.folder + "/*.ports")
    server.reload(f'ports_file_dir: "{other}"\n')
    assert len(list(other.glob("*.ports"))) == 1 and old and not os.path.exists(old[0])
    errors = server.refused('ports_file_dir: "/nonexistent"\npid_file: "%s"\n' % (tmp_path / "pid"))
    assert "ports file" in errors[0]
    assert len(list(other.glob("*.ports"))) == 1 and not (tmp_path / "pid").exists()


# ---- all or nothing

FIXED = {"server_name": ("a", "b"), "workers": (3, 2), "sandbox": ('"off"', '"best_effort"'), "uid_base": (64000, 65000),
         "control_socket": ('"auto"', '"none"'), "control_socket_group": ('""', '"nogroup"'),
         "process_users": ('[worker:700]', '[worker:800]'),
         "user": ('""', '"nobody"'), "group": ('""', '"nogroup"'), "ring_size": (0, 1 << 20), "auth_threads": (0, 2), "system_account": ("A", "B")}


def test_every_fixed_key_is_here():
    assert sorted(settings_how("FIXED")) == sorted(FIXED)


@pytest.mark.parametrize("key", sorted(FIXED))
def test_a_fixed_key_refuses_the_whole_reload(reloadable, key):
    before, now = FIXED[key]
    tail = "" if key != "workers" else None
    server = Reloadable.__new__(Reloadable)
    rest = "accounts { A {}, B {} }\n" if key == "system_account" else ""
    server = reloadable("" if key == "workers" or before == '""' else rest + f"{key}: {before}\n")
    if tail is None:
        server.tail = server.tail.replace("workers: 3", "workers: 2")
        config = "max_payload: 77\n"
    else:
        if key == "sandbox":
            server.tail = server.tail.replace("sandbox: off\n", "")
        config = rest + f"max_payload: 77\n{key}: {now}\n" + ("user: nobody\n" if key == "group" else "")
    errors = server.refused(config)
    shown = [str(v).strip('"') for v in (before, now)]
    assert f"config reload not supported for {key}: old={shown[0]}, new={shown[1]}" in errors
    assert server.varz()["max_payload"] == 1 << 20
    with server.client() as c:
        assert c.info["max_payload"] == 1 << 20
    assert "Reloaded: " not in server.log()


@pytest.mark.parametrize("text, says", [("max_payload: many\n", "max_payload"), ("{{{{", "server.conf:"),
                                        ("no_such_key: 1\nmax_payload: 5\n", "no_such_key"),
                                        ("", None)])
def test_a_bad_file_keeps_everything(reloadable, text, says):
    server = reloadable()
    if says is None:
        os.unlink(server.config_path)
        server.kill(signal.SIGHUP)
        harness.until(server.failures, "refused")
        assert "no such file or directory" in server.failures()[0]
    else:
        assert any(says in e for e in server.refused(text))
    assert server.varz()["max_payload"] == 1 << 20
    assert len(server.workers()) == 3
    server.write("max_payload: 1000\n")
    server.kill(signal.SIGHUP)
    harness.until(lambda: server.reloads() == 1, "a good one is read again")
    assert server.varz()["max_payload"] == 1000


def test_without_a_file_there_is_nothing_to_reload(start):
    server = start()
    server.process.send_signal(signal.SIGTERM)
    server.process.wait()
    server.process.stdout.close()
    server.argv = [a for a in server.argv if a not in ("-c", server.config_path)]
    server.start()
    server.kill(signal.SIGHUP)
    server.wait_log(r"\[ERR\] Failed to reload server configuration: "
                    r"can only reload config when a file is provided using -c or --config")
    with server.client() as c:
        assert c.ping() == b""


def test_flags_win_again(start):
    server = start(config="max_payload: 5000\n", args=["-m", "-1"])
    port = server.port
    with open(server.config_path, "w") as f:
        f.write("workers: 3\nport: 1\nhttp_port: 1\nmax_payload: 4000\n" + ("sandbox: off\n" if harness.SANITIZED else ""))
    server.kill(signal.SIGHUP)
    server.wait_log(r"Reloaded server configuration \(sha256:[0-9a-f]{64}\)")
    with harness.Client(port) as c:
        assert c.info["max_payload"] == 4000 and c.info["port"] == port
    assert "Listening for client" not in server.log().split("Trapped")[1]


def test_an_unchanged_file_says_so_in_one_line(reloadable):
    server = reloadable()
    server.reload()
    lines = [line.split("] ", 2)[-1] for line in server.log().split("Server is ready\n")[1].splitlines()]
    assert lines[0] == 'Trapped "hangup" signal'
    assert re.fullmatch(r"Reloaded server configuration \(sha256:[0-9a-f]{64}\)", lines[1])
    assert len(lines) == 2


def test_varz_says_when_and_what(reloadable):
    server = reloadable()
    first = server.varz()
    assert first["config_load_time"] == first["start"]
    server.reload("max_payload: 2048\n")
    again = server.varz()
    assert "Reloaded: max_payload = 2048" in server.log()
    assert again["config_load_time"] > first["config_load_time"] and again["start"] == first["start"]
    assert again["config_digest"] != first["config_digest"]
    assert again["config_digest"] in server.log()
    assert again["server_id"] == first["server_id"]
    # a successor of the process that reports knows it too
    (system,) = server.children("system")
    os.kill(system, signal.SIGKILL)
    harness.until(lambda: server.children("system") and system not in server.children("system"), "replaced")

    def same():
        try:
            return server.varz()["config_load_time"] == again["config_load_time"]
        except OSError:
            return False
    harness.until(same, "the same load time")


# ---- listeners

def test_listeners_come_and_go_under_traffic(reloadable):
    """Subscribers on each port stay when it is closed; every message of a publisher arrives, in order."""
    one, two, three = free_port(), free_port(), free_port()
    server = reloadable(f'listen: ["127.0.0.1:{one}", "127.0.0.1:{two}"]\n')
    subs = [harness.Client(p) for p in (one, two)]
    for c in subs:
        c.send("SUB n 1\r\n")
        c.ping()
    stop, sent = threading.Event(), [0]

    def publish():
        with harness.Client(one) as pub:
            while not stop.is_set():
                body = str(sent[0])
                pub.send(f"PUB n {len(body)}\r\n{body}\r\n")
                pub.ping()
                sent[0] += 1

    thread = threading.Thread(target=publish)
    thread.start()
    for ports in ((two, three), (one,), (one, two, three), (three,)):
        server.reload("listen: [%s]\n" % ", ".join(f'"127.0.0.1:{p}"' for p in ports))
        for port in (one, two, three):
            assert listens(lambda s, p=port: p)(server) == (port in ports), (port, ports)
    stop.set()
    thread.join()
    subs[0].send(f"PUB n 4\r\nlast\r\n")
    for c in subs:
        for i in range(sent[0]):
            assert c.message()[4] == str(i).encode()
        assert c.message()[4] == b"last"
    assert f"Stopped listening on 127.0.0.1:{one}" in server.log()
    assert f"Listening for client connections on 127.0.0.1:{three}" in server.log()


def test_a_listener_moves_to_an_address_that_overlaps(reloadable):
    port = free_port()
    server = reloadable(f'host: "127.0.0.1"\nport: {port}\n')
    old = harness.Client(port)
    server.reload(f'host: "0.0.0.0"\nport: {port}\n')
    with harness.Client(port, host="127.0.0.3") as c:
        assert c.ping() == b""
    server.reload(f'host: "127.0.0.1"\nport: {port}\n')
    with pytest.raises(OSError):
        harness.Client(port, host="127.0.0.3")
    assert old.ping() == b""


def test_a_port_in_use_refuses_all(reloadable):
    port, new = free_port(), free_port()
    server = reloadable(f'listen: "127.0.0.1:{port}"\n')
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        taken = busy.getsockname()[1]
        errors = server.refused(f'listen: ["127.0.0.1:{new}", "127.0.0.1:{taken}"]\nmax_payload: 77\n')
        assert "address already in use" in errors[0]
    assert listens(lambda s: port)(server) and not listens(lambda s: new)(server)
    assert server.varz()["max_payload"] == 1 << 20


def test_monitoring_is_turned_off_and_on(reloadable):
    server = reloadable(http=False)
    assert not server.children("monitor")
    for _ in range(3):
        server.reload(HTTP)
        assert server.varz()["connections"] >= 0
        (monitor,) = server.children("monitor")
        port = server.http_port()
        server.reload("# none\n")
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=harness.LIMIT)
        harness.until(lambda m=monitor: not harness.alive(m), "monitor ends")
    # on, off and on again before it has ended: there is one in the end
    for i in range(10):
        server.reload(HTTP if i % 2 == 0 else "# none\n")
    server.reload(HTTP)
    harness.until(lambda: len(server.children("monitor")) == 1, "one monitor")
    assert server.varz()["connections"] >= 0
    assert "it is replaced" not in server.log()


# ---- max_connections

def test_a_lower_max_connections_closes_the_surplus(reloadable):
    server = reloadable()
    clients = [server.client() for _ in range(40)]
    for c in clients:
        c.ping()
    harness.until(lambda: server.varz()["connections"] == 40, "40 connections")
    server.reload("max_connections: 15\n")
    assert "Closed 25 connections to fall within max_connections" in server.log()
    harness.until(lambda: server.varz()["connections"] == 15, "15 connections")
    ended = 0
    for c in clients:
        c.send("PING\r\n")
        try:
            c.until(b"PONG\r\n")
        except (EOFError, ConnectionResetError, BrokenPipeError) as e:
            assert not isinstance(e, EOFError) or "maximum connections exceeded" in str(e)
            ended += 1
    assert ended == 25
    assert b"maximum connections exceeded" in server.client(connect=False).rest()
    server.reload("max_connections: 16\n")
    assert server.client().ping() == b""


# ---- processes that do not go along

def test_a_stopped_worker_does_not_hold_a_reload_up(reloadable):
    server = reloadable('watchdog: "1s"\n')
    worker = server.workers()[1]
    os.kill(worker, signal.SIGSTOP)
    server.reload('watchdog: "1s"\nmax_payload: 2048\n')
    assert not harness.alive(worker)
    harness.until(lambda: len(server.workers()) == 3, "replaced")
    for _ in range(9):
        with server.client() as c:
            assert c.info["max_payload"] == 2048


def test_a_worker_that_is_killed_meanwhile_comes_back_with_what_is_in_force(reloadable):
    server = reloadable("restart_limit: 100000\n")
    for i in range(15):
        size = 1000 + i
        worker = server.workers()[i % 3]
        server.write(f"restart_limit: 100000\nmax_payload: {size}\n")
        before = server.reloads()
        server.kill(signal.SIGHUP)
        if i % 2:
            os.kill(worker, signal.SIGKILL)
        else:
            threading.Timer(0.002 * i, os.kill, (worker, signal.SIGKILL)).start()
        harness.until(lambda b=before: server.reloads() > b, "reloaded")
        harness.until(lambda w=worker: not harness.alive(w), "killed")
        harness.until(lambda: len(server.workers()) == 3, "replaced")
        # all three are asked: connections go round
        seen = 0
        for _ in range(6):
            with server.client() as c:
                assert c.info["max_payload"] == size
                seen += 1
        assert seen == 6


def test_hangups_during_a_reload_are_one_more(reloadable):
    server = reloadable('watchdog: "60s"\n')
    worker = server.workers()[0]
    os.kill(worker, signal.SIGSTOP)             # the first reload waits for its answer
    server.write('watchdog: "60s"\nmax_payload: 2048\ndebug: true\n')
    server.kill(signal.SIGHUP)
    harness.until(lambda: "Trapped" in server.log() and not server.children("config"), "the file is read")
    server.write('watchdog: "60s"\nmax_payload: 4096\n')
    for i in range(3):
        server.kill(signal.SIGHUP)
        harness.until(lambda n=i: server.log().count("Trapped") == n + 2, "it has come")
    os.kill(worker, signal.SIGCONT)
    harness.until(lambda: server.varz()["max_payload"] == 4096, "the last file is what counts")
    harness.until(lambda: server.reloads() == 2, "both are said")
    assert not server.failures() and worker in server.workers()


def test_a_reload_before_it_serves_is_not_lost(tmp_path):
    server = Reloadable(tmp_path)
    server.start(wait=False)
    try:
        server.wait_log("Starting nats-server")
        server.write("max_payload: 2048\n")
        server.kill(signal.SIGHUP)
        server.wait_ready()
        harness.until(lambda: server.varz()["max_payload"] == 2048, "reloaded")
    finally:
        server.__exit__()


def test_shutdown_and_lame_duck_during_a_reload(reloadable):
    for how in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
        server = reloadable('watchdog: "60s"\n')
        os.kill(server.workers()[0], signal.SIGSTOP)        # it stays in the middle of one
        server.kill(signal.SIGHUP)
        server.wait_log("Trapped .hangup")
        server.kill(how)
        if how == signal.SIGUSR2:
            server.wait_log("Entering lame duck mode")
            server.kill(signal.SIGINT)
        assert server.process.wait(harness.LIMIT) == 0
        server.process.stdout.close()
        server.process = None


def test_larger_messages_pass_between_workers_in_the_middle_of_a_change(reloadable):
    """A worker that follows later must not take a message of a larger max_payload for a broken lane."""
    both = "debug: true\nmax_pending: 4000000000\nwrite_deadline: 5m\n"     # subs read at the end
    small, large = both + "max_payload: 1000\n", both + "max_payload: 100000\n"
    server = reloadable(small)
    pub, *subs = server.clients_on_different_workers(3)
    for c in subs:
        c.send("SUB big 1\r\n")
        c.ping()
    workers = server.workers()
    stop = threading.Event()
    body = b"x" * 900

    def hang_up():
        for i in range(20):
            server.reload(large if i % 2 == 0 else small)
        stop.set()

    thread = threading.Thread(target=hang_up)
    thread.start()
    count = 0
    while not stop.is_set():
        pub.send(b"PUB big 900\r\n" + body + b"\r\n")
        with server.client() as other:      # it ends if the limit is the small one just now
            try:
                other.send(b"PUB big 90000\r\n" + b"y" * 90000 + b"\r\nPING\r\n")
                other.until(b"PONG\r\n")
            except OSError:
                pass
            except EOFError:
                pass
        count += 1
    thread.join()
    pub.send("PUB big 4\r\nlast\r\n")
    for c in subs:
        got = 0
        while True:
            payload = c.message()[4]
            got += payload == body
            if payload == b"last":
                break
        assert got == count
    assert server.workers() == workers, "nobody was replaced"


@pytest.mark.skipif(not harness.real_server(), reason="no real server to compare with")
def test_the_real_server_says_the_same(reloadable, tmp_path):
    """The lines that scripts wait for."""
    folder = tmp_path / "real"
    folder.mkdir()
    real = harness.Server(folder, config="max_payload: 1000\n", exe=harness.real_server())
    ours = reloadable("max_payload: 1000\n")
    with real:
        with open(real.config_path, "w") as f:
            f.write("max_payload: 2048\n")
        real.kill(signal.SIGHUP)
        real.wait_log("Reloaded server configuration")
        ours.reload("max_payload: 2048\n")
        for pattern in (r"\[INF\] Reloaded: max_payload = 2048\n", r"\[INF\] Reloaded server configuration \(sha256:\w+\)\n"):
            assert re.search(pattern, real.log()) and re.search(pattern, ours.log())
        with open(real.config_path, "w") as f:
            f.write("max_payload: many\n")
        real.kill(signal.SIGHUP)
        real.wait_log("Failed to reload server configuration: ")
        assert "max_payload" in ours.refused("max_payload: many\n")[0]
        assert subprocess.run([harness.BULKHEAD, "-sl", f"reload={ours.pid}"], check=False).returncode == 0
        harness.until(lambda: len(ours.failures()) == 2, "asked by -sl")
