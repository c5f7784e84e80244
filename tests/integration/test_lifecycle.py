"""How it starts and ends, and what launchers rely on."""
import os
import re
import signal
import socket
import stat
import subprocess
import tempfile
import time

import pytest

import harness


def program(*args, **kwargs):
    return subprocess.run([harness.BULKHEAD, *args], capture_output=True, text=True, timeout=30, **kwargs)


def test_version_names_the_level_that_is_implemented():
    for flag in ("-v", "--version"):
        done = program(flag)
        assert done.returncode == 0
        assert re.match(r"nats-server: v2\.15\.2\b", done.stdout)
        assert "bulkhead" in done.stdout


def test_help():
    done = program("-h")
    assert done.returncode == 0 and "-p" in done.stdout and "--signal" in done.stdout


def test_an_unknown_flag_is_named_and_ends_with_1():
    done = program("--nope")
    assert done.returncode == 1 and "-nope" in done.stderr + done.stdout


def test_a_bad_value_is_named_and_ends_with_1():
    done = program("-p", "many")
    assert done.returncode == 1 and "many" in done.stderr + done.stdout


@pytest.mark.parametrize("text,where", [
    ("port: many\n", ":1:"), ("\n\nprot: 4222\n", "port"), ("max_payload: {\n", ":1:"),
    ("a: b\nport: [\n", ":1:"), ("authorization { usr: a }\n", "usr")])
def test_errors_of_the_configuration_say_where(tmp_path, text, where):
    path = tmp_path / "bad.conf"
    path.write_text(text)
    done = program("-c", str(path))
    assert done.returncode == 1 and where in done.stderr and "bad.conf" in done.stderr


def test_a_missing_configuration_file_is_named():
    done = program("-c", "/does/not/exist.conf")
    assert done.returncode == 1 and "/does/not/exist.conf" in done.stderr


@pytest.mark.parametrize("path, why", [("/dev/null", "config has no values or is empty"),
                                       ("/dev/zero", "more than 16 MiB"), ("/", "is a directory")])
def test_what_cannot_be_a_configuration_is_named(path, why):
    done = program("-c", path)
    assert done.returncode == 1 and path in done.stderr and why in done.stderr


def test_a_configuration_may_come_through_a_pipe(tmp_path):
    for text, status, said in (("max_payload: 4k", 0, "is valid"), ("\nmax_payload: x", 1, "/dev/stdin:2:14: max_payload"),
                               ("", 1, "/dev/stdin: config has no values"), ("#" * (17 << 20), 1, "more than 16 MiB")):
        done = subprocess.run([harness.BULKHEAD, "-t", "-c", "/dev/stdin"], input=text, capture_output=True, text=True,
                              timeout=harness.LIMIT)
        assert done.returncode == status and said in done.stderr, done.stderr
    read, write = os.pipe()         # as the shell's <(...)
    os.write(write, b"max_payload: 4k\n")
    os.close(write)
    done = subprocess.run([harness.BULKHEAD, "-t", "-c", f"/dev/fd/{read}"], pass_fds=[read], capture_output=True,
                          text=True, timeout=harness.LIMIT)
    os.close(read)
    assert done.returncode == 0 and f"/dev/fd/{read} is valid" in done.stderr, done.stderr


def test_a_named_pipe_is_read_when_somebody_writes_to_it(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    server = subprocess.Popen([harness.BULKHEAD, "-t", "-c", str(pipe)], stderr=subprocess.PIPE, text=True)
    try:
        with open(pipe, "w") as f:      # waits until it is open for reading
            harness.until(lambda: harness.children(server.pid), "it is being read")
            f.write("max_payload: 4k\n")
        assert "is valid" in server.communicate(timeout=harness.LIMIT)[1] and server.returncode == 0
    finally:
        server.kill()


@pytest.mark.parametrize("opened", [True, False])
def test_a_pipe_that_says_nothing_does_not_keep_it_from_ending(tmp_path, opened):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    server = subprocess.Popen([harness.BULKHEAD, "-c", str(pipe)], stderr=subprocess.PIPE, text=True)
    fd = os.open(pipe, os.O_RDWR) if opened else None
    try:
        harness.until(lambda: harness.children(server.pid), "it is being read")
        server.terminate()
        server.communicate(timeout=5)
    finally:
        server.kill()
        if opened:
            os.close(fd)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_order_within_a_second(start, how):
    server = start(args=["-P", "pid"], config="")
    client = server.client()
    kids = server.children()
    assert len(kids) >= 5
    began = time.monotonic()
    assert server.stop(how) == 0
    assert time.monotonic() - began < (1.0 if not harness.SANITIZED else 10)
    assert not any(harness.alive(p) for p in kids)
    assert client.rest() is not None
    assert not os.path.exists("pid")
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", server.port), timeout=5)


def test_after_sigkill_nothing_is_left_and_the_next_start_goes_well(start, tmp_path):
    pid_file = tmp_path / "bulkhead.pid"
    server = start(args=["-P", str(pid_file)])
    port, kids = server.port, server.children()
    assert int(pid_file.read_text()) == server.pid
    server.kill(signal.SIGKILL)
    server.process.wait()
    for pid in kids:
        harness.until(lambda p=pid: not harness.alive(p), "child ends with its supervisor", 5)
    assert pid_file.exists()
    again = start(args=["-P", str(pid_file)], port=port)
    assert again.port == port and int(pid_file.read_text()) == again.pid
    assert again.stop() == 0
    assert not pid_file.exists()


@pytest.mark.parametrize("how", ["written over", "replaced"])
def test_a_pid_file_that_another_server_took_over_is_left_to_it(start, tmp_path, how):
    pid_file = tmp_path / "p"
    server = start(args=["-P", str(pid_file)])
    if how == "replaced":
        pid_file.unlink()
    pid_file.write_text("1" if how == "written over" else str(server.pid))
    assert server.stop() == 0
    assert pid_file.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_device_is_never_replaced_by_the_pid_file(start, tmp_path):
    device = str(tmp_path / "null")
    os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    server = start(args=["-P", device])
    assert server.stop() == 0
    assert stat.S_ISCHR(os.stat(device).st_mode)


def test_stopped_children_do_not_delay_the_end(start):
    server = start(args=["-m", "-1"])
    kids = server.children()
    for pid in kids:
        os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    assert server.stop() == 0
    # the log's 0.3 s, and not the 0.5 s that children have to end
    assert time.monotonic() - began < (0.75 if not harness.SANITIZED else 10)
    assert not any(harness.alive(pid) for pid in kids)


@pytest.mark.parametrize("milliseconds", [2, 5, 8, 11, 14, 17, 20, 30])
def test_it_ends_while_it_starts(start, milliseconds):
    server = start(wait=False)
    time.sleep(milliseconds / 1000)     # any moment: not a wait for anything
    server.kill(signal.SIGTERM)
    server.kill(signal.SIGTERM)
    began = time.monotonic()
    assert server.process.wait(harness.LIMIT) in (0, -signal.SIGTERM)
    assert time.monotonic() - began < (1.0 if not harness.SANITIZED else 10)
    assert not [name for name in os.listdir(server.folder) if name.endswith(".ports")]


@pytest.mark.skipif(harness.SANITIZED, reason="runs without a sandbox")
def test_missing_layers_of_the_sandbox_are_said_once():
    with tempfile.TemporaryDirectory() as folder:       # of which all parents may be entered
        with harness.Server(folder, args=["-m", "-1"], user=65534 if os.geteuid() == 0 else None) as server:
            lines = re.findall(r"\[WRN\] (sandbox: no [^(]*)", server.log())
    assert "sandbox: no uid of its own " in lines and len(lines) == len(set(lines))


def test_a_port_in_use_is_said_and_ends_with_1(start, tmp_path):
    pid_file = tmp_path / "p"
    server = start(args=["-P", str(pid_file)])
    done = program("-a", "127.0.0.1", "-p", str(server.port), "-P", str(pid_file))
    assert int(pid_file.read_text()) == server.pid
    assert done.returncode == 1
    assert "address already in use" in done.stderr.lower()
    assert str(server.port) in done.stderr


def test_the_log_has_the_lines_that_tools_wait_for(start):
    server = start(args=["-m", "-1", "-n", "hal"])
    log = server.log()
    for line in (r"\[INF\] Starting nats-server", r"\[INF\]   Version:  ", r"\[INF\]   Name:     hal",
                 r"\[INF\]   ID:       N[A-Z2-7]{55}", r"\[INF\] Starting http monitor on 127.0.0.1:\d+",
                 rf"\[INF\] Listening for client connections on 127.0.0.1:{server.port}", r"\[INF\] Server is ready"):
        assert re.search(line, log), line
    assert re.match(r"\[\d+\] \d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} \[", log)
    assert server.client().info["server_name"] == "hal"
    server.stop()
    assert "Initiating Shutdown" in server.log() and "Server Exiting" in server.log()


def test_log_without_time(start):
    server = start(args=["-T=false"])
    assert all(re.match(r"\[\d+\] \[(INF|WRN)\] ", line) for line in server.log().splitlines())


def test_log_reopens_on_sigusr1(start, tmp_path):
    server = start(config="debug: true\n")
    moved = server.log_path + ".1"
    os.rename(server.log_path, moved)
    server.kill(signal.SIGUSR1)
    harness.until(lambda: os.path.exists(server.log_path), "a new log file")
    server.client()
    server.wait_log("Client connection created")


def test_a_log_that_nobody_reads_does_not_stop_the_server(start, tmp_path):
    path = str(tmp_path / "other")
    server = start(args=["-l", path])
    os.unlink(path)
    os.mkfifo(path)
    server.kill(signal.SIGUSR1)
    for _ in range(20):
        server.client().ping()
    assert server.stop() == 0


def test_trace_shows_protocol_lines_and_no_secret(start):
    server = start(args=["-DV"])
    c = server.client(options={"user": "joe", "pass": "hidden-pass", "auth_token": "hidden-token"})
    c.send("SUB foo 1\r\nPUB foo 2\r\nhi\r\n")
    c.message()
    for text in (r"<<- \[SUB foo 1\]", r"<<- \[PUB foo 2\]", r"<<- MSG_PAYLOAD: \[\"hi\"\]", r"->> \[MSG foo 1 2\]"):
        server.wait_log(text)
    assert "hidden" not in server.log()


def test_what_a_client_says_cannot_forge_log_lines(start):
    server = start(args=["-DV"])
    c = server.client(options={"name": "x\n[1] [FTL] forged\x1b[31m"})
    c.ping()
    server.wait_log("CONNECT")
    assert not re.search(r"^\[1\] \[FTL\] forged", server.log(), re.M) and "\x1b" not in server.log()


def test_the_link_nats_server_is_the_only_process_of_that_name(start):
    link = os.path.join(harness.BUILD, "bin", "nats-server")
    server = start(exe=link)
    with open(f"/proc/{server.pid}/comm") as f:
        assert f.read().strip() == "nats-server"
    names = sorted(set(server.children().values()))
    assert names and all(name.startswith("bulkhead-") for name in names)


@pytest.mark.parametrize("how", ["pid", "file"])
def test_signal_by_command_line(start, tmp_path, how):
    pid_file = tmp_path / "p"
    server = start(args=["-P", str(pid_file)])
    target = str(server.pid) if how == "pid" else str(pid_file)
    assert program("--signal", f"quit={target}").returncode == 0
    assert server.process.wait(harness.LIMIT) == 0


def test_signal_stop_leaves_nothing(start):
    server = start()
    kids = server.children()
    assert program("-sl", f"stop={server.pid}").returncode == 0
    server.process.wait(harness.LIMIT)
    for pid in kids:
        harness.until(lambda p=pid: not harness.alive(p), "child ends", 5)


def test_an_unknown_signal_is_refused():
    done = program("--signal", "foo=1")
    assert done.returncode == 1 and "foo" in done.stderr


def test_several_listeners_and_ipv6(start):
    config = 'listen: ["127.0.0.1:-1", "[::1]:-1"]\n'
    server = start(config=config, listen=False)
    ports = [int(url.rsplit(":", 1)[1]) for url in server.port_data["nats"]]
    hosts = [url.split("//")[1].rsplit(":", 1)[0].strip("[]") for url in server.port_data["nats"]]
    assert len(ports) == 2 and "::1" in hosts
    a = harness.Client(ports[hosts.index("::1")], host="::1")
    b = harness.Client(ports[1 - hosts.index("::1")])
    a.send("SUB x 1\r\n")
    a.ping()
    b.send("PUB x 2\r\nhi\r\n")
    assert a.message()[4] == b"hi"
    assert a.info["client_ip"] == "::1"


def test_lame_duck(start):
    server = start(config='lame_duck_duration: "30s"\nlame_duck_grace_period: "1s"\n')
    modern = server.client(options={"protocol": 1})
    modern.ping()
    old = server.client(options={"protocol": 0})
    old.ping()
    server.kill(signal.SIGUSR2)
    server.wait_log("Entering lame duck mode, stop accepting new clients")
    assert b'"ldm":true' in modern.rest()
    assert b"INFO" not in old.rest()
    assert server.process.wait(60) == 0


def test_lame_duck_without_clients_ends_at_once(start):
    server = start()
    assert program("--signal", f"ldm={server.pid}").returncode == 0
    assert server.process.wait(harness.LIMIT) == 0


def test_configuration_errors_are_all_reported(tmp_path):
    path = tmp_path / "two.conf"
    path.write_text("prot: 1\nmax_paylod: 2\n")
    done = program("-c", str(path))
    assert "two.conf:1:" in done.stderr and "two.conf:2:" in done.stderr and "max_payload" in done.stderr
