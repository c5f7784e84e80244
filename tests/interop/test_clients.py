"""The official clients, unmodified, over three workers."""
import os
import shutil
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))
import harness

MODULES = os.path.join(harness.ROOT, "build", "deps", "node", "node_modules")


def run(command, **env):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, **env})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ok ") == 4, done.stdout


def test_debian_libnats(start, tmp_path):
    if not os.path.exists("/usr/include/nats/nats.h"):
        pytest.skip("libnats-dev is not installed")
    exe = str(tmp_path / "libnats")
    subprocess.run(["cc", "-O1", "-o", exe, os.path.join(HERE, "libnats.c"), "-lnats"], check=True)
    run([exe, f"nats://127.0.0.1:{start().port}"])


def test_pypi_nats_py(start):
    pytest.importorskip("nats")
    run([sys.executable, os.path.join(HERE, "nats_py.py"), f"nats://127.0.0.1:{start().port}"])


def test_npm_nats(start):
    if not shutil.which("node") or not os.path.isdir(os.path.join(MODULES, "nats")):
        pytest.skip("node or its module nats is not installed")
    run(["node", os.path.join(HERE, "nats_js.js"), f"127.0.0.1:{start().port}"], NODE_PATH=MODULES)
