"""The configuration language, against the real server: the same verdict and, for what is good, the
same digest. The files in config/ try one rule each; more are made up, and a seed repeats them."""
import concurrent.futures
import glob
import os
import random
import re
import subprocess

import pytest

import harness

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "config")
ENVIRONMENT = {
    "TEST_NUMBER": "4222", "TEST_TEXT": "text", "TEST_EMPTY": "", "TEST_BLANK": " \t", "TEST_SIZE": "12MB",
    "TEST_MAP": "{a: [1k , $TEST_TEXT], b {}}", "TEST_REFERS": "$TEST_NUMBER", "TEST_HASH": "#x", "TEST_QUOTED": "'a b'",
    "TEST_SEVERAL": "4222; debug: true", "TEST_LINES": "one\npk: two", "TEST_CYCLE": "[$TEST_BACK]",
    "TEST_BACK": "$TEST_CYCLE", "TEST_SELF": "$TEST_SELF", "TEST_BAD": "a b", "TEST_REFERS_INNER": "$TEST_INNER",
    "TEST_INCLUDES": "4222\ninclude ../parts/a.conf",
}

# Where we differ and mean to: what is said here (0 good, 1 refused), and there, and why.
DIFFERENT = {
    "number_then_bracket": (0, 1, "a number ends at ']' too: [1, 2] is a list of two numbers, as in JSON"),
    "case_of_variables": (0, 1, "a name that differs only in case is found where nothing else is"),
    "pattern": (0, 1, "an include may be a pattern"),
    "pattern_of_nothing": (0, 1, "an include may be a pattern, also of no file"),
    "unknown_unit": (1, 0, "a number with an unknown unit is an error; there, the entry disappears"),
    "key_at_the_end": (1, 0, "a key needs a value"),
    "no_value": (1, 0, "a key needs a value"),
    "no_value_in_a_map": (1, 0, "a key needs a value; there, the map takes the key's name"),
    "braces_never_closed": (1, 0, "what is opened is closed, or the file was cut off"),
    "quote_at_the_end": (1, 0, "what is opened is closed, or the file was cut off"),
    "one_slash": (1, 0, "a single '/' is no comment and nothing else"),
    "comma_before_a_key": (1, 0, "a key without quotes does not begin with a comma or a bracket"),
    "zero_byte": (1, 0, "a text has no zero bytes; there, one ends a line"),
    "too_large_with_unit": (1, 0, "a number that does not fit is an error; there, it is another number"),
    "space_of_unicode": (1, 0, "only the spaces of ASCII separate"),
    "digits_of_unicode": (0, 1, "only the digits of ASCII are digits"),
    "include_in_the_environment": (1, 0, "a variable of the environment cannot include files"),
    "deep": (1, 0, "maps and lists are at most 128 deep"),
}


def verdict(exe, path, folder):
    done = subprocess.run([exe, "-t", "-c", path], cwd=folder, env=dict(os.environ, **ENVIRONMENT),
                          capture_output=True, timeout=60)
    text = done.stderr.decode(errors="replace")
    digest = re.search(r"sha256:[0-9a-f]{64}", text)
    return done.returncode, digest[0] if digest and done.returncode == 0 else None, text


def both(path, folder):
    return verdict(harness.BULKHEAD, path, folder), verdict(harness.real_server(), path, folder)


def names(kind):
    return sorted(os.path.basename(p)[:-5] for p in glob.glob(os.path.join(FOLDER, kind, "*.conf")))


@pytest.mark.parametrize("name", names("good"))
def test_what_is_good(name):
    ours, theirs = both(f"{name}.conf", os.path.join(FOLDER, "good"))
    assert ours[0] == 0, ours[2]
    assert theirs[0] == 0, theirs[2]
    assert ours[1] is not None and ours[1] == theirs[1]


@pytest.mark.parametrize("name", names("bad"))
def test_what_is_bad(name):
    ours, theirs = both(f"{name}.conf", os.path.join(FOLDER, "bad"))
    assert ours[0] == 1 and theirs[0] == 1, ours[2] + theirs[2]
    for line in ours[2].splitlines():
        assert re.match(r"bulkhead: (\S+\.conf|\$\w+|\.\./parts)(:\d+:\d+)?: .", line), line


@pytest.mark.parametrize("name", names("other"))
def test_what_is_different_on_purpose(name):
    ours, theirs = both(f"{name}.conf", os.path.join(FOLDER, "other"))
    assert (ours[0], theirs[0]) == DIFFERENT[name][:2], f"{DIFFERENT[name][2]}: {ours[2]} {theirs[2]}"


def test_each_difference_has_its_file():
    assert names("other") == sorted(DIFFERENT)


class Maker:
    """Configurations by chance: mostly of what is allowed, with some of what is not."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.keys = []

    def some(self, *choices):
        return self.random.choice(choices)

    def one_in(self, n):
        return self.random.randrange(n) == 0

    def word(self):
        return self.some("a", "b", "x1", "Key", "foo.bar", "a-b", "_x", "é", "on1", "K")

    def number(self):
        digits = str(self.random.randrange(10 ** self.random.randrange(1, 19)))
        return self.some("", "", "-") + digits + self.some("", "", "k", "mb", "GiB", ".5", ".25", "s", ":1", ".1.2")

    def text(self):
        body = "".join(self.some("a", " ", "b", "#", "//", ",", "]", "}", "\n", "$a", "ä", "=") for _ in range(self.random.randrange(6)))
        escapes = "".join(self.some("x", "\\t", "\\n", "\\x41", "\\\\", "\\\"", " ") for _ in range(self.random.randrange(4)))
        return self.some(f"'{body}'", f'"{body}{escapes}"', f"({body}\n)\n", f"(\n{body}\n)\n")

    def scalar(self):
        if self.keys and self.one_in(4):
            return "$" + self.random.choice(self.keys)
        return self.some(
            self.number, self.text, self.word, self.number,
            lambda: self.some("true", "Off", "yes", "no", "TRUE'", "nope", "\\x41b", "a\\tb"),
            lambda: self.some("2026-11-21T08:44:13Z", "10.0.0.1", "127.0.0.1:4222", "http://x#y", "$2a$10$x", "4k2", "0x10", "1_000"),
            lambda: self.some("$TEST_NUMBER", "$TEST_MAP", "$TEST_TEXT", "$TEST_EMPTY", "$TEST_QUOTED"))()

    def space(self):
        return self.some("", " ", "\t ", "  ")

    def wrong(self):
        """Now and then, what no rule allows, or only just."""
        return self.some("=", ":", "]", "}", "{", "[", "(", ")", "'", '"', "\\", "-", ".", "$", "#", " ", "\n", "\r", "include ",
                         "1.", "-a", "\\q", "$b", "don't", "é", ";", ",")

    def list(self, depth):
        items = [self.value(depth + 1) for _ in range(self.random.randrange(4))]
        out = "["
        for item in items:
            # a bracket directly behind a number is one of the differences
            out += self.space() + item + self.some(",", " ,", "\n", ", # c\n", " // c\n", ",\n\n")
        return out + self.some(" ", "\n", "") + "]"

    def entry_end(self):
        return self.some("\n", "\n", ",", ";", " # c\n", "\r\n", " ;\n", "\n\n", " // c\n")

    def key(self):
        return self.some(self.word, self.word, lambda: f'"{self.word()} {self.word()}"', lambda: f"'{self.word()}'")()

    def entry(self, depth, key=None):
        key = key or self.key()
        after = self.some(": ", " = ", " ", "=", ":", " : ") if depth == 0 else self.some(": ", "=", " ", ":\n", "\n", " :\n ")
        return f"{key}{after}{self.value(depth)}"

    def map(self, depth):
        kept = list(self.keys)
        out = "{" + self.some("", " ", "\n")
        for _ in range(self.random.randrange(4)):
            out += self.entry(depth + 1) + self.entry_end()
            if self.one_in(6):
                out += "include ../parts/a.conf" + self.some("\n", ";", " # c\n")
        self.keys = kept
        return out + "}"

    def value(self, depth):
        if depth < 4 and self.one_in(3):
            return self.some(self.list, self.map)(depth)
        return self.scalar()

    def configuration(self):
        """Entries of any kind, each then used as a variable, so that its key is a known one."""
        out = ""
        for i in range(self.random.randrange(1, 5)):
            key = f"v{i}"
            out += self.entry(0, key) + self.entry_end()
            self.keys.append(key)
            out += f"port: ${key}" + self.entry_end()
            if self.one_in(8):
                out += self.some("include '../parts/a.conf'", "include ../parts/b.conf") + self.some("\n", ";")
        out += "port: 4222" + self.some("", "\n", " }", ";")
        if self.one_in(8):
            out = "{" + out.rstrip("}") + "\n}"
        for _ in range(self.some(0, 0, 1, 2)):
            at = self.random.randrange(len(out))
            out = out[:at] + self.wrong() + out[at + self.random.randrange(2):]
        return out


# Made-up files that meet a difference by accident: what shows it, in the file or in what is said about it.
# Each is one of the reasons above.
EXCUSES = [
    ("a number ends at ']' too", lambda text, said: re.search(r"\d\]", text)),
    ("a key needs a value", lambda text, said: "expected a value" in said),
    ("what is opened is closed", lambda text, said: "found the end of the file" in said),
    ("a single '/' is no comment", lambda text, said: "found '/'" in said),
    ("a key does not begin with a comma or a bracket", lambda text, said: "expected a key" in said),
    ("a number that does not fit is an error", lambda text, said: "fits in 64 bits" in said),
    ("a number with an unknown unit", lambda text, said: "found the unit" in said),
    ("an include may be a pattern", lambda text, said: re.search(r"include [^\n]*[*?[]", text)),
    ("not of the language: ports that there cannot be", lambda text, said: re.search(r"port: found -?\d+, expected", said)),
    ("a name that differs only in case", lambda text, said: re.search(r"\$[kK]", text)),
]


def made(folder, seed):
    with open(os.path.join(folder, f"{seed}.conf"), "w", newline="") as f:
        f.write(Maker(seed).configuration())
    return f.name


@pytest.fixture
def beside_parts(tmp_path):
    os.symlink(os.path.join(FOLDER, "parts"), tmp_path / "parts")
    (tmp_path / "made").mkdir()
    return str(tmp_path / "made")


def test_made_up_files(beside_parts):
    count = int(os.environ.get("CONFIGS", "1000"))
    first = int(os.environ.get("SEED", random.randrange(1 << 32)))
    print(f"SEED={first} CONFIGS={count}")
    paths = [made(beside_parts, seed) for seed in range(first, first + count)]
    good = bad = excused = 0
    wrong = []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for path, (ours, theirs) in zip(paths, pool.map(lambda p: both(p, beside_parts), paths)):
            if ours[:2] == theirs[:2]:
                good, bad = good + (ours[0] == 0), bad + (ours[0] != 0)
                continue
            with open(path, newline="") as f:
                text = f.read()
            if any(applies(text, ours[2] + theirs[2]) for _, applies in EXCUSES):
                excused += 1
            else:
                wrong.append(f"SEED={path}\n{text!r}\n  ours:   {ours[2]}  theirs: {theirs[2]}")
    print(f"{good} good, {bad} refused by both, {excused} different on purpose")
    assert not wrong, f"{len(wrong)} of {count}, from SEED={first}:\n" + "\n".join(wrong[:5])
    assert good > count / 5 and bad > count / 20 and excused < count / 5
