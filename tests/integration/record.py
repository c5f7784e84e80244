#!/usr/bin/env python3
"""Write golden/wire.json and golden/auth.json: what the real server answers to
wire_cases.py and auth_cases.py.

    python3 tests/integration/record.py /path/to/nats-server [wire] [auth]

Run it when a case is added, with the server of the level that we implement."""
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

import auth_cases
import harness
import wire_cases

QUIET = 0.3     # seconds without a byte after which an answer is taken as whole


def neutral(text):
    """Without what differs from run to run, and without INFO: it has a test of its own."""
    return re.sub(r"z{100,}", "z...", re.sub(r"INFO \{.*?\} ?\r\n", "INFO\r\n", text))


def ask(port, chunks):
    sock = socket.create_connection(("127.0.0.1", port))
    sock.settimeout(QUIET)
    got, closed = b"", False

    def read():
        nonlocal got, closed
        try:
            while True:
                data = sock.recv(65536)
                if not data:
                    closed = True
                    return
                got += data
        except socket.timeout:
            pass
        except ConnectionError:
            closed = True

    read()
    got = got.split(b"\r\n", 1)[1]
    for chunk in chunks:
        try:
            sock.sendall(chunk)
        except ConnectionError:
            closed = True
        read()
        if closed:
            break
    sock.close()
    return {"closed": closed, "answer": neutral(got.decode("latin1"))}


def record(exe, version, cases_of, name):
    result = {}
    for config, cases in cases_of.items():
        with tempfile.TemporaryDirectory() as folder:
            with harness.Server(folder, config=config, exe=exe) as server:
                result[config] = {case: ask(server.port, chunks) for case, chunks in cases.items()}
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden", name)
    with open(path, "w") as f:
        json.dump({"server": version, "answers": result}, f, indent=1, sort_keys=True)
        f.write("\n")


def main():
    exe, names = sys.argv[1], sys.argv[2:]
    version = subprocess.run([exe, "-v"], capture_output=True, text=True).stdout.strip()
    for name, cases in (("wire", wire_cases.CASES), ("auth", auth_cases.CASES)):
        if not names or name in names:
            record(exe, version, cases, f"{name}.json")


if __name__ == "__main__":
    main()
