"""The probe build (tests/probe): processes that do on request what a broken one would try."""
import array
import os
import re
import select
import shutil
import socket
import struct
import subprocess
import tempfile

import pytest

import harness

BULKHEAD = os.path.join(harness.BUILD, "probe", "bin", "bulkhead")


def build():
    """Link it, if that was not done after the last change of the programs."""
    ordinary = os.path.getmtime(harness.BULKHEAD)
    try:
        if os.path.getmtime(BULKHEAD) >= ordinary:
            return
    except FileNotFoundError:
        pass
    done = subprocess.run(["make", "-j2", "probe", "BUILD=" + os.path.relpath(harness.BUILD, harness.ROOT)],
                          cwd=harness.ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout


class Child:
    """A process of the probe build, by its connection."""

    def __init__(self, sock):
        self.sock = sock
        sock.settimeout(harness.LIMIT)
        hello = sock.recv(64).decode().split()
        assert len(hello) == 3, "ended before it said who it is"
        self.role, self.slot, self.incarnation = hello[0], int(hello[1]), int(hello[2])
        self.pid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]

    def ask(self, *words, fds=()):
        """What an attempt came to: "ok", an errno's name, SIGSYS; or "dead": it ended."""
        text = " ".join(str(w) for w in words).encode()
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self.sock.sendmsg([text], rights)
            return self.sock.recv(256).decode() or "dead"
        except (ConnectionError, BrokenPipeError):
            return "dead"

    def go(self):
        """Let go on one that is held."""
        self.sock.send(b"go")

    def connected(self):
        return not select.select([self.sock], [], [], 0)[0]


class Probed(harness.Server):
    """A server of the probe build. without: layers of the sandbox to leave out; survives: what the filter
    does not execute is only told; holds: a program that waits for go() before it begins."""

    def __init__(self, folder, without=(), survives=True, holds="", **options):
        build()
        self.socket_folder = tempfile.mkdtemp(prefix="probe")
        os.chmod(self.socket_folder, 0o755)
        path = os.path.join(self.socket_folder, "s")
        env = {k: v for k, v in os.environ.items() if not k.startswith("BULKHEAD_PROBE")}
        env["BULKHEAD_PROBE"] = path
        if without:
            env["BULKHEAD_PROBE_WITHOUT"] = ",".join(without)
        if survives:
            env["BULKHEAD_PROBE_SURVIVES"] = "1"
        if holds:
            env["BULKHEAD_PROBE_HOLDS"] = holds
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(path)
        os.chmod(path, 0o777)
        self.listener.listen(64)
        self.known = []
        super().__init__(folder, exe=BULKHEAD, env=env, **options)

    def child(self, role, slot=0, but=None):
        """Whoever is that now; but: not this one, which has ended or is about to."""
        def find():
            while select.select([self.listener], [], [], 0)[0]:
                self.known.append(Child(self.listener.accept()[0]))
            for c in reversed(self.known):
                if (c.role, c.slot) == (role, slot):
                    return c if c is not but and c.connected() else None
            return None
        return harness.until(find, f"{role} {slot} connects")

    def __exit__(self, *args):
        super().__exit__(*args)
        for c in self.known:
            c.sock.close()
        self.listener.close()
        shutil.rmtree(self.socket_folder, ignore_errors=True)


@pytest.fixture
def probed(tmp_path):
    """probed(config=..., without=..., ...) -> a running Probed; ended after the test."""
    servers = []

    def starter(wait=True, **options):
        folder = tmp_path / f"probed{len(servers)}"
        folder.mkdir()
        server = Probed(folder, **options)
        servers.append(server)
        return server.start(wait)

    yield starter
    for server in servers:
        pids = list(server.children()) if server.process else []
        server.__exit__()
        for pid in pids:
            harness.until(lambda p=pid: not harness.alive(p), f"process {pid} ends with its supervisor")


# -- messages of common/messages.def, spelled byte by byte

def message_types():
    with open(os.path.join(harness.ROOT, "common", "messages.def")) as f:
        return {name: number for number, name in enumerate(re.findall(r"^MESSAGE\((\w+),", f.read(), re.M))}


def pack(value):
    """msgpack of the few kinds that messages are made of."""
    if isinstance(value, int):
        return bytes([value]) if value < 128 else b"\xcf" + struct.pack(">Q", value)
    if isinstance(value, str):
        return b"\xda" + struct.pack(">H", len(value.encode())) + value.encode()
    if isinstance(value, bytes):
        return b"\xc5" + struct.pack(">H", len(value)) + value
    return b"\xdc" + struct.pack(">H", len(value)) + b"".join(pack(v) for v in value)


def message(name, *fields):
    """In hexadecimal, for the probe's `raw` and `flood`."""
    return pack([message_types()[name], *fields]).hex()
