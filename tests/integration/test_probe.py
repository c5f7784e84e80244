"""From inside: each program of the probe build tries what a broken one would (tests/probe/attempts.c)."""
import ctypes
import os
import re
import signal
import socket
import subprocess

import pytest

import harness
from probing import build, probed  # noqa: F401

USER = 12345
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="as a plain user it is another test")
# What stands behind the filter is told apart by its errors, so all of it has to be there.
layers_complete = pytest.mark.skipif(ctypes.CDLL(None).syscall(444, None, 0, 1) < 6, reason="this kernel's Landlock is older")
pytestmark = pytest.mark.skipif(harness.SANITIZED, reason="the sanitizers' runtime needs what the sandbox forbids")

PROGRAMS = ["config", "log", "auth", "signer", "worker", "system", "monitor"]
CONFIG = """
http: -1
accounts {{ A {{ users: [ {{ user: a, password: a }} ] }} }}
no_auth_user: a
restart_limit: 1000000
debug: true
tls {{ cert_file: "{cert}", key_file: "{key}" }}
allow_non_tls: true
"""

# What is tried: its name; what comes of it (SIGSYS: the filter ends the process); what comes of it without the
# filter, by which the layers behind it are known, "" where it stands alone or the host decides; the words of the
# request, with facts of the running server in braces; descriptors that go with it.
ATTEMPTS = {a[0]: a[1:] for a in [
    ("open /etc/passwd", "EPERM", "ENOENT", "open /etc/passwd"),
    ("open the configuration", "EPERM", "ENOENT", "open {config}"),
    ("open the TLS key", "EPERM", "ENOENT", "open {key}"),
    ("open its own program", "EPERM", "ENOENT", "open /proc/self/exe"),
    ("write to a control of the kernel", "EPERM", "ENOENT", "write /proc/sys/kernel/core_pattern"),
    ("create a file", "EPERM", "ENOENT", "create {folder}/made"),
    ("list the root", "EPERM", "EACCES", "list /"),
    ("list the server's folder", "EPERM", "ENOENT", "list {folder}"),
    ("open below a folder it was given", "EPERM", "EACCES", "open_below etc/passwd", "root"),
    ("stat a file", "EPERM", "ENOENT", "stat /etc/passwd"),
    ("read a link", "EPERM", "ENOENT", "readlink /proc/self/exe"),
    ("unlink a file", "SIGSYS", "ENOENT", "unlink {folder}/ports"),
    ("make a folder", "SIGSYS", "ENOENT", "mkdir {folder}/made"),
    ("enter a folder", "SIGSYS", "ENOENT", "chdir {folder}"),

    ("IPv4 socket", "EPERM", "", "socket 2 1"),
    ("IPv4 datagram socket", "EPERM", "", "socket 2 2"),
    ("IPv6 socket", "EPERM", "", "socket 10 1"),
    ("Unix socket", "EPERM", "", "socket 1 1"),
    ("raw socket", "EPERM", "", "socket 2 3"),
    ("packet socket", "SIGSYS EPERM", "EPERM", "socket 17 3"),
    ("netlink socket", "EPERM", "", "socket 16 3"),
    ("socket of the kernel's ciphers", "SIGSYS EPERM", "", "socket 38 5"),
    ("socket to the hypervisor", "SIGSYS EPERM", "", "socket 40 1"),
    ("pair of sockets", "SIGSYS", "", "socketpair"),
    ("connect to the server", "EPERM", "EACCES", "connect {port}"),
    ("listen to a port", "EPERM", "EACCES", "bind"),
    ("send a datagram", "EPERM", "ENETUNREACH", "datagram {udp}"),
    ("connect to a Unix socket", "EPERM", "ENOENT", "connect_unix {probe}"),
    ("connect to an abstract socket", "EPERM", "ECONNREFUSED", "connect_unix @{abstract}"),
    ("io_uring", "SIGSYS", "", "io_uring"),

    ("execute a program", "SIGSYS", "ENOENT", "exec /bin/true"),
    ("execute a descriptor", "SIGSYS", "EACCES", "exec_descriptor", "program"),
    ("fork", "SIGSYS", "EAGAIN", "fork"),
    ("clone", "SIGSYS", "EAGAIN", "clone"),
    ("vfork", "SIGSYS", "EAGAIN", "vfork"),
    ("stop a sibling", "SIGSYS", "EPERM ESRCH", "kill {sibling} 19"),
    ("end a sibling", "SIGSYS", "EPERM ESRCH", "tgkill {sibling} 15"),
    ("stop the supervisor", "SIGSYS", "EPERM ESRCH", "kill {supervisor} 19"),
    ("end the supervisor", "SIGSYS", "EPERM ESRCH", "tgkill {supervisor} 15"),
    ("signal everybody", "SIGSYS", "", "kill -1 0"),
    ("handle of a sibling", "SIGSYS", "", "pidfd_open {sibling}"),
    ("end a sibling by its handle", "SIGSYS", "EPERM EINVAL", "pidfd_signal 15", "sibling"),
    ("take a sibling's descriptor", "SIGSYS", "EPERM", "pidfd_getfd", "sibling"),
    ("trace a sibling", "SIGSYS", "EPERM ESRCH", "ptrace {sibling}"),
    ("trace the supervisor", "SIGSYS", "EPERM ESRCH", "ptrace {supervisor}"),
    ("read a sibling's memory", "SIGSYS", "EPERM ESRCH", "vm_read {sibling}"),
    ("read the signer's memory", "SIGSYS", "EPERM ESRCH", "vm_read {signer}"),
    ("open the signer's memory", "EPERM", "ENOENT", "open /proc/{signer}/mem"),
    ("read the supervisor's memory", "SIGSYS", "EPERM ESRCH", "vm_read {supervisor}"),
    ("write a sibling's memory", "SIGSYS", "EPERM ESRCH", "vm_write {sibling}"),
    ("a sibling's limits", "SIGSYS", "EPERM ESRCH", "limit {sibling} 7"),
    ("a sibling's priority", "SIGSYS", "EPERM ESRCH", "priority {sibling}"),

    ("execute memory", "SIGSYS", "EACCES", "map_execute"),
    ("make memory executable", "SIGSYS", "EACCES", "protect_execute"),
    ("make a memfd", "SIGSYS", "", "memfd"),
    ("execute a memfd", "SIGSYS", "", "memfd_execute"),
    ("reading means executing", "SIGSYS", "", "personality"),
    ("System V memory", "SIGSYS", "", "shared_memory"),

    ("flags of a shared descriptor", "SIGSYS", "", "set_flags"),
    ("owner of a shared descriptor", "SIGSYS", "", "set_owner {supervisor}"),
    ("type for a terminal", "SIGSYS", "", "ioctl 0x5412"),
    ("blocking by ioctl", "SIGSYS", "", "ioctl 0x5421"),
    ("asynchronous by ioctl", "SIGSYS", "", "ioctl 0x5452"),

    ("dumpable again", "SIGSYS", "", "prctl 4 1"),
    ("raise a capability", "SIGSYS", "EPERM", "prctl 47 2 21"),
    ("another filter", "SIGSYS", "", "prctl 22 2"),
    ("become root", "SIGSYS", "EPERM", "setuid"),
    ("take capabilities", "SIGSYS", "EPERM", "capset"),
    ("a user namespace", "SIGSYS", "", "unshare 0x10000000"),
    ("a network namespace", "SIGSYS", "", "unshare 0x40000000"),
    ("mount", "SIGSYS", "EPERM", "mount"),
    ("enter the host's network", "SIGSYS", "EPERM", "setns", "network"),
    ("change the root", "SIGSYS", "", "chroot /"),
    ("bpf", "SIGSYS", "", "bpf"),
    ("perf", "SIGSYS", "", "perf {sibling}"),
    ("the kernel's keys", "SIGSYS", "", "keyctl"),
    ("userfaultfd", "SIGSYS", "", "userfaultfd"),
    ("load a module", "SIGSYS", "", "module"),
    ("reboot", "SIGSYS", "EPERM", "reboot"),
    ("set the clock", "SIGSYS", "EPERM", "clock"),
    ("the host's name", "SIGSYS", "EPERM", "hostname"),
    ("more descriptors", "SIGSYS", "EPERM", "limit 0 7"),
    ("more processes", "SIGSYS", "EPERM", "limit 0 6"),
    ("a handler of its own", "SIGSYS", "", "handler"),
]}

SEGMENTS = {a[0]: a[1:] for a in [
    ("map a sibling's segment", "EPERM", "EPERM", "peer_map"),
    ("write to a sibling's segment", "EFBIG", "EFBIG", "peer_write"),
    ("cut a sibling's segment", "SIGSYS", "EPERM", "peer_truncate"),
    ("punch a hole into a sibling's segment", "SIGSYS", "EPERM", "peer_punch"),
    ("remove pages of a sibling's segment", "EACCES", "EACCES", "peer_remove"),
    ("seal a sibling's segment", "EPERM", "EPERM", "peer_seal"),
    ("open a sibling's segment again", "EPERM", "ENOENT", "peer_reopen"),
    ("make a sibling's segment writable", "EACCES", "EACCES", "peer_protect"),
    ("map the directory", "EPERM", "EPERM", "directory_map"),
    ("write to the directory", "EFBIG", "EFBIG", "directory_write"),
    ("execute its own segment", "SIGSYS", "", "own_execute"),
    ("make its own segment executable", "SIGSYS", "EACCES", "own_protect"),
]}

CLIENTS = {a[0]: a[1:] for a in [
    ("credentials of a client's socket", "SIGSYS", "", "client_option 1 16"),
    ("mark of a client's socket", "SIGSYS", "EPERM", "client_option 1 36"),
    ("device of a client's socket", "SIGSYS", "", "client_option 1 25"),
    ("filter on a client's socket", "SIGSYS", "", "client_option 1 26"),
    ("repair of a client's socket", "SIGSYS", "EPERM", "client_option 6 19"),
    ("protocol on a client's socket", "SIGSYS", "", "client_option 6 31"),
    ("listen on a client's socket", "SIGSYS", "", "client_listen"),
    ("accept on a client's socket", "SIGSYS", "", "client_accept"),
    ("bind a client's socket", "SIGSYS", "EACCES", "client_bind"),
    ("disconnect a client's socket", "SIGSYS", "", "client_disconnect"),
    ("connect a client's socket by sending", "EISCONN", "EISCONN", "client_fast_open {port}"),
]}


OF_PROGRAM = {"worker": {**ATTEMPTS, **SEGMENTS, **CLIENTS}, "system": {**ATTEMPTS, **SEGMENTS}}
ALLOWED = {"auth": {"make a memfd"}, "config": {"make a memfd"}}

# A plain user's processes share its uid. What is other than in the table, without the filter:
PLAIN = {"a sibling's priority": "", "become root": "EPERM EINVAL"}

# One layer off, and the filter on: what is other than in the table.
WITHOUT = {
    "landlock": {}, "net": {}, "root": {}, "pid": {}, "ipc": {}, "uid": {}, "capabilities": {}, "not_dumpable": {}, "mdwe": {},
    "limits": {"write to a sibling's segment": "EPERM", "write to the directory": "EPERM"},
}


def expected(role, without=(), plain=False):
    """{attempt: the answers that are right}; none: whichever."""
    right = {}
    for name, (whole, behind, *_) in OF_PROGRAM.get(role, ATTEMPTS).items():
        if "filter" in without:
            whole = PLAIN.get(name, behind) if plain else behind
        for layer in without:
            whole = WITHOUT.get(layer, {}).get(name, whole)
        right[name] = {"ok"} if name in ALLOWED.get(role, ()) else set(whole.split())
    return right


class Running:
    """A server of the probe build, all programs of it in use, and the facts that attempts name."""

    def __init__(self, probed, tls, wait=True, **options):
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.abstract = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.name = "probe" + os.urandom(8).hex()
        self.abstract.bind("\0" + self.name)
        self.abstract.listen(8)
        self.key = tls["server-p256-key.pem"]
        self.server = probed(config=CONFIG.format(cert=tls["server-p256.pem"], key=self.key), workers=2, wait=wait,
                             **options)
        self.fds = {"root": os.open("/", os.O_RDONLY), "program": os.open("/bin/true", os.O_RDONLY),
                    "network": os.open("/proc/self/ns/net", os.O_RDONLY)}
        self.clients = [self.server.client() for _ in range(4)] if wait else []
        for c in self.clients:
            c.ping()

    def close(self):
        for fd in self.fds.values():
            os.close(fd)
        self.udp.close()
        self.abstract.close()

    def facts(self, child):
        s = self.server
        sibling = signer = s.pid
        if child.role != "config":      # that one is alone
            sibling = s.child("worker", 1 if (child.role, child.slot) == ("worker", 0) else 0).pid
            signer = s.child("signer").pid
        if "sibling" in self.fds:
            os.close(self.fds["sibling"])
        self.fds["sibling"] = os.pidfd_open(sibling)
        return {"config": s.config_path, "key": self.key, "folder": s.folder, "udp": self.udp.getsockname()[1],
                "port": getattr(s, "port", 9), "probe": os.path.join(s.socket_folder, "s"), "sibling": sibling,
                "abstract": self.name, "supervisor": s.pid, "signer": signer}

    def tried(self, role):
        """{attempt: what it came to} of everything that a process of this role tries."""
        child = self.server.child(role)
        facts = self.facts(child)
        assert child.ask("nothing") == "ok"
        return {name: child.ask(words.format(**facts), fds=[self.fds[f] for f in fds])
                for name, (_, _, words, *fds) in OF_PROGRAM.get(role, ATTEMPTS).items()
                if not (role == "signer" and "the signer's" in name)}

    def works(self):
        """Clients are served, and nobody had to be replaced."""
        for c in (*self.clients, self.server.client()):
            assert c.quiet()
        assert " died" not in self.server.log() and "was ended by" not in self.server.log()


def wrong(role, tried, **options):
    right = expected(role, **options)
    return {f"{role}: {name}": came for name, came in tried.items() if right[name] and came not in right[name]}


def probe_all(running, **options):
    for layer in options.get("without", ()):        # it is really left out
        running.server.wait_log(rf"sandbox: worker.*missing:.*\b{layer}\b")
    found = {}
    for role in PROGRAMS[1:]:
        found.update(wrong(role, running.tried(role), **options))
    if "filter" in options.get("without", ()):
        running.clients.clear()         # a worker may disconnect its own
    assert not found
    running.works()


@pytest.fixture
def running(probed, tls):  # noqa: F811
    all_of_them = []

    def starter(**options):
        all_of_them.append(Running(probed, tls, **options))
        return all_of_them[-1]

    yield starter
    for r in all_of_them:
        r.close()


@pytest.fixture
def plain_user(tmp_path, tls):
    """Somebody without rights, who may read what the tests made."""
    if os.geteuid() != 0:
        return None
    for folder in tmp_path.parents:
        if folder.parent == folder or str(folder) == "/tmp":
            break
        os.chmod(folder, os.stat(folder).st_mode | 0o055)
    os.chmod(tmp_path, 0o777)
    subprocess.run(["chmod", "-R", "a+rX", tls.folder], check=True)
    if subprocess.run(["test", "-x", harness.BULKHEAD], user=USER).returncode != 0:
        pytest.skip("the build folder cannot be read by another user")
    return USER


def test_the_ordinary_programs_have_no_trace_of_it():
    build()
    for name in ["bin/bulkhead"] + [f"libexec/bulkhead/bulkhead-{p}" for p in PROGRAMS]:
        for folder, there in ((harness.BUILD, False), (os.path.join(harness.BUILD, "probe"), True)):
            with open(os.path.join(folder, name), "rb") as f:
                text = f.read()
            assert (b"BULKHEAD_PROBE" in text) is there, (folder, name)
            assert (b"tests/probe" in text) is there, (folder, name)


@root_only
def test_what_is_forbidden_is_refused(running):
    probe_all(running())


def test_what_is_forbidden_is_refused_to_config(running):
    r = running(wait=False, holds="config")
    tried = r.tried("config")
    r.server.child("config").go()
    r.server.wait_ready()
    assert not wrong("config", tried)
    r.works()


@root_only
@layers_complete
@pytest.mark.parametrize("layer", ["filter", *WITHOUT])
def test_what_is_forbidden_is_refused_still_without(layer, running):
    probe_all(running(without=[layer]), without=[layer])


@layers_complete
@pytest.mark.parametrize("without", [[], ["filter"], ["landlock"]], ids=["whole", "filter", "landlock"])
def test_what_is_forbidden_is_refused_to_a_plain_user(without, running, plain_user):
    probe_all(running(without=without, user=plain_user), without=without, plain=True)


@root_only
def test_a_segment_is_protected_by_its_seals_alone(running):
    """Of segments the filter can refuse only what cuts them; what maps them is what everybody does."""
    r = running(without=["seals"])
    worker = r.server.child("worker")
    assert worker.ask("peer_truncate") == "SIGSYS"
    assert worker.ask("peer_punch") == "SIGSYS"
    assert worker.ask("peer_map") == "ok"


# What ends a process, by its system call.
FATAL = {"log": ("fork", "fork"), "auth": ("ptrace {supervisor}", "ptrace"), "signer": ("vm_read {supervisor}", "process_vm_readv"),
         "worker": ("map_execute", "mmap"), "system": ("kill {supervisor} 15", "kill"), "monitor": ("exec /bin/true", "execve")}


@pytest.mark.parametrize("role", FATAL)
def test_who_tries_is_ended_and_replaced(role, running):
    """It is told which call it was, and the clients of the others do not notice."""
    r = running(survives=False)
    s = r.server
    a, b = s.clients_on_different_workers(2)
    holds = {pid: c for pid, c in ((s.worker_of(c), c) for c in (a, b))}
    child = s.child(role)
    other = [c for pid, c in holds.items() if pid != child.pid][0]
    other.send("SUB echo 1\r\n")
    words, call = FATAL[role]
    assert child.ask(words.format(**r.facts(child))) == "dead"
    if role != "log":                   # whose own last line goes to standard error
        s.wait_log(rf"sandbox: system call \d+ \({call}\) is not allowed: ended")
    s.wait_log(rf"{role} 0 \(process {child.pid}\) was ended by signal {int(signal.SIGSYS)}")
    assert s.child(role, but=child).ask("nothing") == "ok"
    other.send("PUB echo 2\r\nhi\r\n")
    assert other.message()[4] == b"hi"
    with s.client() as again:
        assert again.quiet()


def test_config_that_tries_costs_a_reload(running):
    r = running(wait=False, survives=False, holds="config")
    s = r.server
    first = s.child("config")
    first.go()
    s.wait_ready()
    with s.client() as c:
        s.process.send_signal(signal.SIGHUP)
        second = s.child("config", but=first)
        assert second.ask("fork") == "dead"
        s.wait_log("Failed to reload server configuration")
        assert c.quiet()


@root_only
def test_children_share_no_socket_with_the_supervisor(running):
    """So none can end a listener, or read what others say to it. It keeps log's ends of the others' log channels."""
    r = running()
    s = r.server

    def sockets(pid):
        links = (os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd"))
        return {link for link in links if link.startswith("socket:")}

    harness.until(lambda: not any(sockets(s.pid) & sockets(pid) for pid, name in s.children().items()
                                  if name != "bulkhead-log"), "the supervisor forgets what was taken")


@root_only
def test_clients_are_held_by_workers_alone(running):
    s = running().server
    with open("/proc/net/tcp") as f:
        rows = [line.split() for line in f][1:]
    clients = {f"socket:[{row[9]}]" for row in rows if int(row[1].split(":")[1], 16) == s.port and row[3] == "01"}
    assert clients
    holders = {name for pid, name in s.children().items() for fd in os.listdir(f"/proc/{pid}/fd")
               if os.readlink(f"/proc/{pid}/fd/{fd}") in clients}
    assert holders == {"bulkhead-worker"}


def test_every_test_that_the_security_page_names_exists():
    with open(os.path.join(harness.ROOT, "docs", "security.md")) as f:
        named = re.findall(r"`(test_\w+\.py)::(\w+)`", f.read())
    assert len(named) > 10
    for file, name in named:
        places = [os.path.join(harness.ROOT, "tests", folder, file) for folder in ("integration", "fault", "interop")]
        text = "".join(open(p).read() for p in places if os.path.exists(p))
        assert re.search(rf"^def {name}\(", text, re.M), f"{file}::{name}"
