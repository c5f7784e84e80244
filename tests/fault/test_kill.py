"""kill -9 and SIGSTOP of any child, at any time, under load. CHECK_LONG=1 makes
the loops hundreds of rounds; docs/reliability.md has the figures."""
import os
import random
import signal
import socket
import threading
import time

import pytest

import harness

LONG = bool(os.environ.get("CHECK_LONG"))
ROUNDS = 300 if LONG else 25


class Load(threading.Thread):
    """A pair that publishes and subscribes without a pause, on workers that are left alone:
    every message comes, in order."""

    def __init__(self, subscriber, publisher, subject):
        super().__init__()
        self.subscriber, self.publisher, self.subject = subscriber, publisher, subject
        self.stop, self.error, self.count = False, None, 0
        subscriber.send(f"SUB {subject} 1\r\n")
        subscriber.ping()

    def run(self):
        try:
            while not self.stop:
                batch = b"".join(b"PUB %s 8\r\n%08d\r\n" % (self.subject.encode(), self.count + i) for i in range(200))
                self.publisher.send(batch)
                for i in range(200):
                    body = self.subscriber.message()[4]
                    assert body == b"%08d" % (self.count + i), (body, self.count + i)
                self.count += 200
        except Exception as e:          # noqa: BLE001  told by the test
            self.error = e


def memory(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def connect_all(server, stop, failures, times):
    """New connections all the time: none may be refused or reset before its INFO and PONG,
    unless its own worker was killed after it had INFO."""
    while not stop.is_set():
        began = time.monotonic()
        try:
            sock = socket.create_connection(("127.0.0.1", server.port), timeout=harness.LIMIT)
            sock.settimeout(harness.LIMIT)
            data = b""
            while not data.endswith(b"\n"):
                more = sock.recv(4096)
                if not more:
                    raise ConnectionError("closed before INFO")
                data += more
            times.append(time.monotonic() - began)
            sock.close()
        except OSError as e:
            failures.append(repr(e))


def test_kill_workers_in_a_loop(start):
    server = start(config="debug: true\nrestart_limit: 100000\n", workers=4)
    clients = server.clients_on_different_workers(4)
    safe = {server.worker_of(c) for c in clients[:2]}
    for c in clients[2:]:
        c.close()
    load = Load(clients[0], clients[1], "steady")
    load.start()
    stop, failures, times = threading.Event(), [], []
    connector = threading.Thread(target=connect_all, args=(server, stop, failures, times))
    connector.start()
    rng, slowest, before = random.Random(5), 0, None
    try:
        for i in range(ROUNDS):
            others = harness.until(lambda: len(w := server.workers()) == 4 and set(w) - safe, "four workers")
            victim = rng.choice(sorted(others))
            time.sleep(rng.random() * 0.02)             # any moment: not a wait for anything
            began = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            harness.until(lambda: len(w := server.workers()) == 4 and victim not in w, "replaced")
            slowest = max(slowest, time.monotonic() - began)
            if i == 4:
                before = memory(server.pid), descriptors(server.pid)
        harness.until(lambda: len(server.workers()) == 4, "four workers")
    finally:
        stop.set()
        load.stop = True
        connector.join()
        load.join()
    assert load.error is None, load.error
    assert load.count > 0 and safe <= set(server.workers())
    assert not failures, failures[:3]
    print(f"rounds {ROUNDS}: slowest replacement {slowest * 1000:.0f} ms, slowest INFO {max(times) * 1000:.0f} ms, "
          f"connections {len(times)}, messages {load.count}, supervisor {before} -> {memory(server.pid), descriptors(server.pid)}")
    assert max(times) < (1.0 if not harness.SANITIZED else 20)
    if not harness.SANITIZED:
        # the last one may still be joining the others
        harness.until(lambda: descriptors(server.pid) <= before[1] + 3, "as few descriptors as before")
        after = memory(server.pid), descriptors(server.pid)
        assert after[0] < before[0] + 1000 + 4 * ROUNDS, "memory creeps"


def serves_within(server, subject, limit):
    """Do new connections on every worker exchange messages, within the time?"""
    began = time.monotonic()
    a = server.clients_on_different_workers(3)
    for c in a[1:]:
        c.send(f"SUB {subject} 1\r\n")
        c.ping()
    a[0].send(f"PUB {subject} 2\r\nhi\r\n")
    for c in a[1:]:
        assert c.message()[4] == b"hi"
    for c in a:
        c.close()
    assert time.monotonic() - began < limit


@pytest.mark.parametrize("program", ["log", "system", "monitor", "worker"])
def test_any_child_is_replaced_and_nobody_notices(start, program):
    server = start(config="debug: true\nping_interval: 1h\n", args=["-m", "-1"])
    clients = server.clients_on_different_workers(3)
    spared = {server.worker_of(clients[0]), server.worker_of(clients[1])}
    load = Load(clients[0], clients[1], "s")
    load.start()
    try:
        for _ in range(ROUNDS // 3):
            victims = set(server.children(program)) - spared
            victim = sorted(victims)[0]
            os.kill(victim, signal.SIGKILL)
            harness.until(lambda: len(k := set(server.children(program)) - spared) == len(victims) and victim not in k,
                          f"{program} is replaced")
    finally:
        load.stop = True
        load.join()
    assert load.error is None, load.error
    assert len(server.workers()) == 3


def test_connections_of_other_workers_live(server):
    clients = server.clients_on_different_workers(3)
    for c in clients:
        c.send("SUB x 1\r\n")
        c.ping()
    victim = server.worker_of(clients[2])
    os.kill(victim, signal.SIGKILL)
    try:
        assert clients[2].rest() == b""
    except ConnectionResetError:
        pass
    clients[0].send("PUB x 1\r\na\r\n")
    assert clients[1].message()[4] == b"a" and clients[0].message()[4] == b"a"
    harness.until(lambda: len(server.workers()) == 3 and victim not in server.workers(), "replaced")
    harness.until(lambda: serves_within(server, "y", 5) is None, "all serve")
    server.wait_log(r"worker.*(signal 9|SIGKILL|Killed)")


def test_a_queue_message_for_a_dead_worker_goes_to_the_living(server):
    clients = server.clients_on_different_workers(3)
    for c in clients[1:]:
        c.send("SUB q g 1\r\n")
        c.ping()
    os.kill(server.worker_of(clients[2]), signal.SIGKILL)
    clients[2].rest()
    publisher = clients[0]
    # The publisher's worker has heard of the death when the group has one member left:
    # from then on all messages come.
    def settled():
        publisher.send("PUB q 1\r\nx\r\n" * 50)
        publisher.ping()
        got = clients[1].ping().count(b"MSG q")
        return got == 50
    harness.until(settled, "all messages go to the member that lives")


def test_a_stopped_worker_holds_up_nobody(start):
    server = start(config='debug: true\nwatchdog: "3s"\n', workers=4)
    clients = server.clients_on_different_workers(4)
    load = Load(clients[0], clients[1], "alive")
    frozen, feeder = clients[2], clients[3]
    frozen.send("SUB cold 1\r\n")
    frozen.ping()
    victim = server.worker_of(frozen)
    load.start()
    os.kill(victim, signal.SIGSTOP)
    try:
        # Those who publish to it are held back in the end; others are not.
        feeder.sock.settimeout(1)
        try:
            for _ in range(2000):
                feeder.send(b"PUB cold 1000\r\n" + b"x" * 1000 + b"\r\n")
        except socket.timeout:
            pass
        for _ in range(20):
            with server.client() as c:
                assert c.ping() == b""
        harness.until(lambda: victim not in server.workers(), "the watchdog ends it", 30)
        harness.until(lambda: len(server.workers()) == 4, "replaced")
    finally:
        try:
            os.kill(victim, signal.SIGCONT)
        except ProcessLookupError:
            pass
        load.stop = True
        load.join()
    assert load.error is None, load.error
    feeder.sock.settimeout(harness.LIMIT)
    # Whatever was cut in half when send timed out is completed by a line end.
    assert server.wait_log("watchdog|hung|stopped")


def test_a_worker_that_goes_on_again_is_kept(start):
    server = start(config='debug: true\nwatchdog: "20s"\n')
    clients = server.clients_on_different_workers(3)
    clients[0].send("SUB z 1\r\n")
    clients[0].ping()
    pid = server.worker_of(clients[0])
    os.kill(pid, signal.SIGSTOP)
    big = b"y" * 10000
    sender = threading.Thread(target=lambda: [clients[1].send(b"PUB z 10000\r\n" + big + b"\r\n") for _ in range(500)])
    sender.start()
    with server.client() as c:
        c.ping()
    os.kill(pid, signal.SIGCONT)
    for _ in range(500):
        assert clients[0].message()[4] == big
    sender.join()
    assert pid in server.workers()


@pytest.mark.skipif(harness.SANITIZED, reason="the sanitizers keep freed memory")
def test_memory_is_given_back_after_a_burst(start):
    server = start(config="debug: true\n", workers=1)
    c = server.client()
    c.ping()
    (worker,) = server.workers()
    start_pss = memory(worker)
    n = 300000
    burst = server.client()
    burst.send("".join(f"SUB burst.{i} {i}\r\n" for i in range(n)))
    burst.ping()
    full = memory(worker)
    burst.close()

    def given_back():
        c.send("SUB a 1\r\nUNSUB 1\r\n")
        c.ping()
        return memory(worker) < start_pss + (full - start_pss) / 4
    harness.until(given_back, f"memory falls from {full} KiB towards {start_pss} KiB")
    c.send("SUB after 1\r\nPUB after 1\r\nx\r\n")
    assert c.message()[4] == b"x"


def test_repeated_failure_before_ready_gives_up_with_a_message(tmp_path):
    """A worker that cannot start: the supervisor says so and ends, it does not spin."""
    import shutil
    import subprocess
    root = tmp_path / "tree"
    shutil.copytree(os.path.join(harness.BUILD, "bin"), root / "bin", symlinks=True)
    shutil.copytree(os.path.join(harness.BUILD, "libexec"), root / "libexec")
    broken = root / "libexec" / "bulkhead" / "bulkhead-worker"
    broken.unlink()
    shutil.copy("/bin/false", broken)
    done = subprocess.run([str(root / "bin" / "bulkhead"), "-a", "127.0.0.1", "-p", "-1"],
                          capture_output=True, text=True, timeout=90)
    assert done.returncode == 1
    assert "worker" in done.stderr
