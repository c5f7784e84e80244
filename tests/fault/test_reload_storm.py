"""A hundred hang-ups a second under load: nobody notices, and nothing creeps."""
import os
import re
import signal
import socket
import statistics
import threading
import time

import harness

SECONDS = float(os.environ.get("STORM", "10"))
RATE = 100              # hang-ups a second
LEAST = 20              # real reloads a second that must come of them ...
SHARE = 4               # ... or this part of what the machine does without load, if that is less
BATCH = 20


def sizes(server):
    """Descriptors and private memory in KiB of each process that stays."""
    found = {}
    for pid, name in [(server.pid, "supervisor"), *server.children().items()]:
        if name == "bulkhead-config":
            continue
        try:
            with open(f"/proc/{pid}/smaps_rollup") as f:
                kib = sum(int(line.split()[1]) for line in f if re.match(r"Private_(Dirty|Clean):", line))
            found[pid, name] = len(os.listdir(f"/proc/{pid}/fd")), kib
        except OSError:
            continue
    return found


class Subscriber(threading.Thread):
    """Checks that numbers come without a gap until the last one."""

    def __init__(self, client):
        super().__init__()
        self.client, self.count, self.error = client, 0, None
        client.send("SUB storm 1\r\n")
        client.ping()

    def run(self):
        try:
            while True:
                body = self.client.message()[4]
                if body == b"end":
                    return
                assert int(body) == self.count, f"{body} instead of {self.count}"
                self.count += 1
        except (AssertionError, EOFError, OSError) as e:
            self.error = e


class Publisher(threading.Thread):
    def __init__(self, client):
        super().__init__()
        self.client, self.count, self.error, self.stop = client, 0, None, threading.Event()

    def run(self):
        try:
            while not self.stop.is_set():
                lines = []
                for i in range(self.count, self.count + BATCH):
                    body = str(i)
                    lines.append(f"PUB storm {len(body)}\r\n{body}\r\n")
                self.client.send("".join(lines))
                self.count += BATCH
                self.client.ping()
            self.client.send("PUB storm 3\r\nend\r\n")
            self.client.ping()
        except (EOFError, OSError) as e:
            self.error = e


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def times(server):
    """Milliseconds that each reload took."""
    return [float(t) for t in re.findall(r"the reload took ([\d.]+) ms", server.log())]


def hang_up(server, text):
    with open(server.config_path + ".next", "w") as f:
        f.write(text)
    os.rename(server.config_path + ".next", server.config_path)
    server.kill(signal.SIGHUP)


def rate_alone(server, texts):
    """How many a second it does one after the other, and nothing else."""
    for n in range(20):
        hang_up(server, texts[n % 2])
        harness.until(lambda: len(times(server)) > n, "reloaded")
    return 1000 / statistics.median(times(server))


def storm(server, texts, seconds):
    """Hang-ups at the rate, the file changed before each; how many."""
    begin, n = time.monotonic(), 0
    while time.monotonic() - begin < seconds:
        hang_up(server, texts[n % 2])
        n += 1
        time.sleep(max(0, begin + n / RATE - time.monotonic()))     # the rate is what is tested
    return n


def test_a_storm_of_reloads(start):
    port, other = free_port(), free_port()
    end = f"\nworkers: 3\nhttp: \"127.0.0.1:-1\"\n" + ("sandbox: off\n" if harness.SANITIZED else "")
    one = f'debug: true\nlisten: "127.0.0.1:{port}"\nmax_payload: 1MB\nping_interval: "2m"\nmax_control_line: 4KB\n' + end
    two = (f'debug: true\nlisten: ["127.0.0.1:{port}", "127.0.0.1:{other}"]\nmax_payload: 2MB\nping_interval: "1m"\n'
           f'max_control_line: 64KB\nclient_advertise: "a.example:1"\nmax_connections: 100\nwrite_deadline: "9s"\n') + end
    server = start(config=one, listen=False)
    clients = server.clients_on_different_workers(3)
    idle = [server.client() for _ in range(20)]
    pids = server.workers()
    least = min(LEAST, rate_alone(server, (two, one)) / SHARE)
    subscribers = [Subscriber(c) for c in clients]
    publisher = Publisher(server.client())
    for t in (*subscribers, publisher):
        t.start()

    storm(server, (two, one), SECONDS / 4)          # what grows once and stays is not a leak
    before, first, began = sizes(server), server.log().count("Reloaded server configuration"), time.monotonic()
    sent = storm(server, (two, one), SECONDS)
    took = time.monotonic() - began
    reloads = server.log().count("Reloaded server configuration") - first
    server.kill(signal.SIGHUP)
    harness.until(lambda: server.log().count("Reloaded server configuration") > first + reloads, "the last one")
    publisher.stop.set()
    for t in (publisher, *subscribers):
        t.join(harness.LIMIT * 3)
    server.process.poll()

    assert publisher.error is None, publisher.error
    for s in subscribers:
        assert s.error is None and s.count == publisher.count, (s.error, s.count, publisher.count)
    for c in idle:
        assert c.quiet()
    assert not re.findall(r".*\[(?:WRN|ERR|FTL)\] (?!sandbox: ).*", server.log())
    assert server.workers() == pids, "nobody was replaced"
    print(f"{sent} hang-ups, {reloads / took:.0f} reloads a second of at least {least:.0f}, "
          f"median {statistics.median(times(server))} ms, longest {max(times(server))} ms, "
          f"{publisher.count} messages to each of 3")
    assert reloads / took >= least
    harness.until(lambda: not server.children("config"), "the last config process ends")
    after = sizes(server)
    assert set(after) == set(before)
    for who, (fds, kib) in after.items():
        assert fds <= before[who][0] + 2, (who, before[who], after[who])
        if not harness.SANITIZED:                        # they keep freed memory
            assert kib <= before[who][1] + 1024, (who, before[who], after[who])
    assert server.stop() == 0
