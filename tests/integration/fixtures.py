"""Fixtures that all tests with real processes share."""
import pytest

import harness


@pytest.fixture
def start(tmp_path):
    """start(config=..., args=..., workers=...) -> a running Server; ended after the test."""
    servers = []

    def starter(*args, wait=True, **kwargs):
        folder = tmp_path / f"server{len(servers)}"
        folder.mkdir()
        server = harness.Server(folder, *args, **kwargs)
        servers.append(server)
        return server.start(wait)

    yield starter
    for server in servers:
        pids = list(server.children()) if server.process else []
        server.__exit__()
        for pid in pids:
            harness.until(lambda p=pid: not harness.alive(p), f"process {pid} ends with its supervisor")


@pytest.fixture
def server(start):
    """Three workers, debug log: the server most tests want."""
    return start(config="debug: true\n")
