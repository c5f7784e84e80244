#!/usr/bin/env python3
"""Run tests and count them: the last line is `N passed, N failed, N skipped`.

    tests/run.py BUILD [--long] [--only NAME] [unit] [integration] [interop] [fault] [fuzz] [lint] [valgrind]

BUILD is the build folder. --only keeps unit tests and integration files whose
name contains NAME. Exit status 0: nothing failed, and something passed."""
import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
KINDS = ["lint", "unit", "fuzz", "integration", "interop", "fault"]
MEMCHECK = ["valgrind", "-q", "--error-exitcode=99", "--trace-children=no", "--leak-check=no"]
# The unit tests seen to run under it. Others enter the sandbox, or did not end in a few minutes.
UNDER_MEMCHECK = ["broker/compact", "broker/lanes", "broker/queue", "broker/route", "common/channel", "common/log",
                  "common/messages", "common/settings", "common/unpack", "config/program", "config/schema",
                  "config/syntax", "config/tenants", "nats/connect", "nats/info", "nats/nkey", "nats/parser", "supervisor/options",
                  "supervisor/sink", "system/reports", "worker/session"]


class Count:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, what, passed, failed, skipped, seconds):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped
        print(f"{what}: {passed} passed, {failed} failed, {skipped} skipped, {seconds:.0f} s", flush=True)


def run(command, limit, env):
    """Output and exit status; a command over its limit is ended and fails."""
    try:
        done = subprocess.run(command, cwd=ROOT, env=env, timeout=limit, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        return done.stdout, done.returncode
    except subprocess.TimeoutExpired as e:
        out = e.stdout.decode(errors="replace") if isinstance(e.stdout, bytes) else e.stdout or ""
        return out + f"\nended after {limit} s", 1


def skip(count, what, why):
    print(f"{what}: skipped: {why}")
    count.add(what, 0, 0, 1, 0)


def unit(count, args, env, under=(), among=None):
    """Each test program; under: what it is run by; among: the names of those that are wanted."""
    if not glob.glob("/usr/include/check.h"):
        return skip(count, "unit", "the library Check is not installed")
    for test in sorted(glob.glob(os.path.join(args.build, "unit", "*", "*"))):
        name = "/".join(test.split("/")[-2:])
        if not os.access(test, os.X_OK) or os.path.isdir(test) or args.only and args.only not in name:
            continue
        if among is not None and name not in among:
            continue
        began = time.monotonic()
        out, status = run([*under, test], 1800 if args.long else 240, env)
        match = re.search(r"Checks: (\d+), Failures: (\d+), Errors: (\d+)", out)
        checks, bad = (int(match[1]), int(match[2]) + int(match[3])) if match else (1, 1)
        if status != 0 and bad == 0:
            bad = 1
        if bad:
            print(out)
        count.add(" ".join([*under[:1], name]), checks - bad, bad, 0, time.monotonic() - began)


def valgrind(count, args, env):
    """Unit tests again, without their long loops and without forks."""
    if not shutil.which("valgrind"):
        return skip(count, "valgrind", "it is not installed")
    env = dict(env, CK_FORK="no")
    env.pop("CHECK_LONG", None)
    unit(count, args, env, MEMCHECK, UNDER_MEMCHECK)


def pytest(count, args, env, folder):
    python = os.path.join(ROOT, "build", "deps", "venv", "bin", "python")
    if not os.access(python, os.X_OK):
        return skip(count, folder, "no Python environment in build/deps (make deps)")
    command = [python, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", f"tests/{folder}"]
    if args.stop:
        command.append("-x")
    if args.only:
        command += ["-k", args.only]
    began = time.monotonic()
    out, status = run(command, 7200 if args.long else 1200, env)
    found = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|skipped|errors?)", out.splitlines()[-1] if out else "")}
    failed = found.get("failed", 0) + found.get("error", 0) + found.get("errors", 0)
    if status not in (0, 5) and not failed:
        failed = 1
    if failed:
        print(out)
    for line in re.findall(r"^SKIPPED.*", out, re.M):
        print(line)
    count.add(folder, found.get("passed", 0), failed, found.get("skipped", 0), time.monotonic() - began)


def fuzz(count, args, env):
    if not shutil.which("clang"):
        return skip(count, "fuzz", "clang is not installed")
    for target in sorted(glob.glob(os.path.join(args.build, "fuzz", "*"))):
        name = os.path.basename(target)
        if not os.access(target, os.X_OK) or os.path.isdir(target) or args.only and args.only not in name:
            continue
        corpus = os.path.join("tests", "fuzz", "corpus", name)
        new = os.path.join(args.build, "fuzz-found", name)
        os.makedirs(new, exist_ok=True)
        began = time.monotonic()
        out, status = run([target, f"-max_total_time={args.seconds}", "-timeout=20", "-rss_limit_mb=4096", "-print_final_stats=1",
                           f"-artifact_prefix={new}/", new] + ([corpus] if os.path.isdir(os.path.join(ROOT, corpus)) else []),
                          args.seconds + 120, env)
        if status != 0:
            print(out[-8000:])
        runs = re.search(r"stat::number_of_executed_units: (\d+)", out)
        count.add(f"fuzz {name} ({runs[1] if runs else 0} inputs)", int(status == 0), int(status != 0), 0,
                  time.monotonic() - began)


def lint(count, args, env):
    began = time.monotonic()
    out, status = run(["sh", "contrib/lint.sh"], 600, env)
    if status:
        print(out)
    count.add("lint", int(status == 0), int(status != 0), 0, time.monotonic() - began)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("kinds", nargs="*", default=[])
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--stop", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--seconds", type=int, default=5)
    args = parser.parse_intermixed_args()
    env = dict(os.environ, BUILD=args.build, PYTHONDONTWRITEBYTECODE="1",
               ASAN_OPTIONS="detect_leaks=1:abort_on_error=0:use_madv_dontdump=1",
               UBSAN_OPTIONS="print_stacktrace=1")
    if args.long:
        env["CHECK_LONG"] = "1"
    args.build = os.path.join(ROOT, args.build)
    count = Count()
    for kind in args.kinds or KINDS + ["valgrind"] * args.long:
        if kind in ("integration", "interop", "fault"):
            pytest(count, args, env, kind)
        else:
            globals()[kind](count, args, env)
    print(f"{count.passed} passed, {count.failed} failed, {count.skipped} skipped")
    return 1 if count.failed or not count.passed else 0


if __name__ == "__main__":
    sys.exit(main())
