"""Every case of wire_cases.py is answered as the real server answered it."""
import json
import os
import re

import pytest

import harness
from record import neutral
from wire_cases import CASES

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden", "wire.json")) as f:
    GOLDEN = json.load(f)["answers"]

# A message for several subscriptions of one connection: no order is promised.
ANY_ORDER = {"two patterns, two copies", "PUB wildcard nonped"}


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    running = {}
    for config in CASES:
        folder = tmp_path_factory.mktemp("wire")
        running[config] = harness.Server(folder, config=config).start()
    yield running
    for server in running.values():
        server.__exit__()


def converse(server, chunks, golden, pieces):
    client = server.client(connect=False)
    for chunk in chunks:
        for i in range(0, len(chunk), pieces):
            try:
                client.send(chunk[i:i + pieces])
            except ConnectionError:
                break
    if golden["closed"]:
        answer = client.rest()
    else:
        # A last PING proves that nothing more was to come.
        client.send(b"PING\r\n")
        end = golden["answer"].count("PONG\r\n") + 1
        while client.buffer.count(b"PONG\r\n") < end and client.receive():
            pass
        answer = client.buffer
        assert answer.endswith(b"PONG\r\n"), answer[-300:]
        answer = answer[:-6]
    client.close()
    return neutral(answer.decode("latin1"))


def frames(text):
    """One element a message: its subscriptions may get it in any order."""
    return sorted(re.findall(r"H?MSG [^\r]*\r\n[^\r]*\r\n|[^\r]*\r\n", text))


@pytest.mark.parametrize("config,name", [(c, n) for c in CASES for n in CASES[c]])
def test_answer_is_the_real_servers(servers, config, name):
    golden = GOLDEN[config][name]
    answer = converse(servers[config], CASES[config][name], golden, 1 << 20)
    if name in ANY_ORDER:
        answer, golden = frames(answer), {"answer": frames(golden["answer"])}
    assert answer == golden["answer"]


@pytest.mark.parametrize("config,name", [(c, n) for c in CASES for n in CASES[c]
                                         if sum(map(len, CASES[c][n])) < 1000])
def test_answer_is_the_same_byte_by_byte(servers, config, name):
    golden = GOLDEN[config][name]
    answer = converse(servers[config], CASES[config][name], golden, 1)
    if name in ANY_ORDER:
        answer, golden = frames(answer), {"answer": frames(golden["answer"])}
    assert answer == golden["answer"]
