"""Histories of many clients under faults (tests/history), checked; and the checker itself, on small histories written by hand.

The long runs are `make torture`; that the checker finds bugs planted in the program is `make plants`.
"""
import json
import subprocess
import sys

import pytest
from conftest import ROOT, TARN

sys.path.insert(0, str(ROOT / "tests/history"))

from checker import Checker, Partition, report  # noqa: E402


def test_twenty_kills():
    done = subprocess.run([ROOT / "tests/history/run", "--kills", "20", "--tarn", TARN], capture_output=True, text=True, timeout=400)
    print(done.stdout, done.stderr)
    assert done.returncode == 0 and "no anomaly" in done.stdout


@pytest.mark.parametrize("plant", sorted(path.name for path in (ROOT / "tests/history/plants").glob("*.patch")))
def test_a_plant_is_of_these_sources(plant):
    """With the lines around it as they are: `make plants` takes long and is run seldom."""
    done = subprocess.run(["patch", "--dry-run", "-p1", "-F0", "-f", "-i", ROOT / "tests/history/plants" / plant], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def judge(tmp_path, lines, every, committed=None):
    """Anomalies in a history of one partition, t-0; lines are (client, line without its time), which is their place."""
    files = {}
    for at, (client, line) in enumerate(lines):
        files.setdefault(client, []).append(json.dumps([line[0], at, *line[1:]]))
    for client, texts in files.items():
        (tmp_path / f"{client}.jsonl").write_text("\n".join(texts) + "\n")
    check = Checker(str(tmp_path), {("t", 0): Partition(every, every if committed is None else committed)})
    found = check.run()
    print(report(found))
    return {what for what, _, _ in found}


def sent(client, n, txn=None):
    return client, ["send", "t", 0, f"{client}-{n}", txn, None]


def acked(client, n, offset):
    return client, ["acked", f"{client}-{n}", offset]


SENT = [sent("p", 0), acked("p", 0, 0), sent("p", 1), acked("p", 1, 1), sent("p", 2), acked("p", 2, 2)]
FINAL = [(0, "p-0"), (1, "p-1"), (2, "p-2")]


def read(*rows, isolation="read_uncommitted", client="r"):
    return [(client, ["session", "t", isolation, None, {"0": 0}])] + [(client, ["read", [[0, o, i]]]) for o, i in rows]


def test_a_good_history_has_none(tmp_path):
    assert judge(tmp_path, SENT + read(*FINAL), FINAL) == set()


@pytest.mark.parametrize("final, found", [
    (FINAL[:2], {"lost"}),
    (FINAL + [(3, "p-1")], {"duplicate", "reordered"}),
    ([(0, "p-0"), (1, "p-2"), (2, "p-1")], {"divergence", "reordered"}),
    (FINAL + [(3, "q-0")], {"unsent"}),
    ([(0, "p-0"), (1, "p-1"), (3, "p-2")], {"divergence"}),
])
def test_writes(tmp_path, final, found):
    assert judge(tmp_path, SENT, final) == found


def test_what_never_left_its_client(tmp_path):
    lines = SENT[:5] + [("p", ["unsent", "p-2", True, "purged"])]
    assert judge(tmp_path, lines, FINAL) == {"unsent"}
    assert judge(tmp_path, SENT[:5] + [("p", ["unsent", "p-2", False, "cut"])], FINAL) == set(), "nobody knows that one"


def test_an_acknowledged_one_stands_before_those_sent_later_by_others(tmp_path):
    lines = [sent("p", 0), acked("p", 0, 1), sent("plain", 0)]
    assert judge(tmp_path, lines, [(0, "plain-0"), (1, "p-0")]) == {"reordered"}


@pytest.mark.parametrize("rows, found", [
    ([FINAL[0], FINAL[2]], {"skipped"}),
    ([FINAL[0], FINAL[1], FINAL[1], FINAL[2]], {"backwards"}),
    ([(0, "p-1")], {"divergence"}),
    (FINAL + [(3, "p-3")], {"unread"}),
])
def test_reads(tmp_path, rows, found):
    assert judge(tmp_path, SENT + [sent("p", 3)] + read(*rows), FINAL) == found


def transaction(end, outcome):
    lines = [("x", ["begin", "x/0"]), sent("x", 0, "x/0"), sent("x", 1, "x/0"), acked("x", 0, 0), acked("x", 1, 1)]
    return lines + ([("x", ["end", "x/0", end]), ("x", ["ended", "x/0", outcome, ""])] if end else [])


BOTH = [(0, "x-0"), (1, "x-1")]


@pytest.mark.parametrize("end, outcome, committed, found", [
    ("commit", "ok", BOTH, set()),
    ("commit", "info", BOTH, set()),
    ("commit", "info", [], set()),
    ("commit", "ok", [], {"lost"}),
    ("commit", "ok", BOTH[:1], {"torn"}),
    ("commit", "info", BOTH[1:], {"torn"}),
    ("abort", "ok", [], set()),
    ("abort", "info", BOTH, {"aborted read"}),
    (None, None, BOTH, {"aborted read"}),
    ("zombie", "fail", [], set()),
    ("zombie", "ok", BOTH, {"zombie", "aborted read"}),
])
def test_transactions(tmp_path, end, outcome, committed, found):
    assert judge(tmp_path, transaction(end, outcome), BOTH, committed) == found


def test_readers_of_what_is_committed(tmp_path):
    reads = read(*BOTH, isolation="read_committed")
    assert judge(tmp_path, transaction("commit", "ok") + reads, BOTH) == set()
    assert judge(tmp_path, transaction("abort", "ok") + reads, BOTH, []) == {"aborted read"}
    early = transaction("commit", "ok")
    assert judge(tmp_path, early[:5] + reads + early[5:], BOTH) == {"dirty read"}


def group(*lines, client="m"):
    return [(client, ["member", "t", "read_uncommitted", "g"]), (client, ["session", "t", "read_uncommitted", "g", {"0": -1}]),
            *[(client, line) for line in lines]]


def committed(n, offset, outcome="ok"):
    return [["commit", n, {"0": offset}], ["committed", n, outcome, ""]]


ROWS = [["read", [[0, o, i] for o, i in FINAL]]]


@pytest.mark.parametrize("lines, found", [
    (ROWS + committed(1, 3) + [["ask", 2], ["told", 2, {"0": 3}]], set()),
    (ROWS + committed(1, 3) + [["ask", 2], ["told", 2, {"0": -1}]], {"position lost"}),
    (ROWS + committed(1, 2) + committed(2, 3) + [["ask", 3], ["told", 3, {"0": 2}]], {"position lost"}),
    (ROWS + committed(1, 2) + committed(2, 3, "info") + [["ask", 3], ["told", 3, {"0": 2}]], set()),
    (ROWS + committed(1, 2) + committed(2, 3, "info") + [["ask", 3], ["told", 3, {"0": 3}]], set()),
    ([["read", [[0, 0, "p-0"]]]] + committed(1, 3), {"skipped"}),
])
def test_positions(tmp_path, lines, found):
    assert judge(tmp_path, SENT + group(*lines), FINAL) == found


def test_a_member_begins_where_the_group_was(tmp_path):
    first = group(*ROWS, *committed(1, 3))
    assert judge(tmp_path, SENT + first + group(["read", [[0, 2, "p-2"]]], client="n"), FINAL) == {"position lost"}
