"""Listeners on Unix sockets: who may connect, who it is, and what becomes of the file."""
import json
import os
import signal
import stat

import pytest

import harness

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs to become other users")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "s"


def config(path, *more, tcp=True):
    listen = [f"unix:{path}"] + (["127.0.0.1:-1"] if tcp else [])
    return "debug: true\nlisten: " + json.dumps(listen) + "\n" + "".join(line + "\n" for line in more)


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def rewrite(server, text):
    with open(server.config_path, "w") as f:
        f.write(text + "workers: 3\n" + ("sandbox: off\n" if harness.SANITIZED else ""))
    server.kill(signal.SIGHUP)


def reload(server, text):
    before = server.log().count("Reloaded server configuration")
    rewrite(server, text)
    harness.until(lambda: server.log().count("Reloaded server configuration") > before, "reloaded")


def said_to(user, path, groups=()):
    """What the server says to another user who connects and asks; None: that one may not."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:                        # nothing of the test's may run on in here
        try:
            os.setgroups(groups)
            os.setgid(user)
            os.setuid(user)
            with harness.Client(0, path=path) as c:
                c.send("PING\r\n")
                os.write(write, c.until(b"\n"))
        except PermissionError:
            os.write(write, b"not permitted")
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as f:
        answer = f.read()
    os.waitpid(pid, 0)
    assert answer, "it said nothing"
    return None if answer == b"not permitted" else answer


def connects_as(user, path, groups=()):
    return said_to(user, path, groups) is not None


def test_messages_go_both_ways(start, path):
    server = start(config=config(path), listen=False)
    here, there = harness.Client(0, path=path), server.client()
    for sub, pub in ((here, there), (there, here)):
        sub.send("SUB a 1\r\n")
        sub.ping()
        pub.send("PUB a 200000\r\n", b"x" * 200000, "\r\n")
        assert sub.message()[4] == b"x" * 200000
        sub.send("UNSUB 1\r\n")
        sub.ping()
    assert here.info["client_ip"] == f"unix/{os.geteuid()}"
    assert here.info["port"] == server.port
    server.wait_log(rf"unix/{os.geteuid()}:0 - cid:{here.info['client_id']} - Client connection created")
    server.wait_log(f"Listening for client connections on unix:{path}")
    assert server.port_data["unix"] == [f"unix:{path}"]
    assert server.stop() == 0
    assert not path.exists()


def test_alone_it_needs_no_port(start, path):
    server = start(config="listen: \"unix:%s\"\n" % path, listen=False, wait=False)
    server.wait_log("Server is ready")
    with harness.Client(0, path=path) as c:
        assert c.info["port"] == 0
        assert c.ping() == b""
    links = set()
    for pid in [server.pid, *server.children()]:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            links.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
    with open("/proc/net/tcp") as f, open("/proc/net/tcp6") as g:
        tcp = {"socket:[" + line.split()[9] + "]" for line in [*f, *g] if line.split()[3] == "0A"}
    assert not links & tcp
    assert server.stop() == 0
    assert not path.exists()


@root_only
@pytest.mark.parametrize("how, owner_only", [("", True), ("unix_socket_mode: \"0660\"\n", True),
                                             ("unix_socket_mode: \"0666\"\n", False)])
def test_mode_decides_who_connects(start, path, how, owner_only, tmp_path):
    for folder in [tmp_path, *tmp_path.parents][:3]:
        os.chmod(folder, 0o755)
    start(config=config(path, how), listen=False)
    assert connects_as(65534, path) == (not owner_only)


@root_only
def test_a_group_may_connect(start, path, tmp_path):
    for folder in [tmp_path, *tmp_path.parents][:3]:
        os.chmod(folder, 0o755)
    start(config=config(path, 'unix_socket_mode: "0660"', 'unix_socket_group: "54321"'), listen=False)
    assert os.lstat(path).st_gid == 54321
    assert not connects_as(65534, path)
    assert connects_as(65534, path, groups=(54321,))


@pytest.mark.parametrize("line, said", [
    ('unix_socket_mode: "0999"', 'unix_socket_mode: found "0999", expected'),
    ('unix_socket_group: "no such group"', 'unix_socket_group: found "no such group", expected')])
def test_rights_that_cannot_be_are_named(start, path, line, said):
    server = start(config=config(path, line), listen=False, wait=False)
    assert server.process.wait(harness.LIMIT) == 1
    assert said in server.process.stdout.read().decode() + server.log()
    assert not path.exists()


def test_a_socket_in_use_is_not_taken(start, path):
    first = start(config=config(path), listen=False)
    second = start(config=config(path), listen=False, wait=False)
    assert second.process.wait(harness.LIMIT) == 1
    assert f"Error listening on unix:{path}: bind: address already in use" in second.log()
    with harness.Client(0, path=path) as c:
        assert c.ping() == b""
    assert first.stop() == 0


def test_what_a_killed_server_left_is_replaced(start, path):
    first = start(config=config(path), listen=False)
    first.kill()
    first.process.wait()
    assert path.is_socket()
    start(config=config(path), listen=False)
    with harness.Client(0, path=path) as c:
        assert c.ping() == b""


def test_a_file_in_its_place_is_left_alone(start, path):
    path.write_text("precious")
    server = start(config=config(path), listen=False, wait=False)
    assert server.process.wait(harness.LIMIT) == 1
    assert path.read_text() == "precious"


def test_reload_adds_changes_and_removes(start, path, tmp_path):
    other = tmp_path / "t"
    server = start(config=config(path), listen=False)
    here = harness.Client(0, path=path)
    reload(server, config(path, 'unix_socket_mode: "0640"').replace("unix:", f'unix:{other}", "unix:', 1))
    assert mode(path) == mode(other) == 0o640
    there = harness.Client(0, path=other)
    reload(server, config(other, 'unix_socket_mode: "0600"'))
    assert mode(other) == 0o600 and not path.exists()
    server.wait_log(f"Stopped listening on unix:{path}")
    for c in (here, there):                     # who is connected stays
        assert c.ping() == b""
    with pytest.raises(OSError):
        harness.Client(0, path=path)


def test_a_refused_reload_leaves_no_socket(start, path, tmp_path):
    other = tmp_path / "t"
    server = start(config=config(path), listen=False)
    rewrite(server, config(path).replace("unix:", f'unix:{other}", "unix:/nowhere/at/all", "unix:', 1))
    server.wait_log("Failed to reload server configuration: Error listening on unix:/nowhere/at/all: bind: ")
    assert not other.exists()
    with harness.Client(0, path=path) as c:
        assert c.ping() == b""


def test_lame_duck_mode_frees_the_path(start, path, tmp_path):
    server = start(config=config(path, 'lame_duck_grace_period: "5s"', 'lame_duck_duration: "10s"'), listen=False)
    with harness.Client(0, path=path, options={"protocol": 1}) as c:
        assert c.ping() == b""
        server.kill(signal.SIGUSR2)
        server.wait_log("Entering lame duck mode")
        harness.until(lambda: not path.exists(), "the file is gone")
        start(config=config(path), listen=False)
        with harness.Client(0, path=path) as d:
            assert d.ping() == b""
        assert b"INFO" in c.ping()
        server.stop(signal.SIGINT)
    assert path.exists()                        # the other server's


def test_a_user_counts_as_an_address(start, path):
    server = start(config=config(path, "max_connections_per_address: 2"), listen=False)
    held = [harness.Client(0, path=path) for _ in range(2)]
    for c in held:
        assert c.ping() == b""
    assert b"maximum connections" in harness.Client(0, path=path).rest()
    with server.client() as c:                  # that is another address
        assert c.ping() == b""
    held.pop().close()
    harness.until(lambda: b"-ERR" not in answer(path), "there is room again")


def answer(path):
    """What a PING is answered with, or how it is refused."""
    try:
        with harness.Client(0, path=path) as c:
            c.send("PING\r\n")
            c.receive()
            return c.buffer
    except (ConnectionError, EOFError):
        return b"-ERR"


def test_a_dead_worker_takes_its_own_clients_only(start, path):
    server = start(config=config(path), listen=False)
    clients = [harness.Client(0, path=path) for _ in range(12)]
    for c in clients:
        c.ping()
    victim = server.worker_of(clients[0])
    os.kill(victim, signal.SIGKILL)
    for c in clients:
        if server.worker_of(c) == victim:
            assert c.rest() == b""
        else:
            assert c.ping() == b""
    with harness.Client(0, path=path) as c:
        assert c.ping() == b""


def test_the_peer_is_the_user(start, path):
    server = start(config=config(path, "authorization { users = [ {user: ops, password: secret, unix_user: \"%d\"} ] }"
                                 % os.geteuid()), listen=False)
    with harness.Client(0, path=path) as c:
        assert c.ping() == b""
    assert b"Authorization Violation" in server.client().rest()
    assert server.client(options={"user": "ops", "pass": "secret"}).ping() == b""


@root_only
def test_another_user_is_not(start, path, tmp_path):
    for folder in [tmp_path, *tmp_path.parents][:3]:
        os.chmod(folder, 0o755)
    start(config=config(path, 'unix_socket_mode: "0666"',
                        "authorization { users = [ {user: ops, password: secret, unix_user: root} ] }"), listen=False)
    assert b"Authorization Violation" in said_to(65534, path)
