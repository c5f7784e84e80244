"""bulkheadctl passwd and nkey: other tools of the line accept what they make."""
import ctypes
import ctypes.util
import os
import pty
import re
import shutil
import subprocess

import pytest

import harness

CTL = os.path.join(harness.BUILD, "bin", "bulkheadctl")
MKPASSWD = os.path.join(harness.BUILD, "bin", "mkpasswd")
HASH = r"\$2a\$(\d\d)\$[./A-Za-z0-9]{53}"


def ctl(*args, exe=CTL, stdin=b""):
    done = subprocess.run([exe, *args], input=stdin, capture_output=True, timeout=60)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def hash_of(password, *args):
    status, out, err = ctl("passwd", "-p", "-c", "4", *args, stdin=password)
    assert status == 0, err
    match = re.fullmatch(rf"bcrypt hash: ({HASH})\n", out)
    assert match, out
    return match[1]


def crypt(password, setting):
    library = ctypes.CDLL(ctypes.util.find_library("crypt"))
    library.crypt.restype = ctypes.c_char_p
    return library.crypt(password, setting.encode()).decode()


# ---- the command itself

@pytest.mark.parametrize("args", [["--help"], ["-h"], ["passwd", "--help"], ["nkey", "-h"]])
def test_help_names_every_command(args):
    status, out, err = ctl(*args)
    assert status == 0 and err == ""
    assert "passwd" in out and "nkey" in out and "--version" in out


def test_version():
    status, out, _ = ctl("--version")
    assert status == 0 and re.fullmatch(r"bulkheadctl: v\d+\.\d+\.\d+\n", out)


@pytest.mark.parametrize("args, said", [
    ([], "which command"), (["foo"], 'unknown command "foo"'), (["--foo"], "unknown option --foo"),
    (["status", "x"], "status takes no argument"), (["status", "--foo"], "wrong option of status"),
    (["passwd", "-x"], "wrong option of passwd"), (["passwd", "secret"], "no password as an argument"),
    (["passwd", "-p", "secret"], "no password as an argument"),
    (["passwd", "-c"], "wrong option of passwd"), (["passwd", "-c", "3"], 'invalid cost "3"'),
    (["passwd", "-c", "32"], 'invalid cost "32"'), (["passwd", "-c", "-5"], 'invalid cost "-5"'),
    (["passwd", "-c", "4x"], 'invalid cost "4x"'), (["passwd", "-c", ""], 'invalid cost ""'),
    (["passwd", "-c", "18446744073709551620"], "invalid cost"),
    (["nkey"], "keys for what"), (["nkey", "ship"], 'no keys for "ship"'), (["nkey", "user", "--foo"], "wrong option"),
    (["nkey", "user", "--public"], "which file"), (["nkey", "--public", "--seed-only", "x"], "either"),
    (["nkey", "user", "SUAACCAPCYOSIKZSHFAEOTSVLRRWU4LYP6DI3FE3UKU3BN56YXGNHWVCJA"], "no seed as an argument"),
])
def test_misuse_is_said_in_a_line_and_ends_with_2(args, said):
    status, out, err = ctl(*args)
    assert status == 2 and out == "" and said in err and "--help shows" in err


def test_output_that_cannot_be_written_is_a_failure():
    with open("/dev/full", "w") as full:
        for args in (["passwd", "-c", "4"], ["nkey", "user"], ["--help"], ["--version"]):
            done = subprocess.run([CTL, *args], stdout=full, stderr=subprocess.PIPE)
            assert done.returncode == 1 and b"No space left on device" in done.stderr


# ---- passwd

def test_a_password_is_made_with_its_hash():
    seen = set()
    for exe, args in ((CTL, ["passwd"]), (MKPASSWD, []), (MKPASSWD, ["-c", "5"])):
        status, out, err = ctl(*args, exe=exe)
        match = re.fullmatch(rf"pass: (\S+)\nbcrypt hash: ({HASH})\n", out)
        assert status == 0 and err == "" and match, out
        password, text, cost = match.groups()
        assert cost == ("05" if args == ["-c", "5"] else "11")
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9]{21}", password)
        assert crypt(password.encode(), text) == text
        seen.add((password, text))
    assert len({p for p, _ in seen}) == 3 and len({h[:29] for _, h in seen}) == 3


@pytest.mark.parametrize("given, password", [
    (b"T0pS3cr3t\n", b"T0pS3cr3t"), (b"T0pS3cr3t", b"T0pS3cr3t"), (b"T0pS3cr3t\r\n", b"T0pS3cr3t"),
    (b"one\ntwo\n", b"one"), (b" with spaces \n", b" with spaces "), (b"x" * 72 + b"\n", b"x" * 72),
    ("pässwörd\n".encode(), "pässwörd".encode()),
], ids=["line", "no end of line", "CR LF", "first of two", "spaces", "72 bytes", "umlauts"])
def test_a_password_is_read_from_standard_input(given, password):
    text = hash_of(given)
    assert crypt(password, text.replace("$2a$", "$2b$")) == text.replace("$2a$", "$2b$")


def test_passwords_that_are_not_ascii_get_the_same_hash_as_elsewhere():
    # libxcrypt's own $2a$ differs from that of all others for these bytes
    password = b"\xff\xff\xa3"
    text = hash_of(password + b"\n")
    assert crypt(password, text.replace("$2a$", "$2y$")) == text.replace("$2a$", "$2y$")
    assert crypt(password, text) != text


@pytest.mark.parametrize("given, said", [
    (b"", "empty"), (b"\n", "empty"), (b"\r\n", "empty"), (b"x" * 73 + b"\n", "longer than 72"),
    (b"x" * 5000, "longer than 72"), (b"a\0b\n", "NUL"),
], ids=["nothing", "empty line", "CR LF", "73 bytes", "5000 bytes", "NUL"])
def test_passwords_that_bcrypt_would_change_are_refused(given, said):
    status, out, err = ctl("passwd", "-p", "-c", "4", stdin=given)
    assert status == 1 and out == "" and said in err


def on_terminal(typed):
    """bulkheadctl passwd -p on a terminal of its own: what it shows, and its status."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(CTL, [CTL, "passwd", "-p", "-c", "4"])
    shown = b""
    for prompt, answer in zip((b"Enter Password: ", b"Reenter Password: "), typed):
        while not shown.endswith(prompt):
            shown += os.read(fd, 4096)
        os.write(fd, answer + b"\n")
    try:
        while data := os.read(fd, 4096):
            shown += data
    except OSError:             # the terminal is gone with its last process
        pass
    os.close(fd)
    return shown.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_on_a_terminal_it_asks_twice_and_shows_nothing_of_it():
    shown, status = on_terminal([b"hidden-word", b"hidden-word"])
    match = re.search(HASH, shown)
    assert status == 0 and match and "hidden" not in shown
    assert crypt(b"hidden-word", match[0]) == match[0]
    shown, status = on_terminal([b"hidden-word", b"hidden-world"])
    assert status == 1 and "do not match" in shown and "$2a$" not in shown and "hidden" not in shown


def test_the_real_server_takes_our_hashes(start):
    real = harness.real_server()
    if real is None:
        pytest.skip("no other server to compare with")
    words = {"plain": b"T0pS3cr3t!", "long": b"y" * 72, "umlauts": "pässwörd ß".encode()}
    made = ctl("passwd")[1]
    hashes = {name: hash_of(word + b"\n") for name, word in words.items()}
    words["made"] = re.search(r"pass: (\S+)", made)[1].encode()
    hashes["made"] = re.search(HASH, made)[0]
    users = ", ".join(f"{{user: {name}, password: {text}}}" for name, text in hashes.items())
    server = start(exe=real, config=f"authorization {{ users = [ {users} ] }}\n")
    for name, word in words.items():
        assert server.client(options={"user": name, "pass": word.decode()}).ping() == b""
        refused = server.client(options={"user": name, "pass": word.decode()[:-1]})
        assert b"-ERR 'Authorization Violation'" in refused.rest()


# ---- nkey

LETTERS = {"user": "U", "account": "A", "server": "N"}
KEY, SEED = "[A-Z2-7]{55}", "[A-Z2-7]{56}"


def nk():
    """The tool of the reference library, or None."""
    for path in (os.environ.get("NK"), os.path.join(harness.ROOT, "build", "deps", "bin", "nk"), shutil.which("nk")):
        if path and os.access(path, os.X_OK):
            return path
    return None


@pytest.mark.parametrize("kind", LETTERS)
def test_a_pair_of_keys_is_made(kind, tmp_path):
    letter = LETTERS[kind]
    status, out, err = ctl("nkey", kind)
    assert status == 0 and err == "" and re.fullmatch(rf"S{letter}{SEED}\n{letter}{KEY}\n", out)
    seed, public = out.split()
    path = tmp_path / "seed"
    path.write_text(seed + "\n")
    assert ctl("nkey", "--public", str(path)) == (0, public + "\n", "")
    assert ctl("nkey", kind, "--public", "-", stdin=seed.encode()) == (0, public + "\n", "")
    status, out, _ = ctl("nkey", kind, "--seed-only")
    assert status == 0 and re.fullmatch(rf"S{letter}{SEED}\n", out) and out.strip() != seed


def test_known_seeds_have_known_keys(tmp_path):
    # made by github.com/nats-io/nkeys v0.4.16
    known = {"SUAACCAPCYOSIKZSHFAEOTSVLRRWU4LYP6DI3FE3UKU3BN56YXGNHWVCJA":
             "UDSAGCMYZ7K22FZDYFU7SVVKBOPLQYM3LGJL2YJMFL2CR26HT6G7AGME",
             "SAAACCAPCYOSIKZSHFAEOTSVLRRWU4LYP6DI3FE3UKU3BN56YXGNHWSRQQ":
             "ADSAGCMYZ7K22FZDYFU7SVVKBOPLQYM3LGJL2YJMFL2CR26HT6G7BC73",
             "SNAACCAPCYOSIKZSHFAEOTSVLRRWU4LYP6DI3FE3UKU3BN56YXGNHWQ6KM":
             "NDSAGCMYZ7K22FZDYFU7SVVKBOPLQYM3LGJL2YJMFL2CR26HT6G7A7QP",
             "SOAACCAPCYOSIKZSHFAEOTSVLRRWU4LYP6DI3FE3UKU3BN56YXGNHWQ56Y":
             "ODSAGCMYZ7K22FZDYFU7SVVKBOPLQYM3LGJL2YJMFL2CR26HT6G7BUT5"}
    for seed, public in known.items():
        assert ctl("nkey", "--public", "-", stdin=seed.encode()) == (0, public + "\n", "")
    paths = []
    for i, seed in enumerate(known):
        paths.append(tmp_path / str(i))
        paths[-1].write_text(f"-----BEGIN NATS SEED-----\r\n  {seed}\t\r\n------END NATS SEED------\r\n")
    assert ctl("nkey", "--public", *map(str, paths)) == (0, "\n".join(known.values()) + "\n", "")


def test_files_without_a_seed_are_named(tmp_path):
    good, empty, public, big = (tmp_path / name for name in ("good", "empty", "public", "big"))
    seed, key = ctl("nkey", "user")[1].split()
    good.write_text(seed)
    empty.write_text("")
    public.write_text(key + "\n")
    big.write_bytes(b"\n" * 100000 + seed.encode())
    bad = [str(empty), str(public), str(big), str(tmp_path), str(tmp_path / "missing")]
    status, out, err = ctl("nkey", "--public", *bad, str(good))
    assert status == 1 and out == key + "\n"
    for path, why in zip(bad, ("no seed in it", "no seed in it", "File too large", "Is a directory", "No such file")):
        assert f"{path}: {why}" in err
    assert seed not in err
    status, out, err = ctl("nkey", "account", "--public", str(good))
    assert status == 1 and out == "" and "another kind" in err


@pytest.mark.skipif(nk() is None, reason="the tool nk of github.com/nats-io/nkeys is not here")
@pytest.mark.parametrize("kind", LETTERS)
def test_the_reference_tool_agrees(kind, tmp_path):
    ours, theirs, text = tmp_path / "ours", tmp_path / "theirs", tmp_path / "text"
    seed, public = ctl("nkey", kind)[1].split()
    ours.write_text(seed + "\n")
    said = subprocess.run([nk(), "-inkey", str(ours), "-pubout"], capture_output=True, text=True)
    assert said.stdout.strip() == public
    text.write_text("to be signed")
    signature = tmp_path / "signature"
    signature.write_text(subprocess.run([nk(), "-sign", str(text), "-inkey", str(ours)],
                                        capture_output=True, text=True).stdout.strip())
    (tmp_path / "key").write_text(public)
    said = subprocess.run([nk(), "-verify", str(text), "-pubin", str(tmp_path / "key"), "-sigfile", str(signature)],
                          capture_output=True, text=True)
    assert "Verified OK" in said.stdout
    made = subprocess.run([nk(), "-gen", kind, "-pubout"], capture_output=True, text=True).stdout.split()
    theirs.write_text(made[0] + "\n")
    assert ctl("nkey", kind, "--public", str(theirs)) == (0, made[1] + "\n", "")


def test_the_real_server_takes_our_public_keys(tmp_path):
    real = harness.real_server()
    if real is None:
        pytest.skip("no other server to compare with")
    public = ctl("nkey", "user")[1].split()[1]
    path = tmp_path / "c"
    for key, status in ((public, 0), (public[:-2] + ("AA" if public[-2:] != "AA" else "BB"), 1)):
        path.write_text(f"authorization {{ users = [ {{nkey: {key}}} ] }}\n")
        assert subprocess.run([real, "-t", "-c", str(path)], capture_output=True).returncode == status
