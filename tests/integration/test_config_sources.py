"""Where the text of a configuration comes from: files of any kind, files that they include, the environment."""
import os
import shutil
import signal
import subprocess

import pytest

import harness


def check(path, env=None, **kwargs):
    """Exit status and lines of `-t`."""
    done = subprocess.run([harness.BULKHEAD, "-t", "-c", str(path)], capture_output=True, text=True, timeout=60,
                          env=dict(os.environ, **(env or {})), **kwargs)
    return done.returncode, done.stderr.splitlines()


def refused(path, *words, **kwargs):
    """One line says why, with these words."""
    status, lines = check(path, **kwargs)
    assert status == 1 and len(lines) == 1, lines
    assert all(word in lines[0] for word in words), lines
    return lines[0]


@pytest.fixture
def file(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path
    return write


KINDS = {
    "folder": (lambda p: os.mkdir(p), "directory"),
    "fifo": (lambda p: os.mkfifo(p), "not a regular file"),
    "large": (lambda p: os.truncate(os.open(p, os.O_CREAT | os.O_WRONLY), 100 << 20), "more than 16 MiB"),
    "binary": (lambda p: open(p, "wb").write(os.urandom(65536) + b"\0"), "0x00"),
    "device": (lambda p: os.symlink("/dev/zero", p), "not a regular file"),
}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_is_no_text_is_one_error(tmp_path, file, kind):
    make, word = KINDS[kind]
    make(str(tmp_path / kind))
    if kind not in ("fifo", "device"):      # -c may be one
        refused(tmp_path / kind, kind, word)
    refused(file("a.conf", f"port: 4222\ninclude {kind}\n"), kind, word)


def test_all_files_together_have_a_limit(tmp_path, file):
    file("parts/a", "#" * ((16 << 20) - 2) + "\n")
    for i in range(4):
        os.link(tmp_path / "parts" / "a", tmp_path / "parts" / f"a{i}")
    refused(file("a.conf", "port: 4222\ninclude parts/a[0-2]\ninclude parts/a3\n"), "parts/a3", "more than 64 MiB in all")
    assert check(file("b.conf", "port: 4222\ninclude parts/a[0-2]\n"))[0] == 0


def test_a_pattern_is_many_files_in_the_order_of_their_names(file):
    for i in range(300):
        file(f"conf.d/{i:03}.conf", f"port: {4000 + i}\nmax_payload: {1000 + i}\n")
    file("conf.d/299.conf", "port: many\n")
    file("conf.d/other.txt", "[")
    refused(file("a.conf", "include conf.d/*.conf\n"), "conf.d/299.conf:1:7: port", "many")
    file("conf.d/299.conf", "port: $LAST\n")
    status, lines = check(file("a.conf", "include conf.d/*.conf\n"), env={"LAST": "4299"})
    assert status == 0
    digest = check(file("b.conf", "port: 4299\nmax_payload: 1298\n"))[1][0].split("sha256")[1]
    assert digest in lines[0]


def test_the_folder_of_a_pattern_is_no_pattern(file):
    file("conf[1]/a.conf", "port: 4222\n")
    file("conf1/a.conf", "port: [\n")
    assert check(file("a.conf", "include 'conf[1]/?.conf'\n"))[0] == 0


def test_more_files_than_there_may_be(tmp_path, file):
    (tmp_path / "conf.d").mkdir()
    for i in range(4097):
        (tmp_path / "conf.d" / f"{i}").touch()
    refused(file("a.conf", "port: 4222\ninclude conf.d/*\n"), "a.conf:2:1", "more than 4096 files")


def test_a_file_that_may_not_be_read(tmp_path, file):
    if os.geteuid() == 0:
        pytest.skip("root may read all")
    file("secret.conf", "debug: true\n").chmod(0)
    refused(file("a.conf", "include secret.conf\n"), "secret.conf", "permission denied")


def test_a_cycle_of_files_is_told_not_followed(file):
    file("b.conf", "include a.conf\n")
    refused(file("a.conf", "port: 4222\ninclude b.conf\n"), "includes itself")


def test_errors_name_the_file_and_the_line_they_are_in(file):
    file("parts/b.conf", "\n  port: many\nprot: 1\n")
    status, lines = check(file("a.conf", "prt: 1\ninclude parts/b.conf\nmax_payload: x\n"))
    assert status == 1
    places = [line.split(": ")[1].rsplit("/", 1)[1] for line in lines]
    assert places == ["a.conf:1:1", "b.conf:2:9", "b.conf:3:1", "a.conf:3:14"]
    assert "parts/b.conf" in lines[1]


def test_a_variable_of_the_environment_may_be_32_kib_long(file):
    path = file("a.conf", "port: 4222\nserver_tags: $LONG\n")
    assert check(path, env={"LONG": "x" * 255})[0] == 0
    refused(path, "text of 1 to 255 bytes", env={"LONG": "x" * 32000})
    refused(path, "LONG", "32 KiB", env={"LONG": "x" * 40000})


def test_a_server_runs_with_files_and_variables(start, tmp_path, file):
    file("parts/limits.conf", "max_payload: $SIZE\n")
    server = start(config="include ../parts/limits.conf\nNAME: one\nserver_name: $name\n",
                   env=dict(os.environ, SIZE="1234"))
    with server.client() as c:
        assert c.info["max_payload"] == 1234 and c.info["server_name"] == "one"


def test_an_included_file_is_read_again_at_each_reload(start, tmp_path, file):
    part = file("parts/limits.conf", "max_payload: 1000\n")
    server = start(config="include ../parts/limits.conf\n")
    for size in (2000, 3000, 4000):
        part.write_text(f"max_payload: {size}\n")
        os.kill(server.pid, signal.SIGHUP)
        harness.until(lambda: server.log().count("Reloaded server configuration") == size // 1000 - 1, "reloaded")
        with server.client() as c:
            assert c.info["max_payload"] == size
    part.write_text("max_payload: [\n")
    os.kill(server.pid, signal.SIGHUP)
    harness.until(lambda: "limits.conf:2:1" in server.log(), "the error is logged")
    with server.client() as c:
        assert c.info["max_payload"] == 4000
    assert "config 0" not in server.log()       # it ended as it should, each time


def all_children(pid):
    """Also those that have ended and were not waited for."""
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return {int(kid) for kid in f.read().split()}


def test_a_reload_that_was_refused_is_followed_by_the_next_at_once(start, tmp_path, file):
    part = file("part.conf", "#" * (8 << 20) + "\nmax_payload: [\n")
    file("none.conf", "")
    server = start(config="include ../none.conf\n")
    with open(server.config_path, "a") as f:
        f.write("include ../part.conf\n")
    for count in (2, 4, 6):
        os.kill(server.pid, signal.SIGHUP)
        harness.until(lambda: server.log().count("Trapped") == count - 1, "it is asked")
        os.kill(server.pid, signal.SIGHUP)      # taken up with the answer, while the one who gave it still ends
        harness.until(lambda: server.log().count("part.conf:3:1") == count, "both are refused")
    part.write_text("max_payload: 2000\n")
    os.kill(server.pid, signal.SIGHUP)
    harness.until(lambda: "Reloaded server configuration" in server.log(), "reloaded")
    with server.client() as c:
        assert c.info["max_payload"] == 2000
    assert "did not" not in server.log() and "was killed" not in server.log()
    harness.until(lambda: all_children(server.pid) == set(harness.children(server.pid)), "all were waited for")


@pytest.mark.parametrize("instead,how", [("/bin/true", "exited with status 0"), ("/bin/false", "exited with status 1")])
def test_a_config_process_that_ends_without_an_answer_is_an_error(tmp_path, file, instead, how):
    """Whoever reads the file is replaced by a program that does not."""
    libexec = tmp_path / "libexec" / "bulkhead"
    libexec.mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    shutil.copy(harness.BULKHEAD, tmp_path / "bin" / "bulkhead")
    for name in os.listdir(os.path.join(harness.BUILD, "libexec", "bulkhead")):
        os.symlink(os.path.join(harness.BUILD, "libexec", "bulkhead", name), libexec / name)
    (libexec / "bulkhead-config").unlink()
    os.symlink(instead, libexec / "bulkhead-config")
    done = subprocess.run([tmp_path / "bin" / "bulkhead", "-t", "-c", file("a.conf", "port: 4222\n")],
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and "config (process " in done.stderr and how in done.stderr, done.stderr
