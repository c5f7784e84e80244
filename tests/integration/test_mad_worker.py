"""A worker that has gone mad (tests/probe/mad.c): what it says and writes harms nobody but its own clients."""
import json
import os
import random
import re
import signal
import socket
import threading
import time
import urllib.error
import urllib.request

import pytest

import harness
from probing import message, message_types, pack, probed  # noqa: F401

pytestmark = pytest.mark.skipif(harness.SANITIZED, reason="the sanitizers' runtime needs what the sandbox forbids")

CONFIG = """
debug: true
http: -1
watchdog: 2
restart_limit: 1000000
accounts {{ A {{ users: [ {{ user: a, password: a }} ] }} }}
no_auth_user: a
tls {{ cert_file: "{cert}", key_file: "{key}" }}
allow_non_tls: true
"""
SLOW = 0.5      # seconds that nearly all round trips stay below, on a machine that does other things too


class Traffic(threading.Thread):
    """Round trips of two clients of a healthy worker, one after the other until stop()."""

    def __init__(self, one, other):
        super().__init__()
        self.one, self.other, self.ending, self.times, self.error = one, other, False, [], None
        one.send("SUB answer 1\r\n")
        other.send("SUB question 1\r\n")
        one.ping(), other.ping()
        self.start()

    def run(self):
        try:
            while not self.ending:
                began = time.monotonic()
                self.one.send("PUB question 1\r\nq\r\n")
                assert self.other.message()[4] == b"q"
                self.other.send("PUB answer 1\r\na\r\n")
                assert self.one.message()[4] == b"a"
                self.times.append(time.monotonic() - began)
        except Exception as e:          # shown by stop()
            self.error = e

    def stop(self):
        trips = len(self.times)
        harness.until(lambda: self.error or len(self.times) > trips + 20, "round trips go on")
        self.ending = True
        self.join()
        assert self.error is None, self.error
        times = sorted(self.times)
        assert times[len(times) * 99 // 100] < SLOW, times[-10:]


class Ship:
    """Two workers: the mad one, number 0, and a healthy one whose clients talk all the time."""

    def __init__(self, probed, tls):
        self.server = s = probed(config=CONFIG.format(cert=tls["server-p256.pem"], key=tls["server-p256-key.pem"]),
                                 workers=2)
        self.mad = s.child("worker", 0)
        clients = [s.client() for _ in range(8)]
        self.ours = [c for c in clients if s.worker_of(c) == self.mad.pid]
        healthy = [c for c in clients if c not in self.ours]
        for c in self.ours:
            c.send("SUB mine.* 1\r\nSUB question workers 2\r\n")
            c.ping()
            c.send("UNSUB 2\r\n")
            c.ping()
        self.healthy = healthy
        self.before = {pid: name for pid, name in s.children().items() if pid != self.mad.pid}
        self.descriptors = self.count()
        self.traffic = Traffic(healthy[0], healthy[1])

    def count(self):
        return {"supervisor": len(os.listdir(f"/proc/{self.server.pid}/fd")),
                **{name: len(os.listdir(f"/proc/{pid}/fd")) for pid, name in self.server.children().items()
                   if name in ("bulkhead-auth", "bulkhead-signer", "bulkhead-log")}}

    def ended(self, why, what=""):
        """It is, and replaced, with a line that says why."""
        s = self.server
        line = harness.until(lambda: re.search(rf"worker 0 \(process {self.mad.pid}\) (was .*)", s.log()),
                             f"it is ended: {what}").group(1)
        assert re.search(why, line), (what, line)
        return s.child("worker", 0, but=self.mad)

    def others_live(self):
        now = self.server.children()
        assert {pid: name for pid, name in self.before.items() if pid not in now} == {}

    def check(self, mad_lives=False):
        """The healthy clients did not notice, all others live, and nothing is left open."""
        self.traffic.stop()
        self.others_live()
        s = self.server
        fresh = [s.client() for _ in range(4)]
        for c in fresh:
            assert c.quiet()
        for c in (*fresh, *self.ours):
            c.close()
        if not mad_lives:
            harness.until(lambda: len(s.children()) == len(self.before) + 1, "the mad one is replaced")

        def leaked():
            return {n: (self.descriptors[n], c) for n, c in self.count().items() if c > self.descriptors[n]}

        harness.until(lambda: not leaked(), f"descriptors are closed: {leaked()}")


@pytest.fixture
def ship(probed, tls):  # noqa: F811
    return Ship(probed, tls)


NOISE = random.Random(6)
CONFUSED = NOISE.randbytes(300)
# What it says to the supervisor, and the words with which it is ended.
REFUSED = {
    "noise": (CONFUSED.hex(), "shape"),
    "half a message": (message("taken", 1)[:6], "shape"),
    "a message without its fields": (message("taken"), "shape"),
    "an unknown message": (pack([100000]).hex(), "type"),
    "what another says": (message("line", 1, "x"), "sender"),
    "what the supervisor says": (message("shutdown"), "sender"),
    "text for a number": (pack([message_types()["taken"], "x"]).hex(), "cid"),
    "that it is ready, again": (message("ready", 0), "state"),
    "that it is sealed, again": (message("sealed", 0), "sealed"),
    "that it joined itself": (message("joined", 0, 1), "joined"),
    "that it sealed no lane": (message("lane_sealed", 0, 1), "lane_sealed"),
    "that it has prepared nothing": (message("prepared", 77, ""), "prepared"),
    "that it has committed nothing": (message("committed", 77), "committed"),
    "that it took what it was not given": (message("taken", 1 << 63), "taken"),
    "that nobody's clients are closed": (message("closed", [1 << 50] * 200), "closed"),
    "that it is drained": (message("drained"), "drained"),
    "that nobody breaks his lane": (message("complaint", 9, 9, 0, "x"), "complaint"),
}


def test_what_it_says_to_the_supervisor_ends_it(ship):
    for what, (text, why) in REFUSED.items():
        ship.mad.ask("raw supervisor", text)
        ship.mad = ship.ended(rf"what it sent was refused: {why} ", what)
    ship.check()


def test_descriptors_that_nobody_asked_for_end_it(ship, tmp_path):
    """None of them is kept, whatever it is and however many."""
    pair = socket.socketpair()
    fds = [pair[0].fileno(), os.memfd_create("probe"), os.open(tmp_path, os.O_RDONLY)]
    for given in (fds[:1], fds[1:2], fds[2:], fds, fds * 2):
        ship.mad.ask("raw supervisor", message("taken", 1), fds=given)
        ship.mad = ship.ended("what it sent was refused")
    os.close(fds[1]), os.close(fds[2])
    ship.check()


# What it says as fast as it can; why it is ended, None: it may live on, for it harms nobody.
FLOODS = {
    "closed": ("supervisor", 20000, message("closed", [1 << 50]), "closed"),
    "compact": ("supervisor", 20000, message("compact"), "compact"),
    "auth_lost": ("supervisor", 2000, message("auth_lost"), None),
    "others' clients are closed": ("supervisor", 1, message("closed", list(range(1, 9))), None),
    "signer_lost": ("supervisor", 2000, message("signer_lost"), None),
    "noise to auth": ("auth", 1, CONFUSED.hex(), None),
    "another's message to auth": ("auth", 1, message("taken", 1), None),
    "nonces": ("auth", 20000, message("nonces_wanted"), None),
    "logins": ("auth", 2000, message("login", 1 << 60, "127.0.0.9:1", 1, 0, 0, 0, 0, b"a", b"b", b"", b"", b"", b""), None),
    "others' clients are gone": ("auth", 1, message("gone", list(range(1, 9))), None),
    "noise to the signer": ("signer", 1, CONFUSED.hex(), None),
    "signatures": ("signer", 1000, message("sign", 1, 1, 0x0403, b"x" * 100), None),
}


@pytest.mark.parametrize("what", FLOODS)
def test_a_flood_harms_nobody_else(what, ship):
    who, count, text, why = FLOODS[what]
    ship.mad.ask("flood", who, count, text)
    if why is not None:
        ship.ended(rf"what it sent was refused: {why} ")
    ship.check(mad_lives=why is None)


@pytest.mark.parametrize("who", ["auth", "signer"])
def test_a_channel_that_it_breaks_is_closed_with_a_line(who, ship):
    ship.mad.ask("raw", who, CONFUSED.hex())
    ship.server.wait_log(r"worker 0: its channel (to the signer )?was closed: shape")
    ship.check(mad_lives=True)


def test_one_that_does_not_answer_a_reload_is_replaced(ship):
    ship.mad.ask("deaf")
    ship.server.process.send_signal(signal.SIGHUP)
    ship.ended("was killed: it did not answer|does not respond|did not")
    ship.server.wait_log("Reloaded server configuration")
    ship.check()


def test_one_that_accuses_others_is_ended_itself(ship):
    """The limit of the design: whom it accuses loses its clients, so few accusations cost it its life."""
    ship.traffic.stop()
    accused = ship.server.child("worker", 1)
    del ship.before[accused.pid]

    def accuse():                       # before it is ready nothing is believed of it
        ship.mad.ask("raw supervisor", message("complaint", 1, accused.incarnation, 0, "x"))
        return not accused.connected() or not harness.alive(ship.mad.pid)

    for _ in range(10):
        harness.until(accuse, "the accused is ended")
        accused = ship.server.child("worker", 1, but=accused)
    harness.until(accuse, "who accuses is ended")
    ship.ended("it complained about others more than 10 times")
    assert ship.server.child("worker", 1) is accused
    ship.others_live()


def report(server, path):
    """False: there is none just now; the numbers of one gone mad take system long to read."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port()}/{path}", timeout=harness.LIMIT) as f:
            return json.load(f) != {}
    except urllib.error.HTTPError as e:
        assert e.code == 503
        return False


# What it writes into its own segments while others read them, and what has to end it; None: nothing has to.
SCRIBBLES = {
    **{f"partition {kind}": None for kind in ("noise", "ones", "zeros", "circles")},
    **{f"tables {kind}": None for kind in ("noise", "ones", "zeros", "circles")},
    "rings noise": None,
    "lanes noise": "it broke the rules of its lane to .*: the head of a ring is outside of it",
    "lanes ones": "it broke the rules of its lane to .*: the head of a ring is outside of it",
    "lanes circles": "it broke the rules of its lane to ",
}


@pytest.mark.parametrize("what", SCRIBBLES)
def test_what_it_scribbles_harms_nobody_else(what, ship):
    s = ship.server
    asked = threading.Thread(target=ship.mad.ask, args=("scribble", what, 300))
    asked.start()
    while asked.is_alive():             # system reads its tables for these
        for path in ("connz?subs=1", "subsz?subs=1", "varz"):
            report(s, path)
    asked.join()
    if SCRIBBLES[what] is not None:
        ship.ended(SCRIBBLES[what])
    elif harness.alive(ship.mad.pid):
        os.kill(ship.mad.pid, signal.SIGKILL)
    harness.until(lambda: report(s, "varz") and report(s, "connz?subs=1"), "reports are there again")
    ship.check()


@pytest.mark.parametrize("kind, why", [(1, "unknown flags"), (2, ""), (77, "unknown record")])
def test_rings_full_of_nonsense_end_it(kind, why, ship):
    ship.mad.ask("fill", kind, 64)
    ship.ended(f"it broke the rules of its lane to .*: .*{why}")
    ship.check()
