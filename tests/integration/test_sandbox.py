"""From outside: what the kernel says of each child. That the forbidden calls
fail inside is tests/unit/common/sandbox.c."""
import os

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
        assert s["Seccomp"] == "2", name
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
