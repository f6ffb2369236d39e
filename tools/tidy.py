#!/usr/bin/python3
"""tidy: the house rules that no compiler checks, in seconds.  One function a rule; each yields (file, line, text).

`tools/tidy.py` checks the tree and `tools/tidy.py FILE...` reports on some files only; exit status 1 means findings.
CONTRIBUTING.md gives the reasons.
"""
import collections
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FUNCTION_LINES, FILE_LINES, ESSAY_LINES = 100, 1000, 3

# Rooms by floor, ground floor first: a room includes only rooms of lower floors, never its neighbours ...
FLOORS = [
    ["base"],
    ["os", "conf", "obs"],
    ["net"],
    ["log", "object", "schema"],
    ["engine", "group", "auth"],
    ["lake"],
    ["connect", "flow", "model", "work"],
    ["connect/postgres", "connect/s3", "connect/lake", "connect/jdbc"],
    ["verify"],
    ["kafka", "registry", "s3", "catalog", "pgwire", "ingest", "console"],
    ["app"],
    ["cli"],
    ["."],
]
FLOOR_OF = {room: n for n, rooms in enumerate(FLOORS) for room in rooms}
# ... except these: the first named may include the second.
NEIGHBOURS = {("conf", "os"), ("obs", "os")}

# Never called: what to use, names.
INSTEAD = {
    "buf_fmt or snprintf": ["strcpy", "strcat", "strncpy", "strncat", "sprintf", "vsprintf"],
    "str_i64": ["atoi", "atol", "strtol", "strtoul", "strtoll", "strtoull"],
    "utc_split": ["gmtime", "localtime", "ctime"],
    "a timer, or a condition waited for": ["usleep", "sleep", "nanosleep"],
    "what os, net and base offer": ["strtok", "mktemp", "rand", "alloca", "system", "popen", "signal"],
}
BANNED = {name: instead for instead, names in INSTEAD.items() for name in names}

# Called in one room only: names, room.
KEPT = {
    "base": ["malloc", "calloc", "realloc", "free", "strdup"],
    "os": ["open", "openat", "creat", "write", "pwrite", "writev", "pwritev", "pread", "preadv", "fsync", "fdatasync", "unlink",
           "rename", "mkdir", "rmdir", "ftruncate", "fallocate", "posix_fallocate", "mmap", "munmap", "fopen", "opendir",
           "stat", "fstat", "clock_gettime", "gettimeofday", "getrandom", "pthread_create", "pthread_mutex_lock"],
    "net": ["socket", "bind", "listen", "accept", "accept4", "recv", "recvmsg", "send", "sendmsg", "setsockopt"],
}
KEEPER = {name: room for room, names in KEPT.items() for name in names}


class File:
    """One file of the repository: its text, and its code with comments and strings blanked out, line for line."""

    def __init__(self, path):
        self.path = path
        self.name = str(path)
        self.text = (ROOT / path).read_text(errors="replace")
        self.room = "/".join(path.parts[1:-1]) or "."
        self.is_c = path.parts[0] == "src" and path.suffix in (".c", ".h")
        self.is_test = path.stem.endswith(("_test", "_fuzz")) or path.stem.startswith("test")

    @property
    def code(self):
        if not hasattr(self, "_code"):
            token = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)
            self._code = token.sub(lambda m: '""' + "\n" * m[0].count("\n"), self.text)
        return self._code

    def lines(self):
        return enumerate(self.code.splitlines(), 1)


def arrows(f):
    """Includes point down only, and a room's private header (x_int.h) stays in its room."""
    if f.room not in FLOOR_OF:
        yield 1, f"{f.room}/ stands on no floor: give it one in tools/tidy.py"
        return
    for no, line in enumerate(f.text.splitlines(), 1):
        m = re.match(r'\s*#include "([\w/]+)/(\w+)\.h"', line)
        if re.match(r"\s*#include [<\"]duckdb", line) and f.room != "engine":
            yield no, "only engine/ includes duckdb.h"
        if not m or m[1] == f.room:
            continue
        if FLOOR_OF.get(m[1], 99) >= FLOOR_OF[f.room] and (f.room, m[1]) not in NEIGHBOURS:
            yield no, f"{f.room}/ may not include {m[1]}/"
        if m[2].endswith("_int"):
            yield no, f"{m[1]}/{m[2]}.h is private to its room"


def file_size(f):
    n = f.text.count("\n")
    if n > FILE_LINES:
        yield 1, f"{n} lines, the limit is {FILE_LINES}: more than one idea"


def calls(f):
    """Banned functions, and functions that belong to one room."""
    for no, line in f.lines():
        for name in re.findall(r"(?<![\w.>])(\w+)\s*\(", line):
            if name in BANNED:
                yield no, f"{name}() is banned: use {BANNED[name]}"
            keeper = "engine" if name.startswith("duckdb_") else KEEPER.get(name, f.room)
            if keeper != f.room and not f.is_test:
                yield no, f"{name}() belongs to {keeper}/"


def asserts(f):
    """An assert has no side effect."""
    for no, line in f.lines():
        m = re.search(r"\bassert\((.*)", line)
        if m and re.search(r"\+\+|--|[^=!<>]=[^=]", m[1]):
            yield no, "this assert changes something"


def built(f):
    """A .c file that no meson.build names is dead."""
    if f.path.suffix == ".c":
        build = ROOT / "meson.build" if f.room == "." else ROOT / f.path.parent / "meson.build"
        if not build.exists() or f"{f.path.name}'" not in build.read_text():
            yield 1, "no meson.build names this file"


def essay(f):
    """A header begins with an essay, then #pragma once.  A room's private one may be short."""
    if f.path.suffix == ".h":
        m = re.match(r"/\*.*?\*/\s*#pragma once", f.text, re.S)
        if not m or m[0].count("\n") < ESSAY_LINES and not f.path.stem.endswith("_int"):
            yield 1, "a header starts with an essay in /* */ and then #pragma once"


def words(f):
    """Nothing left undone, nothing of the machine it was written on."""
    for no, line in enumerate(f.text.splitlines(), 1):
        if re.search(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b", line):
            yield no, "unfinished work: do it, or write an issue"
        if re.search(r"(^|[^\w.])/(home|root|work|Users|farm)/", line):
            yield no, "a path of one machine"
        if re.search(r'"resolved": *"http', line):
            yield no, "a lock file with addresses: npm needs omit-lockfile-registry-resolved"


def functions(files):
    """(file, first line, last line, name, is static) of each function defined in a .c file, by ctags."""
    names = [f.name for f in files if f.is_c and f.path.suffix == ".c"]
    out = subprocess.run(["ctags", "-x", "--_xformat=%{line} %{end} %{name} %{file} %F", "--kinds-C=f", "--fields=+fe", "-L", "-"],
                         input="\n".join(names), capture_output=True, text=True, check=True, cwd=ROOT).stdout
    for line in out.splitlines():
        first, last, name, *scope, path = line.split()
        if last.isdigit():
            yield path, int(first), int(last), name, bool([s for s in scope if s != "-"])


def function_sizes(table):
    for path, first, last, name, _ in table:
        if last - first + 1 > FUNCTION_LINES:
            yield path, first, f"{name}() has {last - first + 1} lines, the limit is {FUNCTION_LINES}"


def lonely(table, files):
    """A function that only its own file uses is static."""
    used = {}
    for f in files:
        if f.path.suffix in (".c", ".def"):
            for name in set(re.findall(r"\w+", f.code)):
                used.setdefault(name, set()).add(f.name)
    for f in files:  # named twice in a header: declared, and used by a macro or an inline function there
        if f.is_c and f.path.suffix == ".h":
            for name, times in collections.Counter(re.findall(r"\w+", f.code)).items():
                if times > 1:
                    used.setdefault(name, set()).add(f.name)
    for path, first, _, name, static in table:
        if not static and name not in ("main", "LLVMFuzzerTestOneInput") and used.get(name, set()) <= {path}:
            yield path, first, f"{name}() is used nowhere else: make it static, or remove it"


def main():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, check=True, cwd=ROOT)
    paths = [pathlib.Path(p) for p in listed.stdout.splitlines() if not p.startswith(("fuzz/corpus/", "third_party/"))]
    files = [File(p) for p in paths if (ROOT / p).is_file()]
    found = []
    for f in files:
        rules = [words] + ([arrows, file_size, calls, asserts, built, essay] if f.is_c else [])
        found += [(f.name, no, text) for rule in rules for no, text in rule(f)]
    table = list(functions(files))
    found += [*function_sizes(table), *lonely(table, files)]
    only = {str(pathlib.Path(a)) for a in sys.argv[1:]}
    found = sorted(row for row in found if not only or row[0] in only)
    for name, no, text in found:
        print(f"{name}:{no}: {text}")
    print(f"tidy: {len(files)} files, {len(table)} functions, {len(found)} findings")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
