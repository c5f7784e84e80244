"""--signal: whom it finds, and what it says where it finds nobody.

Without a number it looks at all processes there are. So these tests run in a
pid namespace of their own, where no other server is."""
import os
import shutil
import signal
import subprocess
import sys

import pytest

import harness

LINK = os.path.join(harness.BUILD, "bin", "nats-server")


class Room:
    """A pid namespace with a /proc of its own; all in it ends with it."""

    def __init__(self, folder):
        self.folder, self.started = folder, []
        flags = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        self.holder = subprocess.Popen(["unshare", *flags, "--pid", "--fork", "--mount-proc", "--kill-child",
                                        sys.executable, "-c", "import os; print('in', flush=True); os.read(0, 1)"],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if self.holder.stdout.readline() != b"in\n":
            why = self.holder.stderr.read().decode().strip()
            self.close()
            pytest.skip(f"no pid namespace of our own: {why}")
        inside = list(harness.children(self.holder.pid))[0]
        self.enter = ["nsenter", "--target", str(inside), "--pid", "--mount", f"--wd={folder}"]
        if flags:
            self.enter += ["--user", "--preserve-credentials"]

    def run(self, *argv):
        """Exit status and what it says on standard error."""
        done = subprocess.run([*self.enter, *argv], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stderr

    def spawn(self, *argv):
        process = subprocess.Popen([*self.enter, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        self.started.append(process)
        return process

    def start(self, exe=LINK, args=()):
        """A server: what runs it, and its number inside."""
        name = f"pid{len(self.started)}"
        path = os.path.join(self.folder, name)
        if exe in (LINK, harness.BULKHEAD) and harness.SANITIZED:
            with open(path + ".conf", "w") as f:
                f.write("sandbox: off\n")
            args = [*args, "-c", path + ".conf"]
        server = self.spawn(exe, "-a", "127.0.0.1", "-p", "-1", "-P", path, "-l", path + ".log", *args)

        def pid():
            assert server.poll() is None, self.log(name)
            return "Server is ready" in self.log(name) and int(open(path).read())
        number = harness.until(pid, "server is ready")
        return server, number, path

    def log(self, name):
        try:
            with open(os.path.join(self.folder, name + ".log"), errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def close(self):
        self.holder.kill()
        for process in [self.holder, *self.started]:
            process.kill()              # a stopped nsenter does not end by itself
            process.wait()
        for pipe in (self.holder.stdin, self.holder.stdout, self.holder.stderr):
            pipe.close()


@pytest.fixture
def room(tmp_path):
    r = Room(str(tmp_path))
    yield r
    r.close()


def ended(server):
    return server.wait(harness.LIMIT)


def test_without_a_server_there_is_none_to_signal(room):
    for command in ("quit", "quit=", "reload=*", "stop=1*"):
        assert room.run(LINK, "-sl", command) == (1, "nats-server: no nats-server processes running\n")


def test_the_only_server_is_found(room):
    for exe in (LINK, harness.BULKHEAD):
        server, pid, path = room.start(exe)
        assert room.run(exe, "--signal", "reopen") == (0, "")
        harness.until(lambda: "user defined signal 1" in room.log(os.path.basename(path)), "it reopens its log")
        assert room.run(exe, "-sl", "quit=") == (0, "")
        assert ended(server) == 0
        assert not os.path.exists(path)


def test_of_two_servers_one_must_be_named(room):
    (first, a, _), (second, b, path) = room.start(), room.start(harness.BULKHEAD)
    low, high = sorted((a, b))
    for command in ("quit", "stop", "ldm="):
        status, said = room.run(LINK, "-sl", command)
        assert status == 1
        assert said in (f"nats-server: multiple nats-server processes running:\n{low}\n{high}\n",
                        f"nats-server: multiple nats-server processes running:\n{high}\n{low}\n")
    assert first.poll() is None and second.poll() is None
    assert room.run(LINK, "-sl", f"quit={a}") == (0, "")
    assert ended(first) == 0
    assert second.poll() is None
    assert room.run(LINK, "-sl", f"term={path}") == (0, "")
    assert ended(second) == 0


def test_a_glob_stands_for_many(room):
    servers = [room.start() for _ in range(3)]
    pid = servers[0][1]
    assert room.run(LINK, "-sl", f"quit={pid}*") == (0, "")
    assert ended(servers[0][0]) == 0
    assert servers[1][0].poll() is None and servers[2][0].poll() is None
    assert room.run(LINK, "-sl", "stop=*") == (0, "")
    for server, _, _ in servers[1:]:
        assert ended(server) == -signal.SIGKILL or server.returncode == 128 + signal.SIGKILL
    harness.until(lambda: room.run(LINK, "-sl", "stop=*")[0] == 1, "all have gone")


def test_children_are_never_found(room):
    server, pid, path = room.start(args=["-m", "-1"])
    log = room.log(os.path.basename(path))
    assert room.run("sh", "-c", "grep -l '^Name:.bulkhead-' /proc/[0-9]*/status | wc -l >count")[0] == 0
    with open(os.path.join(room.folder, "count")) as f:
        assert int(f.read()) >= 4
    assert room.run(LINK, "-sl", "reopen=*") == (0, "")
    assert room.run(LINK, "-sl", "reopen") == (0, "")
    harness.until(lambda: room.log(os.path.basename(path)).count("user defined signal 1") >= 1, "it has the signal")
    assert "(process" not in room.log(os.path.basename(path))[len(log):]     # nobody died of it
    assert room.run(LINK, "-sl", "quit") == (0, "")
    assert ended(server) == 0


@pytest.mark.skipif(shutil.which("strace") is None or harness.SANITIZED or os.geteuid() != 0,
                    reason="holds a child up with strace")
@pytest.mark.parametrize("call", ["prctl", "execveat"])
def test_a_child_is_not_found_before_it_runs_its_own_program_either(room, call):
    """Held up before it has a name of its own, and before it is another program."""
    tracer = room.spawn("strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}",
                        "-e", f"inject={call}:delay_enter=1000000", LINK, "-a", "127.0.0.1", "-p", "-1")

    def child_of(pid, *names):
        return harness.until(lambda: [kid for kid, name in harness.children(pid).items() if name in names],
                             f"{names} runs")[0]
    strace = child_of(tracer.pid, "strace")
    server = child_of(strace, "nats-server")        # strace has others of its own for a moment
    child = child_of(server, "nats-server", "bulkhead-config")
    os.kill(strace, signal.SIGSTOP)         # whom it traces waits at the next call
    assert room.run(LINK, "-sl", "reopen") == (0, "")
    assert os.path.basename(os.readlink(f"/proc/{child}/exe")) == "bulkhead"


def test_a_server_that_has_ended_but_is_not_reaped_is_not_found(room):
    # its parent never waits for it
    script = ("import os, subprocess, sys; p = subprocess.Popen([sys.argv[1], '-v'], stdout=2);"
              "os.waitid(os.P_PID, p.pid, os.WEXITED | os.WNOWAIT);"
              "sys.exit(subprocess.call([sys.argv[1], '-sl', 'quit']))")
    status, said = room.run(sys.executable, "-c", script, LINK)
    assert status == 1 and said.endswith("nats-server: no nats-server processes running\n")


def test_a_stale_pid_file_harms_nobody(room):
    server, pid, path = room.start()
    kept = path + ".kept"
    os.link(path, kept)
    assert room.run(LINK, "-sl", f"stop={path}") == (0, "")
    ended(server)
    assert os.path.exists(path)
    status, said = room.run(LINK, "-sl", f"quit={kept}")
    assert (status, said) == (1, f'nats-server: signal "quit" {pid}: no such process\n')
    # the number now belongs to somebody else
    other = room.spawn("sh", "-c", "echo $$ >stale; exec sleep 1000")
    stale = os.path.join(room.folder, "stale")
    harness.until(lambda: os.path.exists(stale) and open(stale).read().endswith("\n") and
                  room.run("sh", "-c", 'test "$(cat /proc/$(cat stale)/comm)" = sleep')[0] == 0, "it runs")
    status, said = room.run(LINK, "-sl", f"stop={stale}")
    assert status == 1 and f"{stale} is stale: process" in said and "sleep, not a server" in said
    assert other.poll() is None


@pytest.mark.parametrize("command, said", [
    ("foo", 'unknown signal "foo"'), ("foo=999999", 'unknown signal "foo"'), ("=1", 'unknown signal ""'),
    ("quit=abc", "invalid pid: abc"), ("quit=12x*", "invalid pid: 12x"), ("quit=0x10", "invalid pid: 0x10"),
    ("quit=0", "invalid pid: 0"), ("quit=-1", "invalid pid: -1"), ("quit=-1*", "invalid pid: -1"),
    ("quit=/does/not/exist", "invalid pid: /does/not/exist"), ("quit=/", "invalid pid: /"),
    ("quit=99999999999999999999", "invalid pid: 99999999999999999999"),
    ("quit=1=2", "invalid signal parameters: [2]"), ("QUIT", 'unknown signal "QUIT"'),
    ("quit=4194305", 'signal "quit" 4194305: no such process'),
])
def test_what_cannot_be_signalled_is_said(room, command, said):
    assert room.run(LINK, "-sl", command) == (1, f"nats-server: {said}\n")


@pytest.mark.parametrize("text", ["", "x\n", "0\n", "-1", "1 2", "\0" * 100, "9" * 100])
def test_a_pid_file_without_a_number_is_said(room, text):
    path = os.path.join(room.folder, "p")
    with open(path, "w") as f:
        f.write(text)
    assert room.run(LINK, "-sl", f"quit={path}") == (1, f"nats-server: invalid pid: {path}\n")


def test_the_real_server_says_the_same(room):
    real = harness.real_server()
    if real is None:
        pytest.skip("no other server to compare with")

    def both(command):
        """Status and words of both, in any order: that of the processes is not fixed."""
        said = [room.run(exe, "-sl", command) for exe in (LINK, real)]
        return [(status, sorted(text.split())) for status, text in said]
    for command in ("quit", "quit=", "quit=*", "foo=1", "quit=abc", "quit=12x*", "quit=/nowhere", "quit=1=2",
                    "quit=4194305", "ldm=x"):
        ours, theirs = both(command)
        assert ours == theirs, command
    room.start(real)
    server, pid, path = room.start()
    for command in ("quit", "reload=", "quit=4194305", "reopen=*", f"reopen={pid}*", f"reopen={pid}",
                    f"reopen={path}"):
        ours, theirs = both(command)
        assert ours == theirs, command
    assert room.run(real, "-sl", f"quit={path}") == (0, "")
    assert ended(server) == 0
