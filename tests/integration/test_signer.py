"""Where private keys are: in the memory of bulkhead-signer, and nowhere else."""
import os
import re

import pytest

import harness
from tls_client import Secure
from tls_files import PASSWORD, openssl

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="reading the memory of all processes needs root")
PAGE = os.sysconf("SC_PAGESIZE")
# A line of /proc/PID/smaps: what can be read, and of which something is there.
REGION = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) r\S+ \S+ \S+ \d+ *([^\n]*)\n(?=(?:[A-Z]\w+:.*\n)*?Rss: +[1-9])", re.M)


def secrets(tls, name):
    """What nobody else may have: {what: bytes}. Of each number a part from its middle, in both byte orders."""
    text = openssl("pkey", "-in", tls[f"{name}-key.pem"], "-text", "-noout")
    found = {}
    for what, digits in re.findall(r"^(privateExponent|prime1|prime2|priv):\s*((?:\n? *[0-9a-f]{2}:?)+)", text, re.M):
        number = bytes.fromhex(re.sub(r"[\s:]", "", digits)).lstrip(b"\0")
        part = number[len(number) // 2 - 12:len(number) // 2 + 12]
        found[what] = part
        found[what + " backwards"] = part[::-1]
    lines = [line for line in tls.read(f"{name}-key.pem").splitlines() if not line.startswith("-")]
    found["PEM"] = lines[len(lines) // 2].encode()
    return found


def memory(pid):
    """What is in memory of all that can be read of a process. Segments are gigabytes of nothing, and reading would fill them."""
    with open(f"/proc/{pid}/smaps") as f:
        regions = REGION.findall(f.read())
    with open(f"/proc/{pid}/mem", "rb", 0) as mem, open(f"/proc/{pid}/pagemap", "rb", 0) as pages:
        for begin, end, name in regions:
            if not name.startswith(("[vvar", "[vsyscall", "[vdso")):
                yield from pieces(mem, pages, int(begin, 16) // PAGE, int(end, 16) // PAGE)


def pieces(mem, pages, first, last):
    """Each run of pages that are there."""
    run = []
    for start in range(first, last, 1 << 16):
        pages.seek(start * 8)
        entries = memoryview(pages.read(8 * min(1 << 16, last - start))).cast("Q")
        for n, entry in enumerate(entries):
            if entry >> 62:                     # in memory, or swapped out
                run.append(start + n)
            elif run:
                yield read(mem, run)
                run = []
    if run:
        yield read(mem, run)


def read(mem, run):
    mem.seek(run[0] * PAGE)
    try:
        return mem.read(len(run) * PAGE)
    except OSError:
        return b""


def found_in(pid, wanted):
    found = set()
    for piece in memory(pid):
        found |= {what for what, part in wanted.items() if part in piece}
    return found


def kept_in_descriptors(pid, wanted):
    """The same of the memory files that a process has open."""
    found = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        path = f"/proc/{pid}/fd/{fd}"
        try:
            if "memfd:" not in os.readlink(path) or os.stat(path).st_blocks > 1 << 15:
                continue
            with open(path, "rb") as f:
                data = f.read(1 << 21)
        except OSError:
            continue
        found |= {what for what, part in wanted.items() if part in data}
    return found


@pytest.mark.parametrize("name,file", [("server-rsa", None), ("server-p256", None), ("server-ed25519", None), ("server-p256", "server-both.pem")])
def test_private_numbers_are_in_the_signer_alone(start, tls, name, file):
    """Also where the certificate's file, which the supervisor reads, has the key too."""
    wanted = secrets(tls, name)
    assert len(wanted) >= 3 and all(len(part) >= 20 for part in wanted.values())
    server = start(config="debug: true\nhttp: 127.0.0.1:-1\nauthorization { user: a, password: b }\n" +
                   (tls.block(server=name) if file is None else 'tls { cert_file: "%s"; key_file: "%s" }\n' % (tls[file], tls[file])))
    for version in ("1.2", "1.3"):
        with Secure(server, tls, version=version, options={"user": "a", "pass": "b"}) as c:
            assert c.quiet()
    in_the_signer_alone(server, wanted)
    assert "password" not in found_in(next(iter(server.children("signer"))), wanted)


def in_the_signer_alone(server, wanted):
    children = server.children()
    signer = next(pid for pid, program in children.items() if program == "bulkhead-signer")
    assert found_in(signer, wanted), "else this search finds nothing anywhere"
    for pid in [server.pid, *children]:
        if pid != signer:
            assert found_in(pid, wanted) == set(), children.get(pid, "bulkhead")
    for pid, program in children.items():
        if pid != signer:
            assert kept_in_descriptors(pid, wanted) == set(), program


def test_a_locked_key_and_its_password_are_in_the_signer_alone(start, tls):
    """The password is not even there any more once the key is open."""
    wanted = secrets(tls, "server-rsa") | {"password": PASSWORD.encode()}
    server = start(config="debug: true\n" + 'tls { cert_file: "%s", key_file: "%s", key_password_file: "%s" }\n'
                   % (tls["server-rsa.pem"], tls["server-rsa-key-locked.pem"], tls.password))
    with Secure(server, tls) as c:
        assert c.quiet()
    in_the_signer_alone(server, wanted)
    assert "password" not in found_in(next(iter(server.children("signer"))), wanted)


@pytest.mark.parametrize("limited", [[], ["prlimit", "--memlock=65536"]])
def test_keys_that_may_be_swapped_out_are_warned_of(tmp_path, tls, limited):
    """Memory is locked as far as the limit of it allows; a low one is usual in containers."""
    server = harness.Server(tmp_path, config=tls.block())
    server.argv = limited + server.argv
    with server:
        with open(f"/proc/{next(iter(server.children('signer')))}/status") as f:
            locked = int(re.search(r"^VmLck:\s+(\d+)", f.read(), re.M)[1])
        assert ("may be swapped out" in server.log()) == (locked < 1024)
        assert locked < 1024 or not limited
