"""The official clients, unmodified, log in, are refused, and use what other accounts export."""
import os
import shutil
import subprocess
import sys

import pytest

from test_clients import HERE, MODULES, run
import harness

CONFIG = """
accounts {
  SHOP {
    users = [
      { user: alice, password: wonder, permissions { publish { deny: "secret.>" }, subscribe { deny: "secret.>" } } }
      { user: hash, password: "%s" }
      { nkey: %s }
    ]
    imports = [
      { service { account: HELP, subject: help.me }, to: support }
      { stream { account: HELP, subject: "news.>" }, prefix: theirs }
    ]
  }
  HELP {
    users = [ { user: carol, password: garden } ]
    exports = [ { service: help.me }, { stream: "news.>" } ]
  }
}
"""


def ctl(*args, given=""):
    done = subprocess.run([os.path.join(harness.BUILD, "bin", "bulkheadctl"), *args], input=given,
                          capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.fixture
def shop(start):
    seed, public = sorted(ctl("nkey", "user"), key=len, reverse=True)
    hashed = ctl("passwd", "-p", "-c", "4", given="builder\n")[-1]
    server = start(config=CONFIG % (hashed, public))
    server.seed = seed
    return server


def test_pypi_nats_py_logs_in(shop):
    pytest.importorskip("nats")
    run([sys.executable, os.path.join(HERE, "auth_py.py"), f"nats://127.0.0.1:{shop.port}"])


def test_npm_nats_logs_in(shop):
    if not shutil.which("node") or not os.path.isdir(os.path.join(MODULES, "nats")):
        pytest.skip("node or its module nats is not installed")
    run(["node", os.path.join(HERE, "auth_js.js"), f"127.0.0.1:{shop.port}", shop.seed], NODE_PATH=MODULES)
