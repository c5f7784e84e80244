#!/usr/bin/env python3
"""Bulkhead beside the real server, in alternation, in one run: a table of ratios.

    tests/bench/compare.py BUILD [CASE ...]       (make bench T="ps16 ps128")
    RUNS=3 (default) repetitions of each case; the median counts.

`one` is `workers: 1`; `across` has publisher and subscriber on different
workers; `default` is the number of workers that bulkhead chooses. Figures are
CPU of all processes of a server for each message (or as named), so that the
load generator's share of the machine matters little. `at most` is the aim."""
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
if len(sys.argv) > 1:
    os.environ["BUILD"] = sys.argv[1]
import harness

LOAD = os.path.join(harness.BUILD, "bench", "natsload")
RUNS = int(os.environ.get("RUNS", "3"))

MSG, REQ, DELIVERY = "server_cpu_ns_per_msg", "server_cpu_ns_per_req", "server_cpu_ns_per_msg"

# name: (arguments, figure, at most with one worker, at most across, workers for `across`, subscribers to gather)
CASES = {
    "pub16": ("pub --size 16 --msgs 10m", MSG, 0.28, None, 2, 0),
    "ps16": ("pubsub --size 16 --msgs 4m", MSG, 0.20, 0.50, 2, 0),
    "ps128": ("pubsub --size 128 --msgs 4m", MSG, 0.25, 0.70, 2, 0),
    "ps1k": ("pubsub --size 1024 --msgs 1500k", MSG, 0.55, 1.0, 2, 0),
    "ps64k": ("pubsub --size 65536 --msgs 30k", MSG, 0.65, 1.0, 2, 0),
    "fan10": ("pubsub --size 128 --subs 10 --msgs 500k", MSG, 0.30, 0.50, 2, 10),
    "fan100": ("pubsub --size 128 --subs 100 --msgs 60k", MSG, 0.30, 0.50, 2, 100),
    "pairs10": ("pubsub --size 128 --pubs 10 --subs 10 --pairs --msgs 3m", MSG, 0.30, None, 3, 0),
    "queue4": ("pubsub --size 128 --subs 4 --queue 1 --msgs 2m", MSG, 0.30, None, 2, 4),
    "wild1000": ("pubsub --size 128 --subjects 1000 --wildcard star --msgs 2m", MSG, 0.25, None, 2, 0),
    "hdr128": ("pubsub --size 128 --headers --msgs 2m", MSG, 0.25, None, 2, 0),
    "rr1": ("reqrep --conc 1 --seconds 2", "p50_us", 1.0, 1.0, 0, 0),
    "rr50": ("reqrep --conc 50 --msgs 200k", REQ, 0.70, 1.0, 2, 0),
    "rr50p99": ("reqrep --conc 50 --msgs 200k", "p99_us", 1.0, None, 2, 0),
    "churn20": ("churn --conc 20 --msgs 20k", "server_cpu_ns_per_conn", 0.60, 0.60, 0, 0),
    "conns10k": ("conns --conns 10k", "pss_bytes_per_conn", 0.03, 0.03, 0, 0),
    "subs1m": ("subs --count 1m", "pss_bytes_per_sub", 0.25, None, 2, 0),
    "subs1mpub": ("subs --count 1m", MSG, 0.22, None, 2, 0),
}
SLOW_CASES = {"conns10k", "subs1m", "subs1mpub"}       # once is enough
SHAKY_CASES = {"rr1"}           # wake-ups of sleeping processors: three times as many runs


def load(server, arguments, background=False):
    command = [LOAD, *arguments.split(), "--servers", f"127.0.0.1:{server.port}",
               "--server-pid", str(server.pid), "--json"]
    if background:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    line = done.stdout.strip().splitlines()
    if not line:
        raise RuntimeError(done.stderr)
    result = json.loads(line[-1])
    if not result.get("ok"):
        print(f"  not ok: {arguments}: {done.stderr.strip()[-300:]}", file=sys.stderr)
    return result


def gather(server, count):
    """Leave one of two workers with `count` connections fewer than the other, so that the next
    `count` are put together on it and what follows goes to the other."""
    clients = [server.client() for _ in range(2 * count)]
    first = clients[0]
    of = {id(c): server.worker_of(c) for c in clients}
    for c in clients:
        if of[id(c)] == of[id(first)]:
            c.close()
    return [c for c in clients if of[id(c)] != of[id(first)]]


def servers():
    """(name, how to start it) of each that is compared."""
    found = []
    real = harness.real_server()
    if real:
        version = subprocess.run([real, "-v"], capture_output=True, text=True).stdout.split("v")[-1].split()[0]
        found.append((f"nats-server {version}", dict(exe=real)))
    return found


def once(case, start, workers, collect=0):
    """One run; with several workers again if chance put all its connections on one."""
    arguments, figure = CASES[case][0], CASES[case][1]
    with tempfile.TemporaryDirectory() as folder:
        config = "debug: true\n" if workers > 1 else ""
        with harness.Server(folder, config=config, workers=workers, **start) as server:
            held = gather(server, collect) if collect else []
            mark = server.client().info["client_id"] if workers > 1 else 0
            value = load(server, arguments)[figure]
            for c in held:
                c.close()
            if workers > 1 and not arguments.startswith("pub "):
                created = re.findall(r"\[(\d+)\] .*cid:(\d+) - .*connection created", server.log())
                if len({pid for pid, cid in created if int(cid) > mark}) < 2:
                    return once(case, start, workers, collect)
            return value


def noisy(start, workers):
    """p99 of one request at a time while four pairs publish at full rate."""
    with tempfile.TemporaryDirectory() as folder:
        with harness.Server(folder, workers=workers, **start) as server:
            other = load(server, "pubsub --pairs --pubs 4 --subs 4 --subject noise --seconds 8 --msgs 1000m", True)
            try:
                return load(server, "reqrep --conc 1 --seconds 4 --subject quiet")["p99_us"]
            finally:
                other.kill()
                other.wait()


def slow(start, workers):
    """The publisher's rate beside a stopped subscriber, over its rate without one."""
    with tempfile.TemporaryDirectory() as folder:
        with harness.Server(folder, workers=workers, **start) as server:
            alone = load(server, "pubsub --size 128 --seconds 4 --msgs 1000m")["pub_per_s"]
            beside = load(server, "slow --size 128 --seconds 4 --msgs 1000m")
            return beside["pub_per_s"] / alone


PERMITTED = """
accounts {
  LOAD {
    users = [ { user: load, password: load, permissions {
      publish { allow: ["load", "load.>", "other.*", "_INBOX.>"], deny: ["other.secret"] }
      subscribe { allow: ["load", "load.>", "other.*", "_INBOX.>"] }
    } } ]
  }
  OTHER { users = [ { user: other, password: other } ], exports = [ { stream: "news.>" } ] }
}
"""
PERMITTED_CASES = ("pub16", "ps16", "ps128", "fan10", "wild1000", "rr50")


def permitted(case, config):
    """One run with one worker, as a user of an account where config has some."""
    arguments, figure = CASES[case][0], CASES[case][1]
    who = " --subject load" + (" --user load --pass load" if config else "")
    with tempfile.TemporaryDirectory() as folder:
        with harness.Server(folder, config=config, workers=1) as server:
            return load(server, arguments + who)[figure]


def permissions():
    """What accounts and permissions cost: the same figure with and without, in alternation."""
    print("| case | without accounts | with accounts and permissions | ratio | at most |")
    print("| --- | --- | --- | --- | --- |")
    for case in PERMITTED_CASES:
        without, with_ = [], []
        for _ in range(2 * RUNS - 1):
            without.append(permitted(case, ""))
            with_.append(permitted(case, PERMITTED))
        a, b = statistics.median(without), statistics.median(with_)
        print(f"| {case} | {a:,.0f} | {b:,.0f} | {b / a:.3f} | 1.10 |", flush=True)


def tls_rows():
    import tls          # its certificates are those of the tests, which need pytest
    tls.rows([how for _, how in servers()] + [{}], RUNS)


def row(name, theirs, one, across, most_one, most_across):
    def ratio(value):
        return f"{value / theirs:.3f}" if theirs and value is not None else "-"

    def number(value):
        return "-" if value is None else f"{value:,.0f}" if value > 10 else f"{value:.2f}"

    print(f"| {name} | {number(theirs)} | {number(one)} | {ratio(one)} | {most_one or '-'} | "
          f"{number(across)} | {ratio(across)} | {most_across or '-'} |", flush=True)


def main():
    wanted = sys.argv[2:] or list(CASES) + ["noisy", "slow", "idle", "permissions", "tls"]
    if wanted == ["permissions"]:
        permissions()
        return
    if wanted == ["tls"]:
        tls_rows()
        return
    beside = servers()
    theirs_name = beside[0][0] if beside else "nats-server (not installed)"
    print(f"| case | {theirs_name} | one worker | ratio | at most | across | ratio | at most |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for case in wanted:
        kinds = {"theirs": [], "one": [], "across": []}
        for _ in range(1 if case in SLOW_CASES else RUNS * 3 if case in SHAKY_CASES else RUNS):
            if case in ("noisy", "slow"):
                f = noisy if case == "noisy" else slow
                if beside:
                    kinds["theirs"].append(f(beside[0][1], 0))
                kinds["one"].append(f({}, 1))
                kinds["across"].append(f({}, 2))
            elif case in ("idle", "permissions", "tls"):
                continue
            else:
                if beside:
                    kinds["theirs"].append(once(case, beside[0][1], 0))
                kinds["one"].append(once(case, {}, 1))
                kinds["across"].append(once(case, {}, CASES[case][4], CASES[case][5]))
        median = {k: statistics.median(v) if v else None for k, v in kinds.items()}
        limits = CASES[case][2:4] if case in CASES else (0.10, 0.10) if case == "noisy" else (None, None)
        if case == "idle":
            idle()
        elif case == "permissions":
            print()
            permissions()
        elif case == "tls":
            print()
            tls_rows()
        else:
            row(case, median["theirs"], median["one"], median["across"], *limits)


def ticks(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    with open(f"/proc/{pid}/status") as f:
        switches = sum(int(line.split()[1]) for line in f if line.startswith("voluntary_ctxt"))
    return int(fields[11]) + int(fields[12]), switches


def idle():
    """Processor ticks and wake-ups of every process in 10 quiet seconds."""
    import time
    with tempfile.TemporaryDirectory() as folder:
        with harness.Server(folder, workers=2) as server:
            pids = [server.pid, *server.children()]
            time.sleep(3)
            before = [ticks(p) for p in pids]
            time.sleep(10)
            after = [ticks(p) for p in pids]
            cpu = sum(a[0] - b[0] for a, b in zip(after, before))
            wakes = sum(a[1] - b[1] for a, b in zip(after, before))
            print(f"| idle 10 s | - | {cpu} ticks, {wakes} wake-ups | - | 0 | - | - | - |")


if __name__ == "__main__":
    main()
