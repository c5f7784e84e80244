"""What a server cannot start with: said in words, exit status 1, nothing left behind."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

import harness

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: becomes another user, or mounts")


UNSANDBOXED = os.path.join(harness.BUILD, "unsandboxed.conf")


@pytest.fixture(scope="module", autouse=True)
def unsandboxed():
    """What the sanitizers' runtime needs, for every user."""
    if harness.SANITIZED:
        with open(UNSANDBOXED, "w") as f:
            f.write("sandbox: off\n")
    yield


def in_session(session):
    """Processes of this session that live."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as f:
                words = f.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if words[0] not in "ZX" and int(words[3]) == session:
            found.append(int(pid))
    return found


def contents(folder):
    return sorted(os.path.join(where, name) for where, folders, files in os.walk(folder) for name in folders + files)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def refused(folder, *args, user=None, port=None, log=None):
    """Start, see it refuse; what it says, on standard error or in its log."""
    before, given = contents(folder), port
    port = port or free_port()
    if harness.SANITIZED and "-c" not in args:
        args = ("-c", UNSANDBOXED, *args)
    server = subprocess.Popen([harness.BULKHEAD, "-a", "127.0.0.1", "-p", str(port), *map(str, args)],
                              cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              start_new_session=True, user=user)
    try:
        said = server.communicate(timeout=harness.LIMIT)[0].decode(errors="replace")
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        raise AssertionError("it starts, or hangs: " + server.communicate()[0].decode(errors="replace")) from None
    if log is not None:
        with open(log, errors="replace") as f:
            said += f.read()
    assert server.returncode == 1, said
    harness.until(lambda: not in_session(server.pid), "no process is left", 5)
    assert contents(folder) == before, said
    if given is None:
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", port))
    assert "Server is ready" not in said, said
    return said


@pytest.fixture
def shared():
    """A folder that every user may enter and nobody but root may write to."""
    with tempfile.TemporaryDirectory() as folder:       # of which all parents may be entered
        os.chmod(folder, 0o755)
        yield folder


@pytest.fixture
def full(tmp_path):
    """A file system with no room, but for the names of files."""
    folder = tmp_path / "full"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", str(folder)], capture_output=True).returncode:
        pytest.skip("no right to mount")
    try:
        (folder / "filler").write_bytes(b"x" * 4096)
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


# ---- the configuration

def test_a_configuration_that_is_not_there(tmp_path):
    path = tmp_path / "none.conf"
    assert f"open {path}: no such file or directory" in refused(tmp_path, "-c", path)
    assert "open : no such file or directory" in refused(tmp_path, "-c", "")


def test_a_folder_as_configuration(tmp_path):
    said = refused(tmp_path, "-c", tmp_path)
    assert f"{tmp_path}: is a directory" in said.lower()


@as_root
def test_a_configuration_that_must_not_be_read(shared):
    path = os.path.join(shared, "secret.conf")
    with open(path, "w") as f:
        f.write("port: 1\n")
    os.chmod(path, 0o600)
    assert f"open {path}: permission denied" in refused(shared, "-c", path, user=NOBODY)


def test_a_huge_configuration(tmp_path):
    path = tmp_path / "huge.conf"
    line = b"# " + b"x" * 1021 + b"\n"
    with open(path, "wb") as f:
        for _ in range(100):
            f.write(line * 1024)
    said = refused(tmp_path, "-c", path)
    assert "huge.conf" in said and len(said) < 2000


@pytest.mark.parametrize("data", [bytes(range(256)) * 16, b"\0" * 4096, b"\xff\xfe" * 100, b"\x7fELF" + os.urandom(4096),
                                  b"port: 4222\0\n", b"{" * 100000, b"[" * 100000, b"a: {" * 50000, b"'" + b"x" * 100000],
                         ids=["every byte", "zeros", "no UTF-8", "a program", "a NUL", "braces", "brackets", "maps",
                              "open quote"])
def test_a_configuration_that_is_no_text(tmp_path, data):
    path = tmp_path / "binary.conf"
    path.write_bytes(data)
    said = refused(tmp_path, "-c", path)
    assert "binary.conf" in said and len(said) < 5000
    assert all(c.isprintable() or c == "\n" for c in said), said


def test_a_device_as_configuration(tmp_path):
    for path in ("/dev/null", "/dev/zero"):
        assert path in refused(tmp_path, "-c", path)


# ---- the sockets

def test_a_port_in_use(tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        said = refused(tmp_path, "-P", "pid", "--ports_file_dir", tmp_path, port=port)
        assert f'Error listening on port: 127.0.0.1:{port}, "listen tcp 127.0.0.1:{port}: bind: address already in use"' in said
        said = refused(tmp_path, "-P", "pid", "-m", port)
        assert "address already in use" in said and str(port) in said


def test_an_address_that_is_not_ours(tmp_path):
    assert "192.0.2.1" in refused(tmp_path, "-a", "192.0.2.1")


# ---- the pid file

@pytest.mark.parametrize("path", ["missing/pid", "missing/deeper/pid", "file/pid", "x" * 300, "y/" * 2047 + "y"])
def test_a_pid_file_where_none_can_be(tmp_path, path):
    (tmp_path / "file").write_text("")
    said = refused(tmp_path, "-P", path)
    assert f"Could not write pidfile: open {path}: " in said
    assert any(why in said for why in ("no such file or directory", "not a directory", "file name too long"))


def test_a_folder_as_pid_file(tmp_path):
    assert f"Could not write pidfile: open {tmp_path}: is a directory" in refused(tmp_path, "-P", tmp_path)


@as_root
def test_a_pid_file_where_we_must_not_write(shared):
    path = os.path.join(shared, "pid")
    assert f"Could not write pidfile: open {path}: permission denied" in refused(shared, "-P", path, user=NOBODY)
    with open(path, "w") as f:
        f.write("12345")
    assert "permission denied" in refused(shared, "-P", path, user=NOBODY)
    with open(path) as f:
        assert f.read() == "12345"


@as_root
def test_a_pid_file_of_ours_in_a_folder_of_others_is_used(start, shared):
    path = os.path.join(shared, "pid")
    with open(path, "w") as f:
        f.write("12345")
    os.chown(path, NOBODY, NOBODY)
    with tempfile.TemporaryDirectory() as folder:
        with harness.Server(folder, args=["-P", path], user=NOBODY) as server:
            with open(path) as f:
                assert f.read() == str(server.pid)
            assert "belongs to a server that runs" in refused(shared, "-P", path, user=NOBODY)
            assert server.stop() == 0


@as_root
def test_a_full_disk_under_the_pid_file(full):
    path = full / "pid"
    said = refused(full, "-P", path)
    assert f"Could not write pidfile: open {path}: no space left on device" in said
    path.write_text("")
    assert "no space left on device" in refused(full, "-P", path)


def test_two_servers_with_one_pid_file(start, tmp_path):
    path = tmp_path / "pid"
    (tmp_path / "link").symlink_to("pid")
    first = start(args=["-P", str(path)])
    for name in (path, tmp_path / "link", "pid"):
        said = refused(tmp_path, "-P", name)
        assert f"Could not write pidfile: {name} belongs to a server that runs, process {first.pid}" in said
        assert int(path.read_text()) == first.pid
    assert first.stop() == 0
    assert not path.exists()


def test_of_many_at_once_with_one_pid_file_one_serves(tmp_path):
    for round_ in range(3):
        folders, path = [tmp_path / f"{round_}.{i}" for i in range(6)], tmp_path / f"pid{round_}"
        if round_ == 1:
            path.write_text("4194304")      # of one that was killed
        for folder in folders:
            folder.mkdir()
        servers = [harness.Server(folder, args=["-P", str(path)], workers=1).start(wait=False) for folder in folders]
        try:
            def settled():
                return sum(s.process.poll() is not None for s in servers) == 5 and \
                    any(s.process.poll() is None and s.ports() for s in servers)
            harness.until(settled, "all but one have given up", 60)
            left = [s for s in servers if s.process.poll() is None]
            assert int(path.read_text()) == left[0].pid
            for s in servers:
                assert s in left or s.process.returncode == 1 and "belongs to a server that runs" in s.log()
            assert left[0].stop() == 0
            assert contents(tmp_path).count(str(path)) == 0
            assert not [name for name in os.listdir(tmp_path) if name.startswith(f"pid{round_}")]
        finally:
            for s in servers:
                s.__exit__()


@as_root
@pytest.mark.skipif(shutil.which("strace") is None or harness.SANITIZED, reason="holds a server up with strace")
@pytest.mark.parametrize("call, stale", [("renameat2", False), ("flock", True)])
def test_who_is_held_up_does_not_take_the_pid_file_from_the_quicker_one(start, tmp_path, call, stale):
    path, log = tmp_path / "pid", tmp_path / "log"
    if stale:
        path.write_text("4194304")
    slow = subprocess.Popen(["strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                             f"inject={call}:delay_enter=1000000:when=1", harness.BULKHEAD, "-a",
                             "127.0.0.1", "-p", "-1", "-P", str(path), "-l", str(log)])

    def held_up():
        """It has the stale file open, or its own ready beside where it shall be."""
        for pid in harness.children(slow.pid):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                try:
                    name = os.readlink(f"/proc/{pid}/fd/{fd}")
                except OSError:
                    continue
                if name.startswith(str(path)):
                    return True
        return False
    try:
        harness.until(held_up, "it is about to take the pid file")
        slow.send_signal(signal.SIGSTOP)    # the tracer: whom it traces waits at the next call
        quick = start(args=["-P", str(path)])
        assert int(path.read_text()) == quick.pid
        slow.send_signal(signal.SIGCONT)
        assert slow.wait(harness.LIMIT) == 1
        assert "belongs to a server that runs" in log.read_text()
        assert int(path.read_text()) == quick.pid and not list(tmp_path.glob("pid.*"))
    finally:
        for pid in [*harness.children(slow.pid), slow.pid] if slow.poll() is None else []:
            os.kill(pid, signal.SIGKILL)
        slow.wait()


def test_the_pid_file_of_a_killed_server_is_replaced(start, tmp_path):
    path = tmp_path / "pid"
    first = start(args=["-P", str(path)])
    first.kill(signal.SIGKILL)
    first.process.wait()
    assert int(path.read_text()) == first.pid
    second = start(args=["-P", str(path)])
    assert int(path.read_text()) == second.pid
    assert second.stop() == 0
    assert not path.exists()


def test_symlinks_to_the_pid_file_are_followed(start, tmp_path):
    folder = tmp_path / "real"
    folder.mkdir()
    link, target = tmp_path / "link", folder / "pid"
    link.symlink_to("real/pid")         # to a file that is not there, then to one that is
    for _ in range(2):
        server = start(args=["-P", str(link)])
        assert link.is_symlink() and not target.is_symlink()
        assert int(target.read_text()) == server.pid
        assert server.stop() == 0
        assert link.is_symlink() and not target.exists()
        target.write_text("4194304")
    link.unlink()
    link.symlink_to("link")
    assert "too many levels of symbolic links" in refused(tmp_path, "-P", link)


@as_root
def test_a_symlink_that_somebody_else_put_into_tmp_is_not_followed(tmp_path):
    with open("/proc/sys/fs/protected_symlinks") as f:
        if f.read().strip() != "1":
            pytest.skip("fs.protected_symlinks is off")
    folder, victim = tmp_path / "tmp", tmp_path / "victim"
    folder.mkdir()
    os.chmod(folder, 0o1777)
    victim.write_text("precious")
    os.symlink(victim, folder / "pid")
    os.chown(folder / "pid", NOBODY, NOBODY, follow_symlinks=False)
    assert "permission denied" in refused(tmp_path, "-P", folder / "pid")
    assert victim.read_text() == "precious"


def test_a_pid_file_is_seen_whole_or_not_at_all(start, tmp_path):
    path = tmp_path / "pid"
    path.write_text("4194304" * 10)
    before = os.stat(path).st_ino
    with open(path) as old:
        server = start(args=["-P", str(path)])
        assert old.read() == "4194304" * 10         # another file, not the same one changed
    assert os.stat(path).st_ino != before
    assert path.read_text() == str(server.pid)
    assert os.listdir(tmp_path).count("pid") == 1 and not list(tmp_path.glob("pid.*"))


def test_a_server_in_lame_duck_mode_gives_its_pid_file_free(start, tmp_path):
    path = tmp_path / "pid"
    first = start(config='lame_duck_duration: "30s"\nlame_duck_grace_period: "10s"\n', args=["-P", str(path)])
    client = first.client(options={"protocol": 1})
    client.ping()
    first.kill(signal.SIGUSR2)
    first.wait_log("Entering lame duck mode")
    second = start(args=["-P", str(path)])
    assert int(path.read_text()) == second.pid
    assert first.stop(signal.SIGINT) == 0
    assert int(path.read_text()) == second.pid
    assert second.stop() == 0
    assert not path.exists()


# ---- the ports file

def test_a_folder_for_the_ports_file_that_is_none(tmp_path):
    (tmp_path / "file").write_text("")
    for path, why in (("missing", "no such file or directory"), ("file", "not a directory"), ("z" * 300, "file name too long")):
        said = refused(tmp_path, "--ports_file_dir", path)
        assert f"Error writing ports file ({path}/bulkhead_" in said and why in said


@as_root
def test_a_folder_for_the_ports_file_where_we_must_not_write(shared):
    said = refused(shared, "--ports_file_dir", shared, user=NOBODY)
    assert f"Error writing ports file ({shared}/bulkhead_" in said and "permission denied" in said


@as_root
def test_a_full_disk_under_the_ports_file(full, tmp_path):
    said = refused(tmp_path, "--ports_file_dir", full, "-P", tmp_path / "pid")
    assert f"Error writing ports file ({full}/bulkhead_" in said and "no space left on device" in said


# ---- the log

def test_a_log_file_where_none_can_be(tmp_path):
    (tmp_path / "file").write_text("")
    for path, why in (("missing/log", "no such file or directory"), ("file/log", "not a directory"),
                      (str(tmp_path), "is a directory")):
        said = refused(tmp_path, "-l", path, "-P", "pid", "--ports_file_dir", tmp_path)
        assert path in said and why in said


@as_root
def test_a_log_file_where_we_must_not_write(shared):
    path = os.path.join(shared, "log")
    said = refused(shared, "-l", path, user=NOBODY)
    assert path in said and "permission denied" in said


def test_with_a_log_file_the_reason_is_there(tmp_path):
    log = tmp_path / "log"
    log.write_text("")
    assert "[FTL] Could not write pidfile: open missing/pid: " in refused(tmp_path, "-l", log, "-P", "missing/pid", log=log)


# ---- while it runs

def none(path):
    os.unlink(path)


def folder_instead(path):
    os.unlink(path)
    os.mkdir(path)


def huge(path):
    with open(path, "ab") as f:
        f.truncate(100 << 20)


def binary(path):
    with open(path, "wb") as f:
        f.write(b"max_payload: 77\n\xff\0\x7fELF")


@pytest.mark.parametrize("spoil", [none, folder_instead, huge, binary])
def test_a_spoiled_configuration_changes_nothing_while_it_runs(start, tmp_path, spoil):
    path = tmp_path / "pid"
    server = start(config="max_payload: 1000\n", args=["-P", str(path)])
    client = server.client()
    client.send("SUB a 1\r\n")
    client.ping()
    kids = server.children()
    spoil(server.config_path)
    server.kill(signal.SIGHUP)
    server.wait_log("Failed to reload server configuration: .*server.conf")
    client.send("PUB a 2\r\nhi\r\n")
    assert client.message()[4] == b"hi"
    assert server.client().info["max_payload"] == 1000
    harness.until(lambda: server.children() == kids, "only those processes as before")
    assert int(path.read_text()) == server.pid and server.ports()


def test_a_reload_does_not_take_the_pid_file_of_another_server(start, tmp_path):
    path, mine = tmp_path / "pid", tmp_path / "mine"
    other = start(args=["-P", str(path)])
    server = start(config=f'max_payload: 1000\npid_file: "{mine}"\n')
    with open(server.config_path) as f:
        text = f.read()
    with open(server.config_path, "w") as f:
        f.write(text.replace(str(mine), str(path)).replace("1000", "2000"))
    server.kill(signal.SIGHUP)
    server.wait_log(f"Failed to reload server configuration: .*{path} belongs to a server that runs, process {other.pid}")
    assert int(path.read_text()) == other.pid and int(mine.read_text()) == server.pid
    assert server.client().info["max_payload"] == 1000
    assert other.stop() == 0 and not path.exists()
    server.kill(signal.SIGHUP)
    server.wait_log("Reloaded server configuration")
    assert int(path.read_text()) == server.pid and not mine.exists()
    assert server.client().info["max_payload"] == 2000


@as_root
def test_a_full_disk_under_the_new_pid_file_refuses_the_reload(start, full, tmp_path):
    mine = tmp_path / "mine"
    server = start(config=f'pid_file: "{mine}"\n')
    with open(server.config_path) as f:
        text = f.read()
    with open(server.config_path, "w") as f:
        f.write(text.replace(str(mine), str(full / "pid")))
    server.kill(signal.SIGHUP)
    server.wait_log("Failed to reload server configuration: .*no space left on device")
    assert int(mine.read_text()) == server.pid and os.listdir(full) == ["filler"]
