"""The control socket and bulkheadctl status: who may look, what is shown, and what becomes of the socket."""
import contextlib
import json
import os
import signal
import socket
import stat
import subprocess

import pytest

import harness

CTL = os.path.join(harness.BUILD, "bin", "bulkheadctl")
LOOKER, STRANGER, GROUP = 64901, 64902, 64903
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs to become other users")


def ctl(*args, env=None, user=None, groups=None):
    done = subprocess.run([CTL, "status", *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=60, text=True, user=user, group=user, extra_groups=groups,
                          env={k: v for k, v in {**os.environ, **(env or {})}.items() if v is not None})
    return done.returncode, done.stdout, done.stderr


def status(path):
    code, out, err = ctl("--json", "-s", path)
    assert code == 0, err
    return json.loads(out)


def processes(path):
    return {(p["program"], p["slot"]): p for p in status(path)["processes"]}


@pytest.fixture
def open_path(tmp_path):
    """A folder that other users can reach: those above it are for root alone."""
    for folder in (tmp_path, *tmp_path.parents):
        if os.path.basename(folder).startswith(("pytest", "test")):
            os.chmod(folder, 0o755)
    return tmp_path


@pytest.fixture
def path(open_path):
    return open_path / "control"


def config(path, *more):
    return f"debug: true\ncontrol_socket: {json.dumps(str(path))}\n" + "".join(line + "\n" for line in more)


# ---- what it shows

def test_every_process_is_there(start, path):
    server = start(config=config(path, "server_name: ship"), workers=2)
    with server.client() as c:
        c.ping()
        shown = status(path)
        assert shown["server"]["name"] == "ship" and shown["server"]["connections"] == 1
        assert shown["server"]["id"] == c.info["server_id"] and shown["server"]["config_digest"].startswith("sha256:")
        assert shown["server"]["nats_version"] == c.info["version"]
    # until the last one that was accepted to see whether it is ready is gone
    found = {(p["program"], p["slot"]): p["pid"] for p in shown["processes"]}
    assert set(found) == {("supervisor", 0), ("log", 0), ("worker", 0), ("worker", 1), ("system", 0)}
    assert found["supervisor", 0] == server.pid
    assert set(found.values()) == {server.pid, *server.children()}
    for p in shown["processes"]:
        assert p["state"] == "running" and p["restarts"] == 0 and p["uptime_seconds"] < 600
        assert 1 << 20 < p["memory_bytes"] < 1 << 30 and 0 <= p["cpu_seconds"] < 600
        assert not set(p["layers"]) & set(p["missing"])
        if not harness.SANITIZED:
            assert {"no_new_privs", "not_dumpable", "filter"} <= set(p["layers"])


def test_the_table_names_them_too(start, path):
    server = start(config=config(path, "server_name: ship"))
    code, out, err = ctl("-s", path)
    assert code == 0 and err == "" and out.startswith("ship: bulkhead ")
    for program, slot in processes(path):
        assert f"\n{program} {slot} " in out
    assert str(server.pid) in out


@pytest.mark.skipif(harness.SANITIZED, reason="there is no sandbox")
def test_layers_that_are_off_are_missing(start, path):
    start(config=config(path, "sandbox: off"))
    worker = processes(path)["worker", 0]
    assert "filter" in worker["missing"] and "filter" not in worker["layers"]


def test_a_death_is_counted(start, path):
    server = start(config=config(path))
    before = processes(path)
    os.kill(before["worker", 1]["pid"], signal.SIGKILL)
    after = harness.until(lambda: (lambda p: p["worker", 1]["state"] == "running" and
                                   p["worker", 1]["pid"] != before["worker", 1]["pid"] and p)(processes(path)),
                          "the successor is shown")
    assert after["worker", 1]["restarts"] == 1 and after["worker", 1]["pid"] in server.children()
    assert after["worker", 0] | {"cpu_seconds": 0, "memory_bytes": 0, "uptime_seconds": 0} == \
        before["worker", 0] | {"cpu_seconds": 0, "memory_bytes": 0, "uptime_seconds": 0}


def test_system_itself_may_die(start, path):
    start(config=config(path))
    pid = processes(path)["system", 0]["pid"]
    os.kill(pid, signal.SIGKILL)

    def again():                        # who was answered by neither the old nor the new one asks again
        code, out, _ = ctl("--json", "-s", path)
        found = code == 0 and {(p["program"], p["slot"]): p for p in json.loads(out)["processes"]}
        return found and found["system", 0]["pid"] != pid and found
    found = harness.until(again, "its successor answers")
    assert found["system", 0]["restarts"] == 1 and ("worker", 2) in found


def test_who_is_stopped_is_shown_so(start, path):
    start(config=config(path, "watchdog: 60"))
    pid = processes(path)["worker", 0]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        harness.until(lambda: processes(path)["worker", 0]["state"] == "stopped", "stopped")
    finally:
        os.kill(pid, signal.SIGCONT)
    harness.until(lambda: processes(path)["worker", 0]["state"] == "running", "goes on")


def test_during_a_reload_it_answers_and_then_shows_the_new_digest(start, path):
    server = start(config=config(path))
    digest = status(path)["server"]["config_digest"]
    for i in range(3):
        before = server.log().count("Reloaded server configuration")
        with open(server.config_path, "a") as f:
            f.write(f"max_payload: {1000 + i}\n")
        server.kill(signal.SIGHUP)
        while server.log().count("Reloaded server configuration") == before:
            assert len(status(path)["processes"]) == 6
    harness.until(lambda: status(path)["server"]["config_digest"] != digest, "the new digest")


def test_a_process_that_a_reload_brings_and_takes(start, path):
    server = start(config=config(path), listen=True)

    def reload(text):
        with open(server.config_path) as f:
            whole = f.read().replace("http: 127.0.0.1:-1\n", "")
        with open(server.config_path, "w") as f:
            f.write(whole + text)
        server.kill(signal.SIGHUP)
    reload("http: 127.0.0.1:-1\n")
    harness.until(lambda: ("monitor", 0) in processes(path), "monitor is shown")
    reload("")
    harness.until(lambda: ("monitor", 0) not in processes(path), "and no more")


def test_varz_has_the_layers(start, path):
    server = start(config=config(path), args=["-m", "-1"])
    import urllib.request
    with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port()}/varz") as f:
        own = json.load(f)["bulkhead"]["processes"]
    shown = processes(path)
    assert {(p["program"], p["slot"]): (p["pid"], p["restarts"], p["layers"]) for p in own} == \
        {key: (p["pid"], p["restarts"], p["layers"]) for key, p in shown.items()}


# ---- who may look

@root_only
def test_only_root_may_where_no_group_is_set(start, path):
    start(config=config(path))
    assert stat.S_IMODE(os.lstat(path).st_mode) == 0o600
    code, out, err = ctl("-s", path, user=STRANGER, groups=[])
    assert code == 1 and out == "" and "Permission denied" in err and "control_socket_group" in err


@root_only
def test_the_kernel_says_who_it_is_whatever_the_mode(start, path):
    server = start(config=config(path))
    os.chmod(path, 0o666)
    code, out, err = ctl("-s", path, user=STRANGER, groups=[])
    assert code == 1 and out == "" and "control_socket_group" in err
    server.wait_log(f"control socket: process \\d+ of user {STRANGER} may not look")
    assert status(path)


@root_only
@pytest.mark.parametrize("group, groups", [(LOOKER, [GROUP]), (GROUP, [])])
def test_who_is_in_the_group_may(start, path, group, groups):
    start(config=config(path, f"control_socket_group: {GROUP}"))
    at = os.lstat(path)
    assert stat.S_IMODE(at.st_mode) == 0o660 and at.st_gid == GROUP
    done = subprocess.run([CTL, "status", "-s", str(path)], user=LOOKER, group=group, extra_groups=groups,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "worker 0" in done.stdout, done.stderr
    assert ctl("-s", path, user=STRANGER, groups=[])[0] == 1


@root_only
def test_the_servers_own_user_may_and_finds_it_alone(start, open_path):
    runtime = open_path / "runtime"
    runtime.mkdir()
    os.chown(runtime, LOOKER, LOOKER)
    env = {"XDG_RUNTIME_DIR": str(runtime), "PATH": os.environ["PATH"]}
    server = start(user=LOOKER, env=env)
    path = runtime / "bulkhead" / f"{server.pid}.sock"
    assert stat.S_IMODE(os.lstat(path).st_mode) == 0o600
    assert f"Listening for bulkheadctl on {path}" in server.log()
    code, out, err = ctl("--json", env=env, user=LOOKER, groups=[])
    assert code == 0, err
    assert json.loads(out)["processes"][0]["pid"] == server.pid
    # a second one does not collide, and then it has to be said which
    other = start(user=LOOKER, env=env)
    code, out, err = ctl(env=env, user=LOOKER, groups=[])
    assert code == 1 and out == "" and f"{server.pid}.sock" in err and f"{other.pid}.sock" in err
    # what a killed one leaves is no server, and the next one's start removes it
    other.kill()
    other.process.wait()
    assert ctl(env=env, user=LOOKER, groups=[])[0] == 0
    start(user=LOOKER, env=env)
    assert not os.path.exists(runtime / "bulkhead" / f"{other.pid}.sock")


# ---- the socket

def test_it_goes_with_the_server(start, path):
    server = start(config=config(path))
    assert stat.S_ISSOCK(os.lstat(path).st_mode)
    assert server.stop() == 0
    assert not os.path.exists(path)


def test_a_killed_ones_is_taken_over(start, path):
    first = start(config=config(path))
    first.kill()
    first.process.wait()
    code, _, err = ctl("-s", path)
    assert code == 3 and "is gone" in err
    second = start(config=config(path))
    assert processes(path)["supervisor", 0]["pid"] == second.pid


def test_one_in_use_is_not(start, path):
    first = start(config=config(path))
    second = start(config=config(path), wait=False)
    assert second.process.wait(harness.LIMIT) == 1
    assert "Error listening on control_socket" in second.log()
    assert processes(path)["supervisor", 0]["pid"] == first.pid


@pytest.mark.parametrize("value, said", [("rel/path", "socket: "), ("/nowhere/at/all", "bind: ")])
def test_a_path_that_cannot_be_ends_the_start(start, value, said):
    server = start(config=config(value), wait=False)
    assert server.process.wait(harness.LIMIT) == 1
    assert f"Error listening on control_socket {value}: {said}" in server.log()


@pytest.mark.parametrize("where", ["auto", "{path}"])
def test_a_group_that_is_none_ends_the_start(start, path, where):
    server = start(config=config(where.format(path=path), "control_socket_group: nobody-has-this-name"), wait=False)
    assert server.process.wait(harness.LIMIT) == 1
    assert 'control_socket_group: found "nobody-has-this-name", expected the name or number of a group' in server.log()


def test_there_may_be_none(start):
    server = start(config="control_socket: none\n")
    assert "bulkheadctl" not in server.log()


def test_only_a_start_changes_it(start, path):
    server = start(config=config(path))
    with open(server.config_path, "a") as f:
        f.write("control_socket: none\n")
    server.kill(signal.SIGHUP)
    server.wait_log("config reload not supported for control_socket")


def test_without_a_server_it_says_how_to_reach_one(tmp_path):
    code, out, err = ctl("-s", tmp_path / "none")
    assert code == 3 and out == "" and "no server at" in err and "--socket" in err
    code, out, err = ctl(env={"BULKHEAD_SOCKET": str(tmp_path / "none")})
    assert code == 3 and "no server at" in err
    (tmp_path / "file").write_text("")
    assert ctl("-s", tmp_path / "file")[0] == 3
    assert ctl("-s", "/" + "x" * 200)[0] == 1


def test_another_socket_is_not_taken_for_one(start, tmp_path):
    start(config=f'listen: ["unix:{tmp_path}/clients", "127.0.0.1:-1"]\ncontrol_socket: none\n', listen=False)
    code, _, err = ctl("-s", tmp_path / "clients")
    assert code == 1 and "is not the control socket" in err


def test_a_server_that_says_nonsense_or_nothing(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.bind(str(tmp_path / "s"))
        s.listen()
        for answer, said in ((b"\xc1", "is not understood"), (b"\x91\x04", "is not understood"),
                             (b"\x91\xcd\x7f\xff", "another version"), (None, "closed the connection"),
                             (b"\x92\x01\xa3\x1b[m", "[m")):
            asker = subprocess.Popen([CTL, "status", "-s", str(tmp_path / "s")], stderr=subprocess.PIPE, text=True)
            peer, _ = s.accept()
            assert peer.recv(100) == b"\x93\x00\xa6status\xa0"
            if answer is not None:
                peer.send(answer)
            else:
                peer.close()
            err = asker.communicate(timeout=60)[1]
            peer.close()
            assert asker.returncode == 1 and said in err and "\x1b" not in err


# ---- hostile ones

def test_silent_and_malformed_ones_cost_themselves_alone(start, path):
    server = start(config=config(path))
    system = server.children("system")
    silent = []
    for i in range(100):                # some of these are closed to make room
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.connect(str(path))
        silent.append(s)
        if i % 2:
            s.send(bytes([i]) * 1000)
    with server.client() as c:
        c.ping()
    assert status(path)["server"]["connections"] <= 1
    for s in silent:
        s.close()
    assert server.children("system") == system


@root_only
def test_descriptors_that_come_along_are_closed(start, path):
    server = start(config=config(path))
    (system,) = server.children("system")
    before = len(os.listdir(f"/proc/{system}/fd"))
    with open("/dev/null") as null:
        for many in (1, 3, 4, 5, 253):
            for _ in range(10):
                with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
                    s.connect(str(path))
                    s.settimeout(harness.LIMIT)
                    socket.send_fds(s, [b"\x93\x00\xa6status\xa0"], [null.fileno()] * many)
                    with contextlib.suppress(ConnectionResetError):
                        assert s.recv(4096) == b"", "a request that has descriptors is none"
    harness.until(lambda: len(os.listdir(f"/proc/{system}/fd")) == before, "none stays open")
    assert system in server.children("system") and processes(path)["system", 0]["restarts"] == 0
