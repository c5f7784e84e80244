"""The official clients, unmodified, over TLS and three workers: each kind of key, with a certificate of their own."""
import os
import shutil
import subprocess
import sys

import pytest

from test_clients import HERE, MODULES, run
from tls_client import first_only

MODES = ["", "handshake_first: auto", "handshake_first: true"]


def environment(tls, mode):
    files = {"CA": tls.ca, "CERT": tls["client.pem"], "KEY": tls["client-key.pem"]}
    return {**files, "FIRST": "1"} if mode.endswith("true") else files


def secure(start, tls, mode, key):
    block = tls.block("verify: true", f'ca_file: "{tls.ca}"', *filter(None, [mode]), server=key)
    return f"localhost:{first_only(start(config=block, wait=False)).port}"


@pytest.mark.parametrize("mode", MODES[:2])
@pytest.mark.parametrize("key", ["server-rsa", "server-p256"])
def test_debian_libnats(start, tls, tmp_path, mode, key):
    if not os.path.exists("/usr/include/nats/nats.h"):
        pytest.skip("libnats-dev is not installed")
    exe = str(tmp_path / "libnats")
    subprocess.run(["cc", "-O1", "-o", exe, os.path.join(HERE, "libnats.c"), "-lnats"], check=True)
    run([exe, f"nats://{secure(start, tls, mode, key)}"], **environment(tls, mode))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("key", ["server-rsa", "server-ed25519"])
def test_pypi_nats_py(start, tls, mode, key):
    pytest.importorskip("nats")
    run([sys.executable, os.path.join(HERE, "nats_py.py"), f"tls://{secure(start, tls, mode, key)}"], **environment(tls, mode))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("key", ["server-rsa", "server-p384"])
def test_npm_nats(start, tls, mode, key):
    if not shutil.which("node") or not os.path.isdir(os.path.join(MODULES, "nats")):
        pytest.skip("node or its module nats is not installed")
    run(["node", os.path.join(HERE, "nats_js.js"), secure(start, tls, mode, key)], NODE_PATH=MODULES, **environment(tls, mode))
