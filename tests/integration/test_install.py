"""make install: what a packager and a user of /usr/local get."""
import os
import subprocess

import harness


def make(target, folder):
    """What is built already; -o: nothing is built again."""
    subprocess.run(["make", "-C", harness.ROOT, "-o", "all", target, f"DESTDIR={folder}", "PREFIX=/usr",
                    "BUILD=" + os.path.relpath(harness.BUILD, harness.ROOT)],
                   check=True, capture_output=True, text=True)


def files(folder):
    return sorted(os.path.join(at, name) for at, _, names in os.walk(folder) for name in names)


def test_what_is_installed_runs_and_goes_again(tmp_path):
    there = tmp_path / "there"
    make("install", there)
    link = there / "usr" / "bin" / "nats-server"
    assert os.readlink(link) == "bulkhead"
    # From here neither the build nor LIBEXECDIR is beside it: it finds what was installed with it.
    with harness.Server(tmp_path, exe=str(link)) as server:
        server.client().ping()
    make("install", there)  # over itself
    make("uninstall", there)
    assert files(there) == []


def test_another_nats_server_stays(tmp_path):
    other = tmp_path / "usr" / "bin" / "nats-server"
    other.parent.mkdir(parents=True)
    other.write_text("not ours")
    make("install", tmp_path)
    assert other.read_text() == "not ours" and not other.is_symlink()
    make("uninstall", tmp_path)
    assert files(tmp_path) == [str(other)]
