"""system is stopped and dies again and again while messages go between workers, clients come and go,
and the system account asks and listens: nobody but who asks notices."""
import os
import signal
import threading
import time

import harness
from test_kill import ROUNDS, Load

CONFIG = """debug: true
restart_limit: 100000
watchdog: 1
ring_size: 65536
accounts {
  SYS { users: [{user: sys, password: sys}] }
  A { users: [{user: a, password: a}] }
}
system_account: SYS
"""
A, SYS = ({"user": name, "pass": name} for name in ("a", "sys"))


class Paced(Load):
    """The longest that a message took after the one before it, in seconds."""
    longest = 0.0

    def run(self):
        receive, last = self.subscriber.message, time.monotonic()

        def timed():
            nonlocal last
            m, now = receive(), time.monotonic()
            self.longest, last = max(self.longest, now - last), now
            return m
        self.subscriber.message = timed
        super().run()


def come_and_go(server, stop, failures):
    """Each is an event that system is told of."""
    while not stop.is_set():
        try:
            with server.client(options=A) as c:
                c.ping()
        except (OSError, EOFError) as e:
            failures.append(repr(e))


def listen(server, stop):
    """Asks without a pause and takes what comes; who asks while nobody answers may have to wait, or ask again."""
    while not stop.is_set():
        try:
            with server.client(options=SYS, timeout=0.2) as c:
                c.send("SUB $SYS.> 1\r\nSUB answers 2\r\n")
                while not stop.is_set():
                    c.send("PUB $SYS.REQ.SERVER.PING.CONNZ answers 2\r\n{}\r\n" * 20)
                    c.receive()
                    c.buffer = b""
        except (OSError, EOFError):
            pass


def test_messages_never_wait_for_system(start):
    server = start(config=CONFIG, workers=3)
    clients = server.clients_on_different_workers(3, options=A)
    for c in clients:
        assert c.ping() == b""
    load = Paced(clients[0], clients[1], "steady")
    stop, failures = threading.Event(), []
    others = [threading.Thread(target=come_and_go, args=(server, stop, failures)),
              threading.Thread(target=listen, args=(server, stop))]
    workers = server.workers()
    load.start()
    for t in others:
        t.start()
    try:
        for i in range(ROUNDS):
            victim = harness.until(lambda: next(iter(server.children("system")), None), "there is a system")
            if i % 5 == 4:
                os.kill(victim, signal.SIGSTOP)     # until the supervisor has had enough of it
            else:
                time.sleep(0.02)                    # any moment: not a wait for anything
                os.kill(victim, signal.SIGKILL)
            harness.until(lambda p=victim: p not in server.children("system"), "it is replaced")
    finally:
        stop.set()
        load.stop = True
        for t in [*others, load]:
            t.join()
    assert load.error is None, load.error
    assert not failures, failures[:3]
    assert server.workers() == workers
    print(f"rounds {ROUNDS}, messages {load.count}, the longest wait for one {load.longest * 1000:.0f} ms")
    assert load.longest < (0.5 if not harness.SANITIZED else 10)    # a stopped system is one for a second
