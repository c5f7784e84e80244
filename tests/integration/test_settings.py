"""Every setting and every flag: one value that it takes with what comes of it, one that it refuses.

The tables here are compared with common/settings.def and the table of
supervisor/options.c: a key or flag without a test fails."""
import grp
import json
import os
import pwd
import re
import signal
import subprocess
import urllib.request

import pytest

import harness

ROOT = os.geteuid() == 0
REAL = harness.real_server()
A_PORT = "a port up to 65535 (-1: any free one)"
AN_ADDRESS = '"host:port", "[address]:port" or ' + A_PORT
A_NUMBER = "a whole number, as 100 or 64MB, without quotes"
A_DURATION = 'a duration, as "10s" or "1m30s"'
A_BOOLEAN = "true or false, without quotes"
A_TEXT = "text; put it in quotes"


def source(path):
    with open(os.path.join(harness.ROOT, path)) as f:
        return f.read()


def settings():
    """Names of settings.def that a file may have: {name: its line's fields}."""
    found = {}
    for line in re.findall(r"^SETTING\((.*)\)$", source("common/settings.def"), re.M):
        fields = [f.strip() for f in line.split(",", 7)]
        if "OWN" not in fields[6]:
            found[fields[1]] = fields
    return found


def program(*args, **kwargs):
    return subprocess.run([harness.BULKHEAD, *args], capture_output=True, text=True, timeout=harness.LIMIT, **kwargs)


def printed(*args):
    """What --print-config says: {name: (value, origin)}; keys of a block of several lines are "block.key"."""
    done = program("--print-config", *args)
    assert done.returncode == 0, done.stderr
    found, block = {}, ""
    for line in done.stdout.splitlines():
        if block and line == "}":
            block = ""
            continue
        match = re.fullmatch(r'    "(\w+)": (.*)  # (.+)' if block else r"(?:# )?(\w+): (.*)  # (.+)", line)
        assert match, line
        found[block + match[1]] = (match[2], match[3])
        if match[2] == "{":
            block = match[1] + "."
    return found


# ---- the keys: in the file, as --print-config shows it, a bad value, what is said about it

KEYS = {
    "host": ("127.0.0.1", '"127.0.0.1"', "5", "found 5, expected " + A_TEXT),
    "port": ("-1", "-1", "70000", "found 70000, expected " + A_PORT),
    "listen": ('[127.0.0.1:-1, "[::1]:4333"]', '["127.0.0.1:-1", "[::1]:4333"]', "localhost",
               'found "localhost", expected ' + AN_ADDRESS),
    "unix_socket_mode": ('"0660"', '"0660"', "0680", "found 680, expected a mode in octal, as \"0660\""),
    "unix_socket_group": ("12345", '"12345"', "yes", "found true, expected " + A_TEXT),
    "http_host": ("127.0.0.1", '"127.0.0.1"', "5", "found 5, expected " + A_TEXT),
    "http": ("127.0.0.1:-1", None, '"8222"', 'found "8222", expected ' + AN_ADDRESS),
    "http_port": ("-1", "-1", '"8222"', 'found "8222", expected ' + A_PORT),
    "server_name": ("Ann", '"Ann"', "5", "found 5, expected " + A_TEXT),
    "client_advertise": ("away.example:1234", '"away.example:1234"', "5", "found 5, expected " + A_TEXT),
    "max_connections": ("77", "77", '"77"', 'found "77", expected ' + A_NUMBER),
    "max_connections_per_address": ("3", "3", "-1", "found -1, expected a number from 0"),
    "max_connection_rate": ("5", "5", "yes", "found true, expected " + A_NUMBER),
    "max_subscriptions": ("55", "55", "1.5", "found 1.5, expected " + A_NUMBER),
    "max_sub_tokens": ("3", "3", "256", "found 256, expected 0 to 255"),
    "max_control_line": ("8KB", "8192", "10", "found 10, expected 32 to 2147483647"),
    "max_payload": ("2MB", "2097152", "-2", "found -2, expected a number from -1"),
    "max_pending": ("32MB", "33554432", "-1", "found -1, expected a number from 0"),
    "write_deadline": ("3s", '"3s"', "soon", 'found "soon", expected ' + A_DURATION),
    "ping_interval": ('"1m30s"', '"90s"', "1.5", "found 1.5, expected " + A_DURATION),
    "ping_max": ("7", "7", "-1", "found -1, expected a number from 0"),
    "auth_timeout": ("4s", '"4s"', "no", "found false, expected " + A_DURATION),
    "system_account": ('"$SYS"', '"$SYS"', "5", "found 5, expected " + A_TEXT),
    "auth_failures": ("5", "5", "-1", "found -1, expected a number from 0"),
    "auth_failure_window": ("20s", '"20s"', '"0.1ms"', 'found "0.1ms", expected 0.001 to 86400 seconds'),
    "auth_failure_delay": ("2s", '"2s"', "soon", 'found "soon", expected ' + A_DURATION),
    "auth_threads": ("2", "2", "65", "found 65, expected 0 to 64"),
    "allow_non_tls": ("true", "true", "1", "found 1, expected " + A_BOOLEAN),
    "tls_file_check": ("20s", '"20s"', "soon", 'found "soon", expected ' + A_DURATION),
    "tls_ticket_lifetime": ('"1h"', '"3600s"', '"10s"', 'found "10s", expected 60 to 604800 seconds'),
    "signer_rate": ("7", "7", "-1", "found -1, expected a number from 0"),
    "no_header_support": ("yes", "true", "1", "found 1, expected " + A_BOOLEAN),
    "write_timeout": ("retry", '"retry"', "Retry", 'found "Retry", expected default, close or retry'),
    "no_fast_producer_stall": ("true", "true", '"true"', 'found "true", expected ' + A_BOOLEAN),
    "lame_duck_duration": ("40s", '"40s"', "40", "found 40, expected " + A_DURATION),
    "lame_duck_grace_period": ("5s", '"5s"', '"-5s"', 'found "-5s", expected 0 to 31536000 seconds'),
    "server_tags": ('[" Blue", b]', '["blue", "b"]', "5", "found 5, expected text; put it in quotes"),
    "workers": ("2", "2", "61", "found 61, expected 0 to 60"),
    "sandbox": ("off", '"off"', "maybe", 'found "maybe", expected best_effort, required or off'),
    "process_users": ('["worker:700"]', '["worker:700"]', "5", "found 5, expected text or a list of texts"),
    "uid_base": ("65000", "65000", "x", 'found "x", expected ' + A_NUMBER),
    "user": ("nobody", '"nobody"', "yes", "found true, expected " + A_TEXT),
    "group": ("12345", '"12345"', "yes", "found true, expected " + A_TEXT),
    "watchdog": ("7500ms", '"7.5s"', '"10ms"', 'found "10ms", expected 0.05 to 86400 seconds'),
    "restart_limit": ("5", "5", "1000001", "found 1000001, expected 1 to 1000000"),
    "ring_size": ("128KB", "131072", "true", "found true, expected " + A_NUMBER),
    "debug": ("on", "true", "1", "found 1, expected " + A_BOOLEAN),
    "trace": ("true", "true", "0", "found 0, expected " + A_BOOLEAN),
    "trace_verbose": ("true", "true", "x", 'found "x", expected ' + A_BOOLEAN),
    "trace_headers": ("true", "true", "[]", "found a list [...], expected " + A_BOOLEAN),
    "max_traced_msg_len": ("10", "10", '"10"', 'found "10", expected ' + A_NUMBER),
    "logtime": ("off", "false", "0", "found 0, expected " + A_BOOLEAN),
    "logtime_utc": ("on", "true", "UTC", 'found "UTC", expected ' + A_BOOLEAN),
    "log_format": ("json", '"json"', "xml", 'found "xml", expected text or json'),
    "log_burst": ("20", "20", "-1", "found -1, expected a number from 0"),
    "log_file": ("/tmp/a.log", '"/tmp/a.log"', "5", "found 5, expected " + A_TEXT),
    "logfile_size_limit": ("1MB", "1048576", '"1MB"', 'found "1MB", expected ' + A_NUMBER),
    "logfile_max_num": ("3", "3", "3.5", "found 3.5, expected " + A_NUMBER),
    "syslog": ("true", "true", '"local"', 'found "local", expected ' + A_BOOLEAN),
    "remote_syslog": ('"udp://127.0.0.1:514"', '"udp://127.0.0.1:514"', "514", "found 514, expected " + A_TEXT),
    "pid_file": ('"/tmp/a #1.pid"', '"/tmp/a #1.pid"', "{}", "found a block {...}, expected " + A_TEXT),
    "control_socket": ("/s", '"/s"', "5", "found 5, expected " + A_TEXT),
    "control_socket_group": ("12345", '"12345"', "yes", "found true, expected " + A_TEXT),
    "ports_file_dir": ("/tmp", '"/tmp"', "5", "found 5, expected " + A_TEXT),
}


def test_every_key_is_here():
    assert set(KEYS) == set(settings())


def test_every_key_is_taken_and_shown_with_its_place(tmp_path):
    path = tmp_path / "all.conf"
    path.write_text("".join(f"{name}: {good}\n" for name, (good, *_) in KEYS.items()))
    shown = printed("-c", str(path))
    places = {name: line for line, name in enumerate(KEYS, 1)}
    places["host"] = places["port"] = places["listen"]      # which says them again
    places["http_host"] = places["http"]
    places["trace"] = places["trace_headers"]
    assert set(shown) == set(KEYS) - {"http"}
    for name, (_, value, *_) in KEYS.items():
        if name != "http":
            assert shown[name] == (value, f"{path}:{places[name]}"), name
    # and what was shown is a file that says the same
    again = tmp_path / "again.conf"
    again.write_text(program("--print-config", "-c", str(path)).stdout)
    assert program("-t", "-c", str(again)).returncode == 0
    assert {n: v for n, (v, _) in printed("-c", str(again)).items()} == {n: v for n, (v, _) in shown.items()}


def test_defaults_are_those_of_the_table():
    shown = printed()
    for name, fields in settings().items():
        kind, default = fields[0], fields[2].strip('"')
        if kind == "duration":
            default = f'"{default}s"'
        elif kind == "boolean":
            default = "true" if default == "1" else "false"
        elif kind == "text":
            default = f'"{default}"'
        elif kind == "list":
            default = "[]"
        if name != "http":
            assert shown[name] == (default, "default"), name


def test_every_key_refuses_a_bad_value_and_says_where(tmp_path):
    path = tmp_path / "bad.conf"
    path.write_text("".join(f"{name}: {bad}\n" for name, (*_, bad, _) in KEYS.items()))
    done = program("-t", "-c", str(path))
    said = done.stderr.splitlines()
    assert done.returncode == 1 and done.stdout == "" and len(said) == len(KEYS)
    for line, (text, (name, (*_, error))) in enumerate(zip(said, KEYS.items()), 1):
        column = len(name) + 3
        assert text == f"bulkhead: {path}:{line}:{column}: {name}: {error}"


# Keys that are no settings: what they take, in the file and as --print-config shows it, and what is said about 5.
BLOCKS = {
    "authorization": ("{ token: abc }", '{"token": "[REDACTED]"}', "found a whole number, expected a block {...} for authorization"),
    "accounts": ("{ A {} }", '{"A": {}}', "found a whole number, expected a block {...} of accounts"),
    "mappings": ("{ a: b }", '{"a": "b"}', "found a whole number, expected a block {...} of mappings"),
    "tls": ("{ cert_file: a, key_file: b }", "{", "found a whole number, expected a block {...} for tls"),
    "no_auth_user": ("x", '"x"', '"no_auth_user": found 5, expected ' + A_TEXT),
    "no_system_account": ("true", "true", '"no_system_account": found 5, expected ' + A_BOOLEAN),
}
BESIDE = {"no_auth_user": "authorization { users: [{user: x}] }\n"}     # what a block needs to be good


def test_every_block_is_here_taken_shown_and_refused(tmp_path):
    assert set(BLOCKS) == set(re.findall(r"^BLOCK\((\w+),", source("common/settings.def"), re.M))
    path = tmp_path / "block.conf"
    for name, (good, shown, error) in BLOCKS.items():
        path.write_text(f"{name}: {good}\n{BESIDE.get(name, '')}")
        assert printed("-c", str(path))[name] == (shown, f"{path}:1")
        path.write_text(f"{name}: 5\n")
        said = program("-t", "-c", str(path))
        assert said.returncode == 1 and said.stderr == f"bulkhead: {path}:1:{len(name) + 3}: " + error + "\n"


def test_aliases_are_the_same_setting(tmp_path):
    pairs = re.findall(r"^ALIAS\((\w+), (\w+)\)", source("common/settings.def"), re.M)
    assert pairs
    for other, name in [pair for pair in pairs if pair[1] in BLOCKS]:
        path = tmp_path / "b.conf"
        path.write_text(f"{other.upper()} = {BLOCKS[name][0]}\n")
        assert printed("-c", str(path))[name] == (BLOCKS[name][1], f"{path}:1"), other
    pairs = [pair for pair in pairs if pair[1] not in BLOCKS]
    path = tmp_path / "c.conf"
    for other, name in pairs:
        path.write_text(f"{other.upper()} = {KEYS[name][0]}\n")
        assert printed("-c", str(path))[name] == (KEYS[name][1], f"{path}:1"), other


def test_keys_of_what_does_not_exist_yet_are_refused_by_name(tmp_path):
    later = re.findall(r'^LATER\((\w+), (\w+), "(.*)"\)', source("common/settings.def"), re.M)
    assert later
    path = tmp_path / "later.conf"
    path.write_text("".join(f"{name} {{ nope: 1, port: x }}\n" for name, *_ in later))
    said = program("-t", "-c", str(path)).stderr.splitlines()
    assert said == [f"bulkhead: {path}:{line}:1: {name}: this version does not have {what} yet"
                    for line, (name, _, what) in enumerate(later, 1)]
    path.write_text("port: 4222\n" + "".join(f"{name}: false\n" for name, off, _ in later if off == "true"))
    assert program("-t", "-c", str(path)).returncode == 0


@pytest.mark.parametrize("typed,meant", [
    ("max_paylod", "max_payload"), ("prot", "port"), ("acounts", "accounts"), ("logfil", "logfile"), ("xyzzy", None)])
def test_a_misspelt_key_is_answered_with_the_nearest(tmp_path, typed, meant):
    path = tmp_path / "typo.conf"
    path.write_text(typed + ": 1\n")
    hint = f', did you mean "{meant}"?' if meant else ""
    assert program("-t", "-c", str(path)).stderr == f'bulkhead: {path}:1:1: unknown field "{typed}"{hint}\n'


# ---- what comes of them

class Run(harness.Server):
    """A server that has everything from its file, nothing from flags."""

    def __init__(self, folder, text):
        folder.mkdir()
        super().__init__(folder, listen=False)
        sandbox = "" if "sandbox" in text or not harness.SANITIZED else "sandbox: off\n"
        with open(self.config_path, "w") as f:
            f.write(f"ports_file_dir: '{folder}'\nlog_file: '{self.log_path}'\n{sandbox}{text}")
        self.argv = [harness.BULKHEAD, "-c", self.config_path]

    def varz(self):
        with urllib.request.urlopen(self.port_data["monitoring"][0] + "/varz", timeout=harness.LIMIT) as r:
            return json.load(r)

    def identities(self):
        """(uid, gid, groups) of each child but bulkhead-config, by program."""
        found = {}
        for pid, name in self.children().items():
            with open(f"/proc/{pid}/status") as f:
                status = f.read()
            found.setdefault(name, set()).add(tuple(
                " ".join(sorted(set(re.search(rf"^{what}:(.*)", status, re.M)[1].split())))
                for what in ("Uid", "Gid", "Groups")))
        return found


def chosen(*names):
    return "".join(f"{name}: {KEYS[name][0]}\n" for name in names)


def test_what_comes_of_most_of_them(tmp_path):
    pid_file = tmp_path / "pid"
    text = chosen(
        "host", "port", "http_host", "http_port", "server_name", "client_advertise", "max_connections",
        "max_connections_per_address", "max_subscriptions", "max_sub_tokens", "max_control_line", "max_payload",
        "max_pending", "write_deadline", "ping_interval", "ping_max", "auth_timeout", "no_header_support",
        "write_timeout", "no_fast_producer_stall", "server_tags", "workers", "uid_base", "watchdog", "debug", "logtime")
    with Run(tmp_path / "s", text + f"pid_file: '{pid_file}'\n") as server:
        assert int(pid_file.read_text()) == server.pid
        assert "[DBG]" in server.log() and not re.search(r"^\[\d+\] \d{4}/", server.log(), re.M)
        assert len(server.workers()) == 2
        v = server.varz()
        second = 10 ** 9
        assert v | {
            "server_name": "Ann", "max_connections": 77, "max_subscriptions": 55, "max_control_line": 8192,
            "max_payload": 2 << 20, "max_pending": 32 << 20, "write_deadline": 3 * second, "write_timeout": "retry",
            "ping_interval": 90 * second, "ping_max": 7, "auth_timeout": 4, "tags": ["blue", "b"],
            "host": "127.0.0.1", "port": server.port, "http_host": "127.0.0.1", "http_port": server.http_port(),
        } == v
        client = server.client(options={"headers": False, "no_responders": False})
        info = client.info
        assert (info["server_name"], info["host"], info["port"]) == ("Ann", "away.example", 1234)
        assert info["max_payload"] == 2 << 20 and not info["headers"]
        client.send("SUB a.b.c 1\r\nSUB a.b.c.d 2\r\n")
        assert client.line() == b"-ERR 'Permissions Violation for Subscription to \"a.b.c.d\", too many tokens'"
        others = [server.client() for _ in range(2)]
        with server.client() as fourth:         # of one address
            assert b"maximum connections exceeded" in fourth.rest()
        for c in others:
            c.close()
        if ROOT and not harness.SANITIZED:
            identities = server.identities()
            everyone = set().union(*identities.values())
            assert len(everyone) == sum(len(pids) for pids in identities.values())
            assert all(uid == gid and 65000 <= int(uid) < 65100 and not groups for uid, gid, groups in everyone)
        stopped = server.workers()[0]
        os.kill(stopped, signal.SIGSTOP)
        server.wait_log(r"is stopped; it is replaced if it does not go on within 7.5 s")
        os.kill(stopped, signal.SIGCONT)
        assert server.stop() == 0
    assert not pid_file.exists()


def test_what_comes_of_the_others(tmp_path):
    text = chosen("listen", "http", "trace", "max_connection_rate", "sandbox").replace("[::1]:4333", "localhost:-1")
    with Run(tmp_path / "s", text) as server:
        assert server.varz()["http_host"] == "127.0.0.1"
        assert len(server.port_data["nats"]) == 2
        server.wait_log(r"\[WRN\] sandbox: off")
        server.wait_log(r"\[TRC\].*<<- \[CONNECT")
        # more connections at once than the rate
        harness.until(lambda: not server.accepts(), "some connection is just closed")
        assert server.stop() == 0


@pytest.mark.skipif(not ROOT or harness.SANITIZED, reason="only root changes who it is, where the sandbox is on")
@pytest.mark.parametrize("given,group", [
    ("user: nobody\ngroup: 12345\n", "12345"), ("user: nobody\n", None), ("user: 4242\n", "4242"),
    ("user: nobody\ngroup: daemon\n", str(grp.getgrnam("daemon").gr_gid))])
def test_children_run_as_the_user_that_was_named(tmp_path, given, group):
    nobody = pwd.getpwnam("nobody")
    uid = "4242" if "4242" in given else str(nobody.pw_uid)
    with Run(tmp_path / "s", "port: -1\nhttp: 127.0.0.1:-1\n" + given) as server:
        identities = server.identities()
        assert {"bulkhead-log", "bulkhead-worker", "bulkhead-system", "bulkhead-monito"} <= set(identities)
        assert set().union(*identities.values()) == {(uid, group or str(nobody.pw_gid), "")}
        again = server.workers()[0]
        os.kill(again, signal.SIGKILL)                  # its successor as well
        server.wait_log("it is replaced")
        harness.until(lambda: again not in server.workers() and len(server.workers()) > 0, "another worker")
        harness.until(lambda: set().union(*server.identities().values()) ==
                      {(uid, group or str(nobody.pw_gid), "")}, "the same user")
        assert server.stop() == 0


@pytest.mark.parametrize("given,error", [
    ("user: no-such-user\n", 'user: found "no-such-user", expected the name or number of a user'),
    ("user: nobody\ngroup: no-such-group\n", 'group: found "no-such-group", expected the name or number of a group'),
    ("user: root\n", "user: found root, expected one without its rights"),
    ("user: nobody\ngroup: 0\n", "group: found root, expected one without its rights"),
    ("group: nogroup\n", 'group: found "nogroup" without a user, expected both')])
def test_a_user_that_children_cannot_be_ends_the_start(tmp_path, given, error):
    path = tmp_path / "u.conf"
    path.write_text("port: -1\n" + given)
    done = program("-c", str(path))
    assert (done.returncode, done.stderr) == (1, f"bulkhead: {error}\n")


# ---- the flags: arguments and what --print-config shows then; arguments and what is said about them

PAIR = ["--tlscert=c", "--tlskey=k"]
SECURED = {"tls": "{", "tls.cert_file": '"c"', "tls.key_file": '"k"', "tls.verify": "false"}

FLAGS = {
    "a": (["-a", "::1"], {"host": '"::1"'}, ["-a"], "flag needs an argument: -a"),
    "addr": (["--addr="], {"host": '"0.0.0.0"'}, ["--addr"], "flag needs an argument: -addr"),
    "net": (["-net=::"], {"host": '"::"'}, ["-net"], "flag needs an argument: -net"),
    "p": (["-p", "0"], {"port": "4222"}, ["-p", "x"], 'invalid value "x" for flag -p: parse error'),
    "port": (["--port", "-1"], {"port": "-1"}, ["--port=65536"], 'invalid value "65536" for flag -port: out of range'),
    "n": (["-n", "x"], {"server_name": '"x"'}, ["-n"], "flag needs an argument: -n"),
    "name": (["--name", "x"], {"server_name": '"x"'}, ["--name", "x" * 256],
             f'invalid value "{"x" * 256}" for flag -name: out of range'),
    "server_name": (["--server_name=x"], {"server_name": '"x"'}, ["--server_name"],
                    "flag needs an argument: -server_name"),
    "client_advertise": (["--client_advertise", "h:1"], {"client_advertise": '"h:1"'}, ["--client_advertise"],
                         "flag needs an argument: -client_advertise"),
    "user": (["--user", "x"], {"authorization": '{user: "x"}'}, ["--user"], "flag needs an argument: -user"),
    "pass": (["-user=x", "--pass", "y"], {"authorization": '{user: "x", pass: "[REDACTED]"}'}, ["--pass=" + "y" * 9000],
             'invalid value "[REDACTED]" for flag -pass: out of range'),
    "auth": (["--auth", "y"], {"authorization": '{token: "[REDACTED]"}'}, ["--auth"], "flag needs an argument: -auth"),
    "tls": (["--tls", *PAIR], SECURED, ["--tls=x"], 'invalid boolean value "x" for flag -tls: parse error'),
    "tlscert": (PAIR, SECURED, ["--tlscert"], "flag needs an argument: -tlscert"),
    "tlskey": (PAIR[::-1], SECURED, ["--tlskey"], "flag needs an argument: -tlskey"),
    "tlsverify": (["--tlsverify", "--tlscacert=a", *PAIR], {**SECURED, "tls.ca_file": '"a"', "tls.verify": "true"},
                  ["--tlsverify=x"], 'invalid boolean value "x" for flag -tlsverify: parse error'),
    "tlscacert": (["--tlscacert", "a", *PAIR], {**SECURED, "tls.ca_file": '"a"'}, ["--tlscacert"],
                  "flag needs an argument: -tlscacert"),
    "m": (["-m", "8222"], {"http_port": "8222"}, ["-m", "-2"], 'invalid value "-2" for flag -m: out of range'),
    "http_port": (["--http_port", "0"], {"http_port": "0"}, ["--http_port", ""],
                  'invalid value "" for flag -http_port: parse error'),
    "P": (["-P", "/p"], {"pid_file": '"/p"'}, ["-P"], "flag needs an argument: -P"),
    "pid": (["--pid=/p"], {"pid_file": '"/p"'}, ["--pid"], "flag needs an argument: -pid"),
    "ports_file_dir": (["--ports_file_dir", "/d"], {"ports_file_dir": '"/d"'}, ["--ports_file_dir"],
                       "flag needs an argument: -ports_file_dir"),
    "l": (["-l", "/l"], {"log_file": '"/l"'}, ["-l"], "flag needs an argument: -l"),
    "log": (["--log", ""], {"log_file": '""'}, ["--log"], "flag needs an argument: -log"),
    "log_size_limit": (["--log_size_limit", "1_000".replace("_", "")], {"logfile_size_limit": "1000"},
                       ["--log_size_limit", "1MB"], 'invalid value "1MB" for flag -log_size_limit: parse error'),
    "T": (["-T"], {"logtime": "true"}, ["-T=x"], 'invalid boolean value "x" for flag -T: parse error'),
    "logtime": (["--logtime=T"], {"logtime": "true"}, ["--logtime=yes"],
                'invalid boolean value "yes" for flag -logtime: parse error'),
    "logtime_utc": (["--logtime_utc=0"], {"logtime_utc": "false"}, ["--logtime_utc=x"],
                    'invalid boolean value "x" for flag -logtime_utc: parse error'),
    "s": (["-s=false"], {"syslog": "false"}, ["-s=x"], 'invalid boolean value "x" for flag -s: parse error'),
    "syslog": (["--syslog"], {"syslog": "true"}, ["--syslog=2"],
               'invalid boolean value "2" for flag -syslog: parse error'),
    "r": (["-r", "tcp://h:1"], {"remote_syslog": '"tcp://h:1"'}, ["-r"], "flag needs an argument: -r"),
    "remote_syslog": (["--remote_syslog=x"], {"remote_syslog": '"x"'}, ["--remote_syslog"],
                      "flag needs an argument: -remote_syslog"),
    "D": (["-D=false"], {"debug": "false"}, ["-D=x"], 'invalid boolean value "x" for flag -D: parse error'),
    "debug": (["--debug"], {"debug": "true"}, ["--debug=x"], 'invalid boolean value "x" for flag -debug: parse error'),
    "V": (["-V=FALSE"], {"trace": "false"}, ["-V=x"], 'invalid boolean value "x" for flag -V: parse error'),
    "trace": (["--trace"], {"trace": "true"}, ["--trace=x"], 'invalid boolean value "x" for flag -trace: parse error'),
    "VV": (["-VV=f"], {"trace": "false", "trace_verbose": "false"}, ["-VV=x"],
           'invalid boolean value "x" for flag -VV: parse error'),
    "DV": (["-DV"], {"debug": "true", "trace": "true"}, ["-DV=x"],
           'invalid boolean value "x" for flag -DV: parse error'),
    "DVV": (["-DVV"], {"debug": "true", "trace": "true", "trace_verbose": "true"}, ["-DVV=x"],
            'invalid boolean value "x" for flag -DVV: parse error'),
    "max_traced_msg_len": (["--max_traced_msg_len", "-5"], {"max_traced_msg_len": "0"}, ["--max_traced_msg_len=a"],
                           'invalid value "a" for flag -max_traced_msg_len: parse error'),
}

# Flags that are no settings: a bad use, what is said. What they do is tested below.
ACTIONS = {
    "c": (["-c"], "flag needs an argument: -c"),
    "config": (["--config"], "flag needs an argument: -config"),
    "t": (["-t=x"], 'invalid boolean value "x" for flag -t: parse error'),
    "print-config": (["--print-config=x"], 'invalid boolean value "x" for flag -print-config: parse error'),
    "sl": (["-sl"], "flag needs an argument: -sl"),
    "signal": (["--signal"], "flag needs an argument: -signal"),
    "v": (["-v=x"], 'invalid boolean value "x" for flag -v: parse error'),
    "version": (["--version=x"], 'invalid boolean value "x" for flag -version: parse error'),
    "h": (["-h=x"], 'invalid boolean value "x" for flag -h: parse error'),
    "help": (["--help=x"], 'invalid boolean value "x" for flag -help: parse error'),
    "help_tls": (["--help_tls=x"], 'invalid boolean value "x" for flag -help_tls: parse error'),
}

OPTIONS = re.findall(r'^\t\{ GROUP_\w+, "([^"]+)", (OPTION_\w+), ("[^"]*"|NULL), ("[^"]*"|NULL)',
                     source("supervisor/options.c"), re.M)
LATER_FLAGS = [(name, value != "NULL") for names, kind, _, value in OPTIONS if kind == "OPTION_LATER"
               for name in names.split(",")]


def test_every_flag_is_here():
    names = {name for names, kind, *_ in OPTIONS if kind != "OPTION_LATER" for name in names.split(",")}
    assert len(OPTIONS) == source("supervisor/options.c").count("\t{ GROUP_")
    assert names == set(FLAGS) | set(ACTIONS)
    shown = program("-h").stdout
    for name in names | {name for name, _ in LATER_FLAGS}:
        assert re.search(rf"(^| )--?{name}[, ]", shown, re.M), name


def test_every_flag_of_the_real_server_is_known():
    if REAL is None:
        pytest.skip("no real server")
    usage = subprocess.run([REAL, "-h"], capture_output=True, text=True, timeout=harness.LIMIT).stdout
    known = set(FLAGS) | set(ACTIONS) | {name for name, _ in LATER_FLAGS}
    found = set(re.findall(r"^ +(?:-(\w+)\b)", usage, re.M)) | set(re.findall(r"--(\w+)", usage))
    assert len(found) > 50 and found <= known


@pytest.mark.parametrize("name", FLAGS)
def test_a_flag_wins_over_the_file(tmp_path, name):
    args, expected, bad, error = FLAGS[name]
    path = tmp_path / "all.conf"
    path.write_text("".join(f"{key}: {good}\n" for key, (good, *_) in KEYS.items()))
    before, after = printed("-c", str(path)), printed("-c", str(path), *args)
    changed = {key: after[key] for key in after if after[key] != before.get(key)}
    if "host" in expected or "port" in expected:
        assert changed.pop("listen") == ("[]", "default")
    assert changed == {key: (value, "command line") for key, value in expected.items()}
    done = program(*bad)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(error + "\n\nUsage: bulkhead [options]\n")


@pytest.mark.parametrize("name", ACTIONS)
def test_a_flag_that_does_something_refuses_a_bad_value(name):
    bad, error = ACTIONS[name]
    done = program(*bad)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(error + "\n\nUsage: bulkhead [options]\n")


@pytest.mark.parametrize("name,value", LATER_FLAGS)
def test_a_flag_of_what_does_not_exist_yet_is_refused_by_name(name, value):
    done = program("--" + name, *(["1"] if value else []))
    assert done.returncode == 1 and done.stdout == ""
    assert re.fullmatch(rf"bulkhead: flag -{name}: this version does not have .+ yet\n", done.stderr)
    off = program(f"--{name}={'0' if value else 'false'}", "--print-config")
    assert off.returncode == 0 and off.stdout == program("--print-config").stdout


def test_help_on_tls():
    done = program("--help_tls")
    assert done.returncode == 0 and done.stderr == "" and "cert_file" in done.stdout


def test_print_config_tells_errors_like_a_start(tmp_path):
    path = tmp_path / "bad.conf"
    path.write_text("port: x\nmax_payload: 1GB\n")
    done = program("--print-config", "-c", str(path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f'bulkhead: {path}:1:7: port: found "x", expected {A_PORT}\n'
    with open("/dev/full", "w") as full:
        done = subprocess.run([harness.BULKHEAD, "--print-config"], stdout=full, stderr=subprocess.PIPE, text=True,
                              timeout=harness.LIMIT)
    assert done.returncode == 1 and "no space left on device" in done.stderr


# ---- beside the real server

COMMANDS = [["-v"], ["--version"], ["version"], ["VERSION"], ["-h"], ["--help"], ["help"], ["-v", "stray"],
            ["-h", "-v"], ["--help_tls"], ["-t"], ["-t", "-c", "GOOD"], ["-t=true", "--config=GOOD"],
            ["-t", "-c", "BAD"], ["-t", "-c", "/no/such/file"], ["-c", "/no/such/file"], ["-c", "BAD"], ["stray"],
            ["--", "stray"], ["-D", "true"], ["-sl", "foo"], ["--signal=foo=1"], ["-sl", "stop=x"],
            ["-t", "-c", "WARNED"], ["-t", "-p", "-1", "-c", "GOOD"], ["-t", "-c", "GOOD", "stray"]]


@pytest.mark.skipif(REAL is None, reason="no real server")
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_it_ends_as_the_real_server_does(tmp_path, command):
    for name, text in (("GOOD", "port: 4222\n"), ("BAD", "port: x\n"), ("WARNED", "ping_interval: 10\n")):
        (tmp_path / name).write_text(text)
    args = [re.sub("^(--config=)?(GOOD|BAD|WARNED)$", lambda m: (m[1] or "") + str(tmp_path / m[2]), a)
            for a in command]
    ours = program(*args)
    real = subprocess.run([REAL, *args], capture_output=True, text=True, timeout=harness.LIMIT)
    assert (ours.returncode, ours.stdout == "", ours.stderr == "") == \
        (real.returncode, real.stdout == "", real.stderr == ""), (ours, real)


# What -t says about a file of one line: both the same ...
VERDICTS = """
port: 4222|port: -1|port: 0|port: "4222"|PORT: 4222|listen: 4222|listen: "4222"|listen: ":4222"|listen: h:4222
listen: "[::1]:4222"|listen: "::1:4222"|listen: localhost|listen: "h:-1"|listen: "h: 1"|listen: 1.5|listen: true
host: x|host: 5|host: ""|net: x|http: 8222|http: "h:1"|http: "8222"|http_port: 0|http_port: -1|monitor_port: 1
server_name: a|server_name: "a b"|server_name: 5|server_name: ""|client_advertise: "h:1"|client_advertise: 5
max_payload: 0|max_payload: -1|max_payload: 1|max_payload: 2147483647|max_payload: 2147483648|max_payload: "1MB"
max_payload: 1.0|max_control_line: 0|max_control_line: 2147483647|max_control_line: 2147483648|max_pending: 0
max_pending: 9223372036854775807|max_pending: 1.5|max_connections: 0|max_connections: -1|max_connections: -5
max_connections: 5000000000|max_connections: "5"|max_subscriptions: 0|max_subscriptions: -1|max_subscriptions: -2
max_subscriptions: 5000000000|max_sub_tokens: -1|max_sub_tokens: 1|max_sub_tokens: 255|max_sub_tokens: 256
ping_interval: 10|ping_interval: 1.5|ping_interval: "10s"|ping_interval: 10s|ping_interval: "10"|ping_interval: "0s"
ping_interval: true|ping_max: 0|ping_max: 5|ping_max: 5000000000|write_deadline: 10|write_deadline: "10s"
write_deadline: "1000h"|write_deadline: "0s"|write_deadline: 0|write_timeout: retry|write_timeout: close
write_timeout: default|write_timeout: Retry|write_timeout: ""|write_timeout: 5|lame_duck_duration: 60
lame_duck_duration: "60s"|lame_duck_duration: "5s"|lame_duck_duration: "0s"|lame_duck_grace_period: "5s"
lame_duck_grace_period: 5|lame_duck_grace_period: "-5s"|lame_duck_grace_period: "0s"|debug: true|debug: "true"
debug: 1|debug: on|trace: 0|trace_verbose: true|trace_headers: yes|logtime: no|logtime_utc: on|logfile: "/tmp/x"
logfile: 5|log_file: ""|logfile_size_limit: 0|logfile_size_limit: -1|logfile_size_limit: 1MB|log_size_limit: "1MB"
logfile_max_num: -1|logfile_max_num: 0|log_max_num: 5000000000|max_traced_msg_len: -1|max_traced_msg_len: 100
max_traced_msg_len: 5000000000|syslog: true|syslog: "x"|remote_syslog: "udp://h:1"|remote_syslog: 5|pid_file: x
pidfile: 5|ports_file_dir: x|no_header_support: true|no_fast_producer_stall: true|no_fast_producer_stall: 1
server_tags: a|server_tags: [a, b]|server_tags: []|server_tags: [1]|server_tags: 5|server_tags: ""
server_tags: "a b"|jetstream: false|jetstream: disabled|jetstream: {enabled: false}|no_system_account: false
prof_port: 0|https_port: 0|https: 0|allow_non_tls: false|ocsp: false|disable_sublist_cache: false|no_auth_user: ""
nope: 1|max_conn: 5|max_subs: 5|max_subscription_tokens: 5
"""

# ... or not, and why: what the real server says, the reason.
DIFFERENT = {
    "port: 70000": (0, "it finds that out when it binds"),
    "port: -2": (0, "it finds that out when it binds"),
    'listen: "h:70000"': (0, "it finds that out when it binds"),
    "max_payload: 65MB": (0, "more than max_pending: it refuses that when it starts"),
    "max_pending: 1024": (0, "less than max_payload: it refuses that when it starts"),
    "max_pending: -1": (0, "less than max_payload: it refuses that when it starts"),
    'lame_duck_grace_period: "200s"': (0, "longer than lame_duck_duration: it refuses that when it starts"),
    "max_payload: -2": (0, "no client could publish anything"),
    "max_control_line: 10": (0, "no client could connect"),
    "max_control_line: -1": (0, "no client could connect"),
    'ping_interval: "-1s"': (0, "no client could stay"),
    "ping_max: -1": (0, "no client could stay"),
    'ping_interval: "1us"': (0, "no client could stay"),
    'ping_interval: "9000h"': (0, "more than a year is a mistake"),
    'write_deadline: "-1s"': (0, "no client could stay"),
    'write_deadline: "9000h"': (0, "more than a year is a mistake"),
    "max_sub_tokens: 0": (1, "the default, which --print-config has to show"),
    'server_name: "a\\tb"': (0, "what is meant is no blanks of any kind"),
    "lame_duck_duration: 20s": (1, "shorter ones harm nobody"),
    "max_pending_size: 64MB": (1, "the name that older servers had"),
    "addr: 127.0.0.1": (1, "the name of the flag"),
    "name: a": (1, "the name of the flag"),
    "listen: [4222, 4223]": (1, "several listeners"),
    "jetstream: true": (0, "does not exist here yet"),
    "prof_port: 1": (0, "does not exist here"),
    "tls {}": (0, "no client could connect"),
}


def verdicts(path, line):
    path.write_text(line + "\n")
    real = subprocess.run([REAL, "-t", "-c", str(path)], capture_output=True, text=True, timeout=harness.LIMIT)
    ours = program("-t", "-c", str(path))
    return real.returncode, ours.returncode


@pytest.mark.skipif(REAL is None, reason="no real server")
def test_verdicts_are_those_of_the_real_server(tmp_path):
    lines = [line for row in VERDICTS.strip().splitlines() for line in row.split("|")]
    found = {line: verdicts(tmp_path / "v.conf", line) for line in lines + list(DIFFERENT)}
    wrong = {line: found[line] for line in lines if found[line][0] != found[line][1]}
    assert wrong == {}
    assert {line: found[line] for line in DIFFERENT} == \
        {line: (real, 1 - real) for line, (real, _) in DIFFERENT.items()}
