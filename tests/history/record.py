"""The history: what each client asked for and what it was told, one JSON array a line, a file for each client.

    ["send", t, topic, partition, id, txn, source]  a message is handed to the client; txn None: outside one; source: what a mover made it of
    ["acked", t, id, offset]                the broker has it
    ["unsent", t, id, sure, why]            it was not acknowledged; sure: it never left the client
    ["begin", t, txn]
    ["end", t, txn, "commit" | "abort"]     asked for; a transaction without this line was left behind
    ["ended", t, txn, "ok" | "fail" | "info", why]   info: nobody knows
    ["session", t, topic, isolation, group, {partition: start}]   reading begins anew; start -1: at the group's position
    ["member", t, topic, isolation, group]  the client joins a group, as a new member
    ["read", t, [[partition, offset, id], ...]]      what was read, and when it had been
    ["commit", t, n, {partition: offset}]   a group's positions; n counts the client's commits
    ["committed", t, n, "ok" | "fail" | "info", why]
    ["ask", t, n]  ["told", t, n, {partition: offset}]   what the broker says is committed; -1: nothing
    ["trouble", t, why]                     what a client must never be told

t is seconds of the machine's monotonic clock, the same for all.  A message's value begins with its id, which is CLIENT-NUMBER; the
rest follows from the id, so a reader sees whether the bytes are those that were sent.
"""
import json
import sys
import threading
import time
import zlib


def value_of(message_id):
    """Mostly small, one in 40 of some kB, one in 400 of some hundred, which takes another way through the log."""
    n = zlib.crc32(message_id.encode())
    size = 400_000 + n % 400_000 if n % 400 == 7 else n % 20_000 if n % 40 == 3 else n % 200
    text = message_id.encode() + b" "
    return text + (text * (size // len(text) + 1))[:size]


def id_of(value):
    """None: these bytes were never sent."""
    message_id = value.split(b" ", 1)[0].decode(errors="replace")
    return message_id if value_of(message_id) == value else None


def number_of(message_id):
    return int(message_id.rpartition("-")[2])


class Record:
    """Appends to one file."""

    def __init__(self, path):
        self.file = open(path, "w", encoding="utf-8", buffering=1 << 16)

    def __call__(self, what, *rest, at=None):
        self.file.write(json.dumps([what, round(at or time.monotonic(), 6), *rest], separators=(",", ":")) + "\n")

    def flush(self):
        self.file.flush()

    def close(self):
        self.file.close()


def load(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


class Orders:
    """What the runner says on standard input: "until JSON" and "stop", as attributes that change."""

    def __init__(self):
        self.stop, self.until = False, None
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in sys.stdin:
            word, _, rest = line.strip().partition(" ")
            if word == "until":
                self.until = {int(k): v for k, v in json.loads(rest).items()}
            elif word == "stop":
                break
        self.stop = True
