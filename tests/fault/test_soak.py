"""Hours in minutes: everything at once, with a worker killed now and then; nothing creeps.
CHECK_LONG=1; SOAK=seconds (default 600)."""
import os
import random
import signal
import subprocess
import threading
import time

import pytest

import harness

LOAD = os.path.join(harness.BUILD, "bench", "natsload")
SECONDS = int(os.environ.get("SOAK", "600"))
KINDS = ["pubsub --pubs 2 --subs 3 --size 128 --seconds 5 --msgs 100m --subject a",
         "pubsub --pubs 3 --subs 3 --pairs --size 1000 --seconds 5 --msgs 100m --subject b --wildcard star",
         "reqrep --conc 10 --seconds 5 --subject c", "churn --conc 10 --seconds 5 --msgs 100m",
         "subs --count 50k --msgs 200k --subject d"]


def sizes(server):
    """Descriptors and private memory in KiB of each process, workers together."""
    found = {}
    for pid, name in [(server.pid, "supervisor"), *server.children().items()]:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as f:
                pss = sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
            count = len(os.listdir(f"/proc/{pid}/fd"))
        except OSError:
            continue                                    # it was replaced meanwhile
        fds, kib = found.get(name, (0, 0))
        found[name] = fds + count, kib + pss
    return found


@pytest.mark.skipif(not os.environ.get("CHECK_LONG"), reason="CHECK_LONG=1 runs it")
@pytest.mark.skipif(not os.access(LOAD, os.X_OK), reason="needs the load generator (make benches)")
def test_soak(start):
    server = start(config="restart_limit: 100000\n", args=["-m", "-1"])
    end, rng = time.monotonic() + SECONDS, random.Random(3)

    def load(kind):
        while time.monotonic() < end:
            # It may fail: its worker may be the one that is killed.
            subprocess.run([LOAD, *kind.split(), "--servers", f"127.0.0.1:{server.port}", "--timeout", "5"],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    threads = [threading.Thread(target=load, args=(kind,)) for kind in KINDS]
    for t in threads:
        t.start()
    first = None
    while time.monotonic() < end:
        time.sleep(min(10, SECONDS / 10))               # the length of a round, not a wait for anything
        os.kill(rng.choice(server.workers()), signal.SIGKILL)
        harness.until(lambda: len(server.workers()) == 3, "replaced")
        first = first or time.monotonic() > end - SECONDS / 2 and sizes(server)
    for t in threads:
        t.join()
    harness.until(lambda: len(server.workers()) == 3, "three workers")
    with server.client() as c:
        c.send("SUB x 1\r\nPUB x 2\r\nhi\r\n")
        assert c.message()[4] == b"hi"
    last = sizes(server)
    print("half way", first, "at the end", last)
    for name, (fds, kib) in last.items():
        assert fds <= first[name][0] + 10, (name, first, last)
        if name != "bulkhead-worker":                   # these are replaced all the time
            assert kib <= first[name][1] * 1.2 + 500, (name, first, last)
    assert server.stop() == 0
