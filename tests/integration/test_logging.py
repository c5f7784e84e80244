"""Where lines go, how they look, and what happens when that breaks."""
import contextlib
import glob
import json
import os
import re
import signal
import socket
import subprocess

import pytest

import harness

OLD = re.compile(r"\.\d{4}\.\d\d\.\d\d\.\d\d\.\d\d\.\d\d\.\d{9}$")


def old_logs(path):
    return sorted(p for p in glob.glob(path + ".*") if OLD.fullmatch(p[len(path):]))


def text_of(paths):
    """One may have been renamed or removed since it was listed."""
    text = ""
    for path in paths:
        try:
            with open(path, errors="replace") as f:
                text += f.read()
        except FileNotFoundError:
            pass
    return text


def chatter(server, count):
    """Cause at least so many lines."""
    for _ in range(count):
        with server.client() as c:
            c.ping()


def start_with_log(start, path, config):
    """A server that logs there."""
    server = start(config=config, wait=False)
    server.stop()
    server.log_path = str(path)
    server.argv[server.argv.index("-l") + 1] = server.log_path
    return server.start()


# -- files

def test_a_full_log_is_renamed_as_the_real_server_does(start):
    server = start(config="debug: true\nlogfile_size_limit: 4KB\n")
    path = server.log_path
    chatter(server, 60)
    harness.until(lambda: len(old_logs(path)) >= 2, "two old logs")
    with server.client() as c:
        cid = c.info["client_id"]
    harness.until(lambda: f"cid:{cid} - Client connection closed" in text_of(old_logs(path) + [path]),
                  "the last line")
    assert server.stop() == 0
    everything = text_of(old_logs(path) + [path])
    for n in range(1, cid + 1):       # nothing is lost, and nothing twice
        assert len(re.findall(rf"cid:{n} - Client connection created", everything)) == 1, n
    for name in old_logs(path):
        assert re.search(rf'^\[{server.pid}\] .* Rotated log, backup saved as "{name}"$', everything, re.M)
        assert os.path.getsize(name) > 4096
    assert "were lost" not in everything


def test_a_limit_below_a_line_does_not_rotate_for_ever(start):
    server = start(config="logfile_size_limit: 1\nlogfile_max_num: 3\n")
    server.kill(signal.SIGUSR1)
    harness.until(lambda: "re-opened" in text_of(old_logs(server.log_path)), "a rotation")
    assert server.stop() == 0
    logs = old_logs(server.log_path) + [server.log_path]
    assert len(logs) == 3
    assert all("Rotated log, backup saved as" in text_of([name]).split("\n")[0] for name in logs[1:-1])
    assert all(text_of([name]).count("Rotated log") <= 1 for name in logs)


def test_so_many_logs_are_kept_and_nothing_else_goes(start, tmp_path):
    folder = tmp_path / "server0"
    others = ["log.1", "log.2026.01.02.03.04.05.000000001.gz", "another.2020.01.02.03.04.05.000000001"]
    server = start(config="debug: true\nlogfile_size_limit: 1KB\nlogfile_max_num: 3\n")
    for name in others:
        (folder / name).write_text("precious")
    seen = set()

    def several():
        chatter(server, 5)
        seen.update(old_logs(server.log_path))
        return len(seen) >= 5
    harness.until(several, "five rotations")
    assert server.stop() == 0
    assert len(old_logs(server.log_path)) == 2
    assert all((folder / name).read_text() == "precious" for name in others)


def test_a_file_that_cannot_be_renamed_stays_in_use(start, tmp_path):
    # with the time the name is too long
    server = start_with_log(start, tmp_path / ("x" * 240), "debug: true\nlogfile_size_limit: 2KB\n")
    chatter(server, 40)
    server.wait_log("the full log cannot be renamed to .*: file name too long; the old one stays in use")
    with server.client() as c:
        cid = c.info["client_id"]
    server.wait_log(f"cid:{cid} - Client connection closed")
    assert server.log().count("cannot be renamed") <= os.path.getsize(server.log_path) // 2048 + 1
    assert not old_logs(server.log_path)


def test_somebody_elses_file_is_not_renamed(start):
    server = start(config="debug: true\nlogfile_size_limit: 4KB\n")
    os.rename(server.log_path, server.log_path + ".mine")
    with open(server.log_path, "w") as f:
        f.write("not the server's\n")

    def reopened():
        chatter(server, 1)
        return "File log re-opened" in server.log()
    harness.until(reopened, "the log is opened again")
    assert not old_logs(server.log_path)
    assert server.log().startswith("not the server's\n")


def test_the_first_line_of_a_new_file(start):
    server = start(config="debug: true\n")
    os.rename(server.log_path, server.log_path + ".1")
    server.kill(signal.SIGUSR1)
    server.wait_log("File log re-opened")
    assert re.match(r"\[\d+\] [\d/]+ [\d:.]+ \[INF\] File log re-opened\n", server.log())


def test_a_log_that_cannot_be_reopened_stays(start):
    server = start(config="debug: true\n")
    moved = server.log_path + ".1"
    os.rename(server.log_path, moved)
    os.mkdir(server.log_path)
    server.kill(signal.SIGUSR1)
    harness.until(lambda: "is a directory; the old one stays in use" in open(moved).read(), "an error line")
    chatter(server, 1)
    harness.until(lambda: "Client connection created" in open(moved).read(), "lines in the old one")


def test_a_log_that_cannot_be_written_is_refused_at_start(tmp_path):
    done = subprocess.run([harness.BULKHEAD, "-p", "-1", "-l", str(tmp_path / "none" / "log")],
                          capture_output=True, timeout=harness.LIMIT, check=False)
    assert done.returncode == 1
    assert re.fullmatch(rb"bulkhead: error opening log file: open .*/none/log: no such file or directory\n",
                        done.stderr)


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder],
                      capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_costs_lines_and_nothing_else(start, small_disk):
    server = start_with_log(start, small_disk / "log", "debug: true\n")
    log = next(iter(server.children("log")))
    with open(small_disk / "filler", "wb", buffering=0) as f, contextlib.suppress(OSError):
        while True:
            f.write(b"x" * 512)
    for _ in range(100):
        with server.client() as c:
            assert c.ping() == b""
    os.unlink(small_disk / "filler")

    def told():
        chatter(server, 1)
        return re.search(r"\[ERR\] log: (\d+) lines were lost here: No space left on device\n", server.log())
    assert int(harness.until(told, "what was lost").group(1)) >= 20
    assert log in server.children("log")


def test_dev_full_does_not_end_the_server(start):
    server = start_with_log(start, "/dev/full", "debug: true\n")
    chatter(server, 5)
    assert server.stop() == 0


# -- how lines look

def test_utc_and_no_time(start):
    env = dict(os.environ, TZ="XXX-5")
    here = start(env=env)
    utc = start(config="logtime_utc: true\n", env=env)
    hours = [int(re.search(r"\] \d{4}/\d\d/\d\d (\d\d):", s.log()).group(1)) for s in (here, utc)]
    assert (hours[0] - hours[1]) % 24 in (4, 5)         # an hour may have ended between the two
    bare = start(config="logtime: false\nlogtime_utc: true\n")
    assert all(re.match(r"\[\d+\] \[(INF|WRN)\] ", line) for line in bare.log().splitlines())


def test_json_is_json_whatever_a_client_says(start):
    server = start(config="log_format: json\ntrace: true\ndebug: true\n")
    with server.client() as c:
        c.send(b'PUB a\xff\x1b"} 5\r\n\xc3\xa4\n\x00\\\r\n')
        c.ping()
        cid = c.info["client_id"]
    server.wait_log(f'"cid":{cid},.*connection closed')
    lines = [json.loads(line) for line in open(server.log_path, "rb").read().decode().splitlines()]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}([+-]\d\d:\d\d|Z)", line["time"])
               for line in lines)
    said = [line for line in lines if line.get("cid") == cid and "<<- [PUB" in line["text"]]
    assert len(said) == 1 and said[0]["level"] == "TRC" and said[0]["process"] == "worker"
    assert said[0]["pid"] in server.workers()
    assert said[0]["text"].endswith('<<- [PUB a\\xff\x1b"} 5]')
    assert "\x1b" not in server.log()


def terminal_output(argv, wanted):
    """What it writes to a terminal until `wanted`, then it is ended."""
    master, slave = os.openpty()
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=slave)
    os.close(slave)
    data = b""
    try:
        while wanted not in data:
            data += os.read(master, 65536)
    finally:
        process.terminate()
        assert process.wait(harness.LIMIT) == 0
        os.close(master)
    return data


def test_colours_on_a_terminal_are_those_of_the_real_server():
    said = terminal_output([harness.BULKHEAD, "-a", "127.0.0.1", "-p", "-1"], b"Server is ready")
    assert re.search(rb"^\[\d+\] [\d/]+ [\d:.]+ \[\x1b\[32mINF\x1b\[0m\] Server is ready", said, re.M)
    real = harness.real_server()
    if real:
        theirs = terminal_output([real, "-a", "127.0.0.1", "-p", "-1"], b"Server is ready")
        line = rb"\[\x1b\[32mINF\x1b\[0m\] Starting nats-server"
        assert re.search(line, theirs) and re.search(line, said)


# -- limits

def test_what_clients_cause_is_limited(start):
    server = start(config="log_burst: 3\n", workers=1)
    for _ in range(200):
        with harness.Client(server.port) as c:
            c.send(b"nonsense\r\n")
            c.rest()

    def told():
        with harness.Client(server.port) as c:
            c.send(b"nonsense\r\n")
            c.rest()
        return "more lines like the following were left out" in server.log()
    harness.until(told, "what was left out")
    stamps = re.findall(r" (\d\d:\d\d:\d\d)\.\d+ \[ERR\] .*protocol error", server.log())
    assert stamps and all(stamps.count(second) <= 6 for second in stamps)


# -- syslog

@contextlib.contextmanager
def udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        s.settimeout(harness.LIMIT)
        yield s, f"udp://127.0.0.1:{s.getsockname()[1]}"


class Listener:
    """A stream syslog: lines of whoever connects, one connection at a time."""

    def __init__(self, address):
        self.address, self.connection, self.data = address, None, b""
        self.open()

    def open(self):
        if isinstance(self.address, str):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.address)
            self.sock = socket.socket(socket.AF_UNIX)
        else:
            self.sock = socket.socket()
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(self.address)
        self.sock.listen()
        self.address = self.sock.getsockname()
        self.sock.settimeout(harness.LIMIT)

    def url(self):
        return f"unix://{self.address}" if isinstance(self.address, str) else \
            f"tcp://{self.address[0]}:{self.address[1]}"

    def until(self, text):
        """All up to text, from the next connection if there is none."""
        while text not in self.data:
            if self.connection is None:
                self.connection, _ = self.sock.accept()
                self.connection.settimeout(harness.LIMIT)
            data = self.connection.recv(65536)
            assert data, self.data
            self.data += data
        before, self.data = self.data.split(text, 1)
        return before + text

    def close(self):
        if self.connection is not None:
            self.connection.close()
        self.connection, self.data = None, b""
        self.sock.close()


def shape(data):
    """Without what differs from run to run."""
    data = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)", b"RFC3339", data)
    data = re.sub(rb"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d", b"RFC3164", data)
    data = re.sub(rb"\bN[A-Z0-9]{55}\b", b"ID", data)
    return re.sub(rb"\[\d+\]: ", b"[PID]: ", data)


COMMON = [b"Starting nats-server\n", b"  Version:  2.", b"  Name:     ", b"  ID:       "]


def syslog_lines(exe, url, receive):
    """The lines of the start that both servers say, as one list."""
    # the same name: it is in each line
    process = subprocess.Popen(["nats-server", "-a", "127.0.0.1", "-p", "-1", "-r", url], executable=exe,
                               stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        lines = []
        while not lines or b"Server is ready" not in lines[-1]:
            lines += receive()
    finally:
        process.terminate()
        assert process.wait(harness.LIMIT) == 0
    return [shape(line) for line in lines if any(word in line for word in COMMON)]


@pytest.mark.parametrize("kind", ["udp", "tcp", "unix"])
def test_a_syslog_gets_the_bytes_that_the_real_server_sends(kind, tmp_path):
    real = harness.real_server()
    if not real:
        pytest.skip("no nats-server to compare with")
    if kind == "udp":
        with udp() as (s, url):
            ours, theirs = [syslog_lines(exe, url, lambda: [s.recv(65536)])
                            for exe in (harness.BUILD + "/bin/nats-server", real)]
    else:
        found = []
        for exe in (harness.BUILD + "/bin/nats-server", real):
            listener = Listener(str(tmp_path / "syslog") if kind == "unix" else ("127.0.0.1", 0))
            found.append(syslog_lines(exe, listener.url(), lambda: [listener.until(b"\n")]))  # noqa: B023
            listener.close()
        ours, theirs = found
    assert len(ours) == len(COMMON)
    assert ours == theirs
    # kern.notice, as there
    assert ours[0].startswith(b"<5>RFC3164 nats-server" if kind == "unix" else b"<5>RFC3339 ")


def test_the_systems_own_syslog(tmp_path):
    if os.geteuid() != 0 or any(os.path.exists(p) and not os.path.isdir(p)
                               for p in ("/dev/log", "/var/run/syslog", "/var/run/log")):
        pytest.skip("needs a system without a syslog, and root")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind("/dev/log")
        try:
            s.settimeout(harness.LIMIT)
            process = subprocess.Popen([harness.BULKHEAD, "-a", "127.0.0.1", "-p", "-1", "-s"],
                                       stdin=subprocess.DEVNULL)
            try:
                line = shape(s.recv(65536))
            finally:
                process.terminate()
                process.wait(harness.LIMIT)
        finally:
            os.unlink("/dev/log")
    assert line == b"<29>RFC3164 bulkhead[PID]: Starting nats-server\n"


def test_a_file_wins_over_a_syslog_and_remote_over_local(start):
    with udp() as (s, url):
        server = start(config=f"syslog: true\nremote_syslog: '{url}'\n")      # with -l
        server.wait_log("Server is ready")
        s.setblocking(False)
        with pytest.raises(BlockingIOError):
            s.recv(65536)
        s.settimeout(harness.LIMIT)
        process = subprocess.Popen([harness.BULKHEAD, "-a", "127.0.0.1", "-p", "-1", "-s", "-r", url],
                                   stdin=subprocess.DEVNULL)
        try:
            assert b"Starting nats-server" in s.recv(65536)
        finally:
            process.terminate()
            process.wait(harness.LIMIT)


@pytest.mark.parametrize("url, said", [
    ("tcp://127.0.0.1:1", 'error connecting to syslog: "dial tcp 127.0.0.1:1: connect: connection refused"'),
    ("unix:///nonexistent", 'error connecting to syslog: "dial unix /nonexistent: connect: no such file or directory"'),
    ("http://127.0.0.1:1", 'error invalid network type: "http"'),
    ("127.0.0.1:514", 'error invalid network type: ""'),
    ("udp://127.0.0.1", 'error connecting to syslog: "dial udp: address 127.0.0.1: missing port in address"'),
    ("udp://[::1", 'error connecting to syslog: "dial udp: address [::1: missing port in address"'),
])
def test_a_syslog_that_is_not_there_is_refused_at_start(url, said):
    done = subprocess.run([harness.BULKHEAD, "-p", "-1", "-r", url], capture_output=True,
                          timeout=harness.LIMIT, check=False)
    assert done.returncode == 1
    assert done.stderr.decode() == f"bulkhead: {said}\n"


@pytest.fixture
def logged(tmp_path):
    """logged(url, config) -> a Server that logs there; ended after the test."""
    servers = []

    def starter(url, config=""):
        folder = tmp_path / f"logged{len(servers)}"
        folder.mkdir()
        server = harness.Server(folder, config=f"remote_syslog: '{url}'\ndebug: true\n" + config)
        del server.argv[1:3]            # -l
        servers.append(server)
        return server.start()

    yield starter
    for server in servers:
        server.__exit__()


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_syslog_that_comes_back_misses_nothing(logged, kind, tmp_path):
    listener = Listener(str(tmp_path / "syslog") if kind == "unix" else ("127.0.0.1", 0))
    server = logged(listener.url())
    listener.until(b"Server is ready\n")
    listener.close()
    with server.client() as c:
        cid = c.info["client_id"]
        assert c.ping() == b""
        listener.open()
        listener.until(b"cid:%d - Client connection created\n" % cid)
    listener.until(b"cid:%d - " % cid)
    assert server.stop() == 0
    listener.until(b"Server Exiting..\n")
    listener.close()


def test_what_a_syslog_misses_for_too_long_is_counted(logged):
    listener = Listener(("127.0.0.1", 0))
    server = logged(listener.url(), "trace: true\n")
    listener.until(b"Server is ready\n")
    listener.close()
    with server.client() as c:
        for _ in range(200):            # more than what waits for it may be
            c.send(b"PUB a 4000\r\n", b"x" * 4000, b"\r\n")
        assert c.ping() == b""
    listener.open()

    # a line comes after the lost ones; who counted depends on whose buffer was full first
    listener.until(b"MSG_PAYLOAD")
    chatter(server, 1)
    listener.until(b" lines were lost here")
    listener.close()


def test_a_syslog_that_nobody_reads_holds_nobody_up(logged):
    listener = Listener(("127.0.0.1", 0))
    server = logged(listener.url(), "trace: true\n")
    with server.client() as c:
        for _ in range(2000):
            c.send(b"PUB a 4000\r\n", b"x" * 4000, b"\r\n")
        assert c.ping() == b""
    assert server.stop() == 0
    listener.close()


def test_a_new_log_process_connects_anew(logged):
    listener = Listener(("127.0.0.1", 0))
    server = logged(listener.url())
    listener.until(b"Server is ready\n")
    os.kill(next(iter(server.children("log"))), signal.SIGKILL)
    with pytest.raises(AssertionError):
        listener.until(b"no such line")         # the end of the connection
    listener.connection = None
    listener.until(b"log 0 (process ")
    assert server.stop() == 0
    listener.close()


def test_udp_without_a_listener_costs_lines_only(logged):
    with udp() as (s, url):
        pass
    server = logged(url)
    chatter(server, 20)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", int(url.rsplit(":", 1)[1])))
        s.settimeout(harness.LIMIT)
        chatter(server, 2)
        while b"Client connection created" not in s.recv(65536):
            pass


# -- reload

def reload_with(server, config, log):
    """A new configuration; what log(), called until it is done, says from then on."""
    before = len(re.findall("Reloaded server configuration|ailed to reload", log()))
    with open(server.config_path, "w") as f:
        f.write(config)
    server.kill(signal.SIGHUP)
    harness.until(lambda: len(re.findall("Reloaded server configuration|ailed to reload", log())) > before,
                  "an answer to the reload")


@pytest.fixture
def reloaded(tmp_path):
    """A Server whose configuration names its log: (server, its configuration so far)."""
    folder = tmp_path / "server"
    folder.mkdir()
    config = f"debug: true\nworkers: 2\nlog_file: '{folder}/log'\n" + \
        ("sandbox: off\n" if harness.SANITIZED else "")
    server = harness.Server(folder, config=config, workers=2)
    del server.argv[1:3]                # -l
    with server:
        yield server, config


def test_a_reload_changes_how_lines_look(reloaded):
    server, config = reloaded
    reload_with(server, config + "log_format: json\nlogtime_utc: true\n", server.log)
    chatter(server, 1)
    server.wait_log('"text":".*Client connection closed')
    last = json.loads(server.log().splitlines()[-1])
    assert last["time"].endswith("Z")
    reload_with(server, config + "logtime: false\n", server.log)
    chatter(server, 1)
    server.wait_log(r"(?m)^\[\d+\] \[DBG\] .*Client connection closed")


def test_a_reload_opens_another_file(reloaded, tmp_path):
    server, config = reloaded
    other = tmp_path / "other"
    before = server.log
    with open(server.config_path, "w") as f:
        f.write(config.replace(f"{server.folder}/log", str(other)))
    server.kill(signal.SIGHUP)
    harness.until(lambda: other.exists() and "Reloaded server configuration" in before() + other.read_text(),
                  "the reload")
    chatter(server, 1)
    harness.until(lambda: "Client connection created" in other.read_text(), "lines in the other file")
    server.log_path = str(other)
    reload_with(server, config.replace(f"{server.folder}/log", "/nonexistent/log"), server.log)
    assert "open /nonexistent/log: no such file or directory" in server.log()
    chatter(server, 1)                  # and the log is what it was
    server.wait_log("(?s)nonexistent.*Client connection created")


def test_a_reload_goes_to_a_syslog_and_back(reloaded):
    server, config = reloaded
    plain = re.sub("log_file: .*\n", "", config)
    with udp() as (s, url):
        with open(server.config_path, "w") as f:
            f.write(plain + f"remote_syslog: '{url}'\n")
        server.kill(signal.SIGHUP)
        harness.until(lambda: b"Reloaded server configuration" in s.recv(65536) or "Reloaded server" in server.log(),
                      "the reload")
        chatter(server, 1)
        while b"Client connection closed" not in s.recv(65536):
            pass
        size = os.path.getsize(server.log_path)
        with open(server.config_path, "w") as f:
            f.write(config)
        server.kill(signal.SIGHUP)

        def back():
            chatter(server, 1)
            return "Client connection created" in server.log()[size:]
        harness.until(back, "lines in the file")


def test_a_reload_sets_the_size_at_which_a_log_is_full(reloaded):
    server, config = reloaded
    chatter(server, 20)
    assert not old_logs(server.log_path)
    with open(server.config_path, "w") as f:
        f.write(config + "logfile_size_limit: 1KB\n")
    server.kill(signal.SIGHUP)
    harness.until(lambda: old_logs(server.log_path), "an old log")


# -- trace

SAYS = [
    b'CONNECT {"verbose":true,"pedantic":false, "pass": "hidden","name":"n","version":"1.2","lang":"py",'
    b'"headers":true,"no_responders":true,"auth_token":"hidden","sig":"hidden"}\r\n',
    b"SUB foo 1\r\nSUB foo q 2\r\nUNSUB 2 5\r\nSUB  bar  3 \r\nUNSUB 3\r\nPONG\r\n",
    b"PUB foo 5\r\nhello\r\nPUB foo reply 3\r\nabc\r\nPUB nobody inbox 0\r\n\r\n",
    b"HPUB foo 22 25\r\nNATS/1.0\r\nBar: baz\r\n\r\nabc\r\nHPUB foo r 22 22\r\nNATS/1.0\r\nBar: baz\r\n\r\n\r\n",
    b'PUB foo 7\r\n\x00\xff"\\\xc3\xa4\n\r\npub foo 0\r\n\r\n',
    b"PUB foo 40\r\n" + b"0123456789" * 4 + b"\r\nSUB a..b 9\r\n",
]


def traced(exe, folder, flags, config):
    """What the trace says of SAYS, without what differs from run to run."""
    folder.mkdir()
    server = harness.Server(folder, exe=exe, workers=1, args=flags, config=config)
    with server:
        with harness.Client(server.port, connect=False) as c:
            cid = c.info["client_id"]
            for data in SAYS:
                c.send(data)
                c.ping()
        server.wait_log(rf"cid:{cid} - .*DELSUB 1\]")
        text = server.log()
        assert server.stop() == 0
    # the account, and a user whom nobody checked, are said of a client only where there are accounts
    text = re.sub(r' - "\$G[^"]*"', "", text)
    assert "hidden" not in text
    return re.findall(rf"\[TRC\] 127\.0\.0\.1:\d+ - cid:{cid} - (.*)", text)


@pytest.mark.parametrize("flags, config", [
    (["-DV"], ""), (["-DVV"], ""), (["-V", "--max_traced_msg_len", "10"], ""), (["-V"], "trace_headers: true\n"),
])
def test_trace_is_that_of_the_real_server(tmp_path, flags, config):
    real = harness.real_server()
    if not real:
        pytest.skip("no nats-server to compare with")
    ours, theirs = [traced(exe, tmp_path / os.path.basename(exe), flags, config)
                    for exe in (harness.BULKHEAD, real)]
    assert len(ours) > 20
    assert ours == theirs
