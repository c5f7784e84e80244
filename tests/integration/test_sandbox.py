"""From outside: what the kernel says of each child. That the forbidden calls
fail inside is tests/unit/common/sandbox.c."""
import os
import pwd
import re
import signal
import subprocess
import sys
import tempfile

import pytest

import harness

pytestmark = pytest.mark.skipif(harness.SANITIZED, reason="the sanitizers' runtime needs what the sandbox forbids")


def status(pid):
    with open(f"/proc/{pid}/status") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


@pytest.fixture
def full(start):
    return start(args=["-m", "-1"])


def test_every_child_is_filtered_and_gains_no_privileges(full):
    kids = full.children()
    assert len(set(kids.values())) >= 4
    for pid, name in kids.items():
        s = status(pid)
        assert filtered(full, pid), name
        assert s["NoNewPrivs"] == "1", name
        assert int(s["CapEff"], 16) == 0 and int(s["CapPrm"], 16) == 0, name
        assert s["Threads"] == "1", name


@pytest.mark.skipif(os.geteuid() != 0, reason="uids are changed by root only")
def test_every_child_has_a_uid_of_its_own(start):
    before, uids = os.getgroups(), {}
    os.setgroups([4, 20])                           # it must not keep those it was started with
    try:
        full = start(args=["-m", "-1"])
    finally:
        os.setgroups(before)
    for pid, name in full.children().items():
        ids = set(status(pid)["Uid"].split())
        assert len(ids) == 1 and "0" not in ids, name
        assert set(status(pid)["Gid"].split()) == ids, name
        assert status(pid)["Groups"].strip() == "", name
        uids.setdefault(ids.pop(), []).append(name)
    assert all(len(names) == 1 for names in uids.values()), uids


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to look into other users' processes")
def test_children_see_an_empty_root_and_no_network(full):
    host = os.readlink("/proc/self/ns/net")
    for pid, name in full.children().items():
        assert os.readlink(f"/proc/{pid}/ns/net") != host, name
        assert os.listdir(f"/proc/{pid}/root") == [], name


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to look into other users' processes")
def test_a_child_holds_no_descriptor_it_does_not_need(full):
    c = full.client()
    c.ping()
    for pid, name in full.children().items():
        for fd in os.listdir(f"/proc/{pid}/fd"):
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
            assert not target.startswith("/") or target.startswith(("/dev/null", "/memfd:")) or \
                name == "bulkhead-log" or name == "bulkhead-system" and target.startswith("/proc/"), (name, target)


@pytest.mark.skipif(os.geteuid() != 0, reason="starts as another user")
def test_it_runs_without_root_and_says_what_is_missing(tmp_path):
    os.chmod(tmp_path, 0o777)
    for up in tmp_path.parents:
        if up == up.parent or up == "/tmp":
            break
        try:
            os.chmod(up, os.stat(up).st_mode | 0o055)
        except OSError:
            break
    import subprocess
    server = harness.Server(tmp_path)
    os.chmod(server.config_path, 0o644)
    server.argv = ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups", *server.argv]
    try:
        server.start()
    except AssertionError as e:
        if "Permission denied" in str(e):
            pytest.skip("the build folder cannot be read by another user")
        raise
    try:
        c = server.client()
        c.send("SUB a 1\r\nPUB a 2\r\nhi\r\n")
        assert c.message()[4] == b"hi"
        assert "sandbox:" in server.log()
        for pid in server.children():
            assert status(pid)["Seccomp"] == "2"
        assert server.stop() == 0
    finally:
        server.__exit__()


# -- what the log says of it

ALL = "limits, net, ipc, uts, cgroup, pid, root, uid, capabilities, no_new_privs, not_dumpable, mdwe, landlock, filter"
NAMES = ALL.split(", ")
HERE = os.path.dirname(os.path.abspath(__file__))
CAPABILITIES = "+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service,+net_raw,+sys_chroot"


def told(log):
    """{program: (count, layers, missing)} of the lines at the start."""
    found = {}
    for who, times, has, lacks in re.findall(r"\[INF\] sandbox: (\w+)(?: x(\d+))?: (.*) \(missing: (.*)\)", log):
        assert who not in found, who
        found[who] = (int(times or 1), set(has.split(", ")), set() if lacks == "none" else set(lacks.split(", ")))
    return found


def lost(log):
    return re.findall(r"\[WRN\] sandbox: .* which the one before it had", log)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has all layers")
def test_a_line_for_each_kind_of_program_names_its_layers(start):
    server = start(config="sandbox: required\n", args=["-m", "-1"])
    log = server.log()
    said = told(log)
    assert {"supervisor", "config", "log", "worker", "system", "monitor"} == set(said)
    assert said["worker"][0] == 3
    for who, (count, has, lacks) in said.items():
        assert lacks == set() and (who == "supervisor" or has == set(NAMES)), who
    assert said["supervisor"][1] == {"capabilities", "no_new_privs", "not_dumpable", "mdwe", "filter"}
    assert log.index("sandbox: worker") < log.index("Server is ready")


@pytest.mark.skipif(os.geteuid() != 0, reason="starts as another user")
def test_required_is_refused_to_a_plain_user(tmp_path):
    config = tmp_path / "required.conf"
    config.write_text("port: -1\nsandbox: required\n")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = os.path.join(folder, "c.conf")
        with open(path, "w") as f:
            f.write(config.read_text())
        os.chmod(path, 0o644)
        done = subprocess.run([harness.BULKHEAD, "-c", path], user=12345, group=12345, extra_groups=[],
                              capture_output=True, text=True, timeout=harness.LIMIT)
    assert done.returncode == 1
    assert "sandbox: it is required, and children would be without uid" in done.stderr, done.stderr
    assert "only who is started as root can have all layers" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="starts as root")
def test_required_is_refused_where_one_user_is_all(tmp_path):
    config = tmp_path / "required.conf"
    config.write_text("port: -1\nsandbox: required\nuser: nobody\n")
    done = subprocess.run([harness.BULKHEAD, "-c", str(config)], capture_output=True, text=True, timeout=harness.LIMIT)
    assert done.returncode == 1 and "expected process_users" in done.stderr


def filtered(server, pid):
    """It has a filter of its own besides the supervisor's: the last thing that it does before `ready`."""
    try:
        return int(status(pid)["Seccomp_filters"]) > int(status(server.pid)["Seccomp_filters"])
    except (OSError, KeyError):
        return False


def replaced(server, program):
    """Kill each child of this kind: those that take their place."""
    before = set(server.children(program))
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    harness.until(lambda: len(server.children(program)) == len(before) and not before & set(server.children(program)) and
                  all(filtered(server, pid) for pid in server.children(program)), "others took their place")
    return server.children(program)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has all layers")
def test_who_takes_the_place_of_another_has_its_layers(start):
    server = start(config="authorization { users: [ { user: a, password: b } ] }\n", args=["-m", "-1"])
    for program in ("worker", "system", "auth", "monitor", "log"):
        for pid in replaced(server, program):
            s = status(pid)
            assert s["NoNewPrivs"] == "1" and int(s["CapPrm"], 16) == 0 and int(s["CapBnd"], 16) == 0, program
            assert os.readlink(f"/proc/{pid}/ns/pid") != os.readlink("/proc/self/ns/pid"), program
            assert os.listdir(f"/proc/{pid}/root") == [], program
    assert lost(server.log()) == []


def test_the_supervisor_gives_up_what_it_does_not_need(full):
    s = status(full.pid)
    assert s["Seccomp"] == "2" and s["NoNewPrivs"] == "1"
    keeps = (1 << 0 | 1 << 1 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 18 | 1 << 21)
    for name in ("CapPrm", "CapEff", "CapBnd"):
        assert int(s[name], 16) & ~keeps == 0 or os.geteuid() != 0 and name == "CapBnd", name
    assert int(s["CapInh"], 16) == 0 and int(s["CapAmb"], 16) == 0
    assert "is not allowed: refused" not in full.log()


@pytest.mark.skipif(os.geteuid() != 0, reason="uids are changed by root only")
def test_each_role_has_the_user_that_was_named(start):
    server = start(config='process_users: ["worker:nobody", "system:4242:4243", "log:daemon"]\n', args=["-m", "-1"])
    nobody, daemon = pwd.getpwnam("nobody"), pwd.getpwnam("daemon")
    wanted = {"bulkhead-worker": (nobody.pw_uid, nobody.pw_gid), "bulkhead-system": (4242, 4243),
              "bulkhead-log": (daemon.pw_uid, daemon.pw_gid)}
    for pid, name in server.children().items():
        s = status(pid)
        ids = (int(s["Uid"].split()[1]), int(s["Gid"].split()[1]))
        assert ids == wanted.get(name, ids), name
        assert name in wanted or ids[0] >= 64000, name
    assert all(lacks == set() for count, has, lacks in told(server.log()).values())


@pytest.mark.skipif(os.geteuid() != 0, reason="uids are changed by root only")
@pytest.mark.parametrize("value,says", [
    ('["worker"]', 'found "worker", expected "role:user" or "role:user:group"'),
    ('["postman:5"]', 'found "postman:5", expected the name of a child'),
    ('["worker:no-such-user"]', 'expected the name or number of a user'),
    ('["worker:5:no-such-group"]', 'expected the name or number of a group'),
    ('["worker:0"]', "expected a user and a group without root's rights"),
    ('["worker:5:0"]', "expected a user and a group without root's rights"),
    ('["worker:5", "worker:6"]', "expected one user for each role"),
    ('["worker:5", "log:5"]', "would run as 5, as log does, expected a user of its own"),
    ('["worker:64001"]', "would run as 64001, as uid_base does"),
    ('["worker:5"]\nuser: 5', "would run as 5, as user does")])
def test_users_of_roles_are_checked_at_the_start(tmp_path, value, says):
    config = tmp_path / "c.conf"
    config.write_text(f"port: -1\nprocess_users: {value}\n")
    done = subprocess.run([harness.BULKHEAD, "-c", str(config)], capture_output=True, text=True, timeout=harness.LIMIT)
    assert done.returncode == 1 and says in done.stderr, done.stderr


# -- containers (contained.py)

NO_SPACES = {"net", "ipc", "uts", "cgroup", "pid"}


@pytest.mark.skipif(os.geteuid() != 0, reason="starts as others")
@pytest.mark.parametrize("kind,rights,lacks", [
    ("docker", ["--bounding-set", "-all," + CAPABILITIES, "--inh-caps", "-all"], NO_SPACES),
    ("docker", ["--bounding-set", "-all", "--inh-caps", "-all", "--no-new-privs"], NO_SPACES | {"root", "uid"}),
    ("docker", ["--reuid", "12345", "--regid", "12345", "--clear-groups", "--no-new-privs"], NO_SPACES | {"root", "uid"}),
    ("old", ["--reuid", "12345", "--regid", "12345", "--clear-groups"], NO_SPACES | {"root", "uid", "landlock"}),
], ids=["docker", "no capabilities", "plain user", "plain user on an old kernel"])
def test_in_a_container_what_is_missing_is_said_and_the_rest_holds(kind, rights, lacks):
    with tempfile.TemporaryDirectory() as folder:       # of which all parents may be entered
        os.chmod(folder, 0o777)
        server = harness.Server(folder, args=["-m", "-1"])
        os.chmod(server.config_path, 0o644)
        server.argv = ["setpriv", *rights, sys.executable, os.path.join(HERE, "contained.py"), kind, *server.argv]
        with server:
            c = server.client()
            c.send("SUB a 1\r\nPUB a 2\r\nhi\r\n")
            assert c.message()[4] == b"hi"
            said = told(server.log())
            for who, (count, has, missing) in said.items():
                if who != "supervisor":
                    assert missing == lacks and has == set(NAMES) - lacks, (who, missing)
            assert said["supervisor"][2] == set()
            for pid in replaced(server, "worker"):
                s = status(pid)
                assert s["Seccomp"] == "2" and int(s["CapPrm"], 16) == 0
                if "root" not in lacks:
                    assert os.listdir(f"/proc/{pid}/root") == []
            with server.client() as c:
                assert c.ping() == b""
            assert lost(server.log()) == []
            missing = re.findall(r"\[WRN\] (sandbox: no .*?)(?: \(|: )", server.log())
            assert len(missing) == len(set(missing)) == len(lacks)


# -- docs/security.md

def test_the_table_of_profiles_in_the_documents_is_that_of_the_code():
    with open(os.path.join(harness.ROOT, "common", "sandbox.c")) as f:
        source = f.read()
    with open(os.path.join(harness.ROOT, "docs", "security.md")) as f:
        text = f.read()
    table = re.sub(r'"\s*"', "", source[source.index("table[ROLES]"):source.index("};")])
    rows = re.findall(r"\[ROLE_(\w+)\] =\s*\{\s*(\w+),\s*(\w+),\s*([^,]+),\s*\"([^\"]*)\" \}", table)
    assert len(rows) == table.count("[ROLE_")
    shown = {line.split(" | ")[0][2:]: line[2:-2].split(" | ")[1:]
             for line in text.split("| program | descriptors |")[1].split("\n\n")[0].splitlines()[2:]}
    assert len(shown) == len(rows)
    for role, descriptors, size, rights, promises in rows:
        words = ", ".join(w.replace("SANDBOX_", "") for w in rights.split(" | ")) if rights != "0" else "none"
        parent, files = role == "SUPERVISOR", "FILES" in words
        assert shown[role.lower()] == [
            "as it was started" if parent else "as the supervisor" if descriptors == "0" else descriptors,
            "as it was started" if parent else "any" if files else size, words, promises], role
    names = re.findall(r'\[LAYER_\w+\] = "(\w+)"', source)
    layers = text.split("| layer | what it is |")[1].split("\n\n")[0].splitlines()[2:]
    assert [n for line in layers for n in line[2:].split(" | ")[0].split(", ")] == names
