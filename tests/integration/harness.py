"""Real processes for the tests: start a server on a free port, talk to it in bytes.

Nothing here waits for time to pass: every wait is for a condition, with a
bound after which the test fails."""
import json
import os
import re
import select
import signal
import socket
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build"))
BULKHEAD = os.path.join(BUILD, "bin", "bulkhead")
SANITIZED = "asan" in os.path.basename(BUILD)
LIMIT = 60.0 if SANITIZED else 20.0     # seconds until a condition counts as never met


def until(condition, what, limit=LIMIT):
    """Poll condition() until it is true; its value."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"after {limit} s still not: {what}"
        time.sleep(0.005)


def real_server():
    """Path of a nats-server to compare with, newest first, or None."""
    for path in (os.environ.get("NATS_SERVER"), os.path.join(BUILD, "deps", "bin", "nats-server"),
                 os.path.join(ROOT, "build", "deps", "bin", "nats-server"),
                 os.path.join(ROOT, "build", "deps", "debian", "usr", "sbin", "nats-server"),
                 "/usr/sbin/nats-server", "/usr/bin/nats-server"):
        if path and os.access(path, os.X_OK):
            return path
    return None


def children(pid):
    """Live children of pid: {pid: program name}."""
    found = {}
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except FileNotFoundError:
        return found
    for task in tasks:
        try:
            with open(f"/proc/{pid}/task/{task}/children") as f:
                kids = f.read().split()
        except OSError:
            continue
        for kid in kids:
            try:
                with open(f"/proc/{kid}/stat") as f:
                    stat = f.read()
            except OSError:
                continue
            name, state = stat[stat.index("(") + 1:stat.rindex(")")], stat[stat.rindex(")") + 2]
            if state not in "ZX":
                found[int(kid)] = name
    return found


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


class Server:
    """One bulkhead (or, with exe, another server of the same command line)."""

    def __init__(self, folder, config="", args=(), workers=3, exe=BULKHEAD, port=-1, env=None,
                 listen=True, user=None):
        self.folder, self.exe, self.process = str(folder), exe, None
        self.ours = exe == BULKHEAD or exe.startswith((BUILD + "/bin", BUILD + "/probe/bin"))
        self.log_path = os.path.join(self.folder, "log")
        text = config
        if self.ours:
            text += f"\nworkers: {workers}\n"
            if SANITIZED:
                text += "sandbox: off\n"
        self.config_path = os.path.join(self.folder, "server.conf")
        with open(self.config_path, "w") as f:
            f.write(text)
        self.argv = [exe, "-l", self.log_path, "--ports_file_dir", self.folder]
        if listen:                      # flags win over the file
            self.argv += ["-a", "127.0.0.1", "-p", str(port)]
        if text.strip():
            self.argv += ["-c", self.config_path]
        self.argv += list(args)
        self.env, self.user = env, user
        if user is not None:
            os.chown(self.folder, user, user)

    def start(self, wait=True):
        for name in os.listdir(self.folder):
            if name.endswith(".ports"):
                os.unlink(os.path.join(self.folder, name))
        self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, env=self.env,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, user=self.user)
        self.pid = self.process.pid
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        until(lambda: self.process.poll() is not None or self.ports(), "ports file")
        assert self.process.poll() is None, self.process.stdout.read().decode() + self.log()
        self.port = self.ports()
        until(self.accepts, "accepts connections")

    def ports(self):
        path = os.path.join(self.folder, f"{os.path.basename(self.exe)}_{self.pid}.ports")
        try:
            with open(path) as f:
                data = json.load(f)
        except (OSError, ValueError):
            return None
        self.port_data = data
        return int(data["nats"][0].rsplit(":", 1)[1])

    def http_port(self):
        return int(self.port_data["monitoring"][0].rsplit(":", 1)[1])

    def accepts(self):
        try:
            with self.client() as c:
                return c.info is not None
        except OSError:
            return False

    def log(self):
        try:
            with open(self.log_path, errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def wait_log(self, text, limit=LIMIT):
        return until(lambda: re.search(text, self.log()), f"log says {text!r}", limit)

    def children(self, program=None):
        return {pid: name for pid, name in children(self.pid).items()
                if program is None or name == f"bulkhead-{program}"[:15]}

    def workers(self):
        return sorted(self.children("worker"))

    def client(self, **options):
        return Client(self.port, **options)

    def clients_on_different_workers(self, count, **options):
        """Clients, each held by a worker of its own (needs debug in the configuration)."""
        found = {}
        spare = []
        while len(found) < count:
            c = self.client(**options)
            pid = self.worker_of(c)
            if pid in found:
                spare.append(c)
                assert len(spare) < 200, "placement never reaches some worker"
            else:
                found[pid] = c
        for c in spare:
            c.close()
        return list(found.values())

    def worker_of(self, client):
        """Process id of the worker that holds this client."""
        cid = client.info["client_id"]
        match = self.wait_log(rf"\[(\d+)\] .*cid:{cid} - .*Client connection created")
        return int(match.group(1))

    def kill(self, how=signal.SIGKILL):
        self.process.send_signal(how)

    def stop(self, how=signal.SIGTERM, limit=LIMIT):
        """Ask it to end; its exit status."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            status = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("does not end") from None
        finally:
            self.process.stdout.close()
        self.process, ended = None, status
        return ended

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None


class Client:
    """A raw connection: what is sent and received is bytes."""

    def __init__(self, port, host="127.0.0.1", connect=True, options=None, timeout=LIMIT, path=None):
        if path is None:
            self.sock = socket.create_connection((host, port), timeout=timeout)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(timeout)
            self.sock.connect(str(path))
        self.buffer = b""
        self.info = None
        line = self.line()
        if line.startswith(b"INFO "):
            self.info = json.loads(line[5:])
        if connect and self.info is not None:
            o = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True}
            o.update(options or {})
            self.send(b"CONNECT " + json.dumps(o).encode() + b"\r\n")

    def fileno(self):
        return self.sock.fileno()

    def send(self, *data):
        self.sock.sendall(b"".join(d.encode() if isinstance(d, str) else d for d in data))

    def receive(self):
        """Whatever comes next; b"" at the end."""
        data = self.sock.recv(1 << 18)
        self.buffer += data
        return data

    def line(self):
        while b"\n" not in self.buffer:
            if not self.receive():
                rest, self.buffer = self.buffer, b""
                return rest
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r")

    def exactly(self, n):
        while len(self.buffer) < n:
            if not self.receive():
                raise EOFError(f"{len(self.buffer)} of {n} bytes")
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def message(self):
        """The next MSG or HMSG: (subject, sid, reply, header, payload); other lines are skipped
        unless they are errors or the end."""
        while True:
            line = self.line()
            words = line.split(b" ")
            if words[0] == b"MSG":
                size = int(words[-1])
                body = self.exactly(size + 2)[:-2]
                return words[1].decode(), words[2].decode(), words[3].decode() if len(words) == 5 else None, b"", body
            if words[0] == b"HMSG":
                head, total = int(words[-2]), int(words[-1])
                body = self.exactly(total + 2)[:-2]
                return (words[1].decode(), words[2].decode(), words[3].decode() if len(words) == 6 else None,
                        body[:head], body[head:])
            if line == b"" or line.startswith(b"-ERR"):
                raise EOFError(line.decode())

    def ping(self):
        """Everything that comes before the PONG, but for the server's own PINGs."""
        self.send(b"PING\r\n")
        return self.until(b"PONG\r\n").replace(b"PING\r\n", b"")

    def until(self, end):
        while end not in self.buffer:
            if not self.receive():
                raise EOFError(self.buffer.decode(errors="replace"))
        before, self.buffer = self.buffer.split(end, 1)
        return before

    def rest(self):
        """All bytes until the other side closes."""
        try:
            while self.receive():
                pass
        except ConnectionResetError:
            pass
        data, self.buffer = self.buffer, b""
        return data

    def quiet(self):
        """True if nothing has come: asked by a PING, not by waiting."""
        return self.ping() == b""

    def readable(self, seconds=0):
        return bool(self.buffer) or bool(select.select([self.sock], [], [], seconds)[0])

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
