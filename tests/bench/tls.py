"""TLS beside the real server: handshakes, messages, memory, and what a storm of handshakes does to others.

`make bench T=tls` (compare.py); RUNS as there."""
import contextlib
import json
import os
import statistics
import subprocess
import tempfile
import time

import harness
import tls_files

LOAD = os.path.join(harness.BUILD, "bench", "natsload")
LIBRARY = os.path.join(harness.BUILD, "bench", "tls_bench")
KINDS = ("rsa", "p256", "ed25519")
CPU = "server_cpu_ns_per_conn"
HANDSHAKES = 400    # of each run
STORM = 3           # seconds before, and meanwhile


def certificates(folder):
    files = tls_files.Files(folder)
    files.authority("ca")
    for kind in KINDS:
        files.issue(f"server-{kind}", "/O=Test/CN=localhost", tls_files.LOCAL, kind)
    return files


def command(server, arguments):
    return [LOAD, *arguments.split(), "--servers", f"127.0.0.1:{server.port}", "--server-pid", str(server.pid), "--json"]


def load(server, arguments):
    done = subprocess.run(command(server, arguments), capture_output=True, text=True, timeout=600)
    line = done.stdout.strip().splitlines()
    if done.returncode != 0 or not line:
        raise RuntimeError(f"{arguments}: {done.stderr.strip()[-300:]}")
    return json.loads(line[-1])


@contextlib.contextmanager
def running(servers, files, kind, workers=2):
    """Each of the servers with that certificate; while one is measured the others have nothing to do."""
    config = files.block("timeout: 10", server=f"server-{kind}")
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(harness.Server(stack.enter_context(tempfile.TemporaryDirectory()), config=config,
                                                  workers=workers, **start)) for start in servers]


def medians(servers, runs, once):
    """once(server) of each in alternation: a list of the medians of each of its figures."""
    found = [[] for _ in servers]
    for _ in range(runs):
        for i, server in enumerate(servers):
            found[i].append(once(server))
    return [{k: statistics.median(run[k] for run in one) for k in one[0]} for one in found]


def handshakes(server, arguments):
    got = load(server, f"churn --conc 8 --msgs {HANDSHAKES} {arguments}")
    if "--resume" in arguments and got["resumed"] < HANDSHAKES - 16:
        raise RuntimeError(f"resumed only {got['resumed']} of {HANDSHAKES}")
    return {k: got[k] for k in ("conn_per_s", CPU, "p99_us")}


def handshake_rows(servers, files, runs):
    print("| theirs / ours | handshakes a second | ratio | CPU of each, us | ratio | p99, us |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind in KINDS:
        with running(servers, files, kind) as up:
            for name in ("new-1.2", "new-1.3") + (("resumed-1.2", "resumed-1.3") if kind == "p256" else ()):
                how, version = name.split("-")
                arguments = f"--tls-version {version}" + (" --resume" if how == "resumed" else "")
                for server in up:
                    load(server, "churn --conc 8 --msgs 50 " + arguments)       # caches, first pages
                got = medians(up, runs, lambda server, a=arguments: handshakes(server, a))
                rate, cpu, p99 = ([g[k] for g in got] for k in ("conn_per_s", CPU, "p99_us"))
                print(f"| tls-{how}-{kind}-{version} | {pair(rate)} | {pair([c / 1000 for c in cpu])} | {both(p99)} |",
                      flush=True)


def library_rows(files, runs):
    """Both processes of ours beside OpenSSL with the key at hand."""
    print("\n| CPU of a handshake, us | key in the process | worker's side and signer | of it the signer | ratio | at most |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind in KINDS:
        for version in ("1.2", "1.3"):
            name = f"server-{kind}"
            argv = [LIBRARY, files[name + ".pem"], files[name + "-key.pem"], version, str(HANDSHAKES)]
            got = [json.loads(subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120).stdout)
                   for _ in range(runs)]
            inside, ours, signer, ratio = (statistics.median(g[k] for g in got)
                                           for k in ("in_process_ns", "ours_ns", "signer_ns", "ratio"))
            print(f"| {kind} {version} | {inside / 1000:,.0f} | {ours / 1000:,.0f} | {signer / 1000:,.0f} | {ratio:.3f} | 1.3 |",
                  flush=True)


def storm(server):
    """p99 of requests at a steady rate over TLS: alone, and while eight connect in a loop as fast as they can. Those
    are nice: they stand for other machines."""
    pair_ = f"reqrep --tls --conc 20 --rate 1000 --seconds {STORM}"
    before = load(server, pair_)
    argv = ["nice", "-n", "19", *command(server, f"churn --tls --conc 8 --seconds {STORM + 60}")]
    other = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.3)         # it has begun
        meanwhile = load(server, pair_)
    finally:
        other.kill()
        other.wait()
    return {"before": before["p99_us"], "meanwhile": meanwhile["p99_us"]}


def storm_rows(servers, files, runs):
    print("\n| storm, p99 of requests, us | before | meanwhile | ratio | at most |")
    print("| --- | --- | --- | --- | --- |")
    names = ["theirs", "ours"][-len(servers):]
    for kind in ("rsa", "p256"):
        with running(servers, files, kind) as up:
            for name, g in zip(names, medians(up, runs, storm)):
                print(f"| {kind}, {name} | {g['before']:,.0f} | {g['meanwhile']:,.0f} | {g['meanwhile'] / g['before']:.2f} | "
                      f"{'2' if name == 'ours' else '-'} |", flush=True)


# name: (arguments, figure, at most)
MESSAGES = {
    "tls-pub128": ("pub --tls --size 128 --msgs 1m", "server_cpu_ns_per_msg", 1.0),
    "tls-ps128": ("pubsub --tls --size 128 --msgs 500k", "server_cpu_ns_per_msg", 1.0),
    "tls-ps16k": ("pubsub --tls --size 16384 --msgs 20k", "server_cpu_ns_per_msg", 1.0),
    "tls-conns2000": ("conns --tls --conns 2000", "pss_bytes_per_conn", 1.0),
}


def message_rows(servers, files, runs):
    print("\n| over TLS | theirs / ours | ratio | at most |")
    print("| --- | --- | --- | --- |")
    for name, (arguments, figure, most) in MESSAGES.items():
        with running(servers, files, "p256", workers=1) as up:
            got = medians(up, 1 if "conns" in name else runs, lambda server, a=arguments: {figure: load(server, a)[figure]})
        print(f"| {name} | {pair([g[figure] for g in got])} | {most} |", flush=True)


def both(values):
    return " / ".join(f"{v:,.0f}" for v in values)


def pair(values):
    """Theirs and ours, and the ratio."""
    return f"{both(values)} | " + (f"{values[1] / values[0]:.3f}" if len(values) == 2 else "-")


def rows(servers, runs):
    """servers: how to start each, the real one first if there is one, ours last."""
    with tempfile.TemporaryDirectory() as folder:
        files = certificates(folder)
        handshake_rows(servers, files, runs)
        library_rows(files, runs)
        storm_rows(servers, files, (runs + 1) // 2)
        message_rows(servers, files, runs)
