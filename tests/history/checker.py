"""What a history must never show.  The anomalies are those of Jepsen's Kafka workload (its tests/kafka.clj), less the cycles between
transactions, and what a group's positions promise.

    lost            an acknowledged message is not there, or not where the broker said
    unread          a message that somebody has read is not there any more
    divergence      one offset, two messages
    duplicate       one message at two offsets (no client here sends a second message for one it has no answer to)
    unsent          a message that never left its client is there, or one that nobody sent
    reordered       messages of one producer stand in another order than it sent them; or a message that was acknowledged before another
                    was sent stands behind it
    aborted read    a reader of what is committed got what is not
    dirty read      it got it before anybody asked for the commit
    torn            of one transaction some is there and some is not
    zombie          an instance that was fenced has committed
    skipped         a reader was not given what stands between two that it got; or a group's position passed what no member read
    backwards       a reader got an offset again, or an earlier one
    position lost   a group was told, or began at, a position before one that was acknowledged
    moved twice     consume, transform, produce: a message in, two out; or none (moved never)
    trouble         what clients noted themselves: an offset out of range, a sequence out of order, bytes nobody sent, no progress after the
                    last fault

A message whose outcome nobody knows may be there or not.  Offsets may have gaps (markers), so order and sets are compared, not numbers.
"""
import bisect
import collections
import glob
import os

from record import load, number_of

SHOWN = 20


class Send:
    """A message: what its producer knows of it."""
    __slots__ = ("id", "client", "topic", "partition", "txn", "source", "sent_at", "acked_at", "offset", "never")

    def __init__(self, line, client):
        _, self.sent_at, self.topic, self.partition, self.id, self.txn, self.source = line
        self.client, self.acked_at, self.offset, self.never = client, None, None, False


class Txn:
    __slots__ = ("id", "asked", "asked_at", "outcome", "ids")

    def __init__(self, name):
        self.id, self.asked, self.asked_at, self.outcome, self.ids = name, None, None, None, []

    def may_be_seen(self):
        return self.asked == "commit"


class Partition:
    """The final read of one partition: what stands there, and what of it is committed."""

    def __init__(self, every, committed):
        self.every, self.committed = every, committed  # [(offset, id)]
        self.at = dict(every)
        self.offsets = {"read_uncommitted": [o for o, _ in every], "read_committed": [o for o, _ in committed]}
        self.visible = {i for _, i in committed}

    def between(self, isolation, first, end):
        """Offsets in [first, end) that a reader must be given."""
        offsets = self.offsets[isolation]
        return offsets[bisect.bisect_left(offsets, first):bisect.bisect_left(offsets, end)]


class Checker:
    """folder has the clients' histories; final is {(topic, partition): Partition}."""

    def __init__(self, folder, final):
        self.final, self.sends, self.txns, self.found, self.counts = final, {}, {}, [], collections.Counter()
        self.stories = {os.path.basename(p)[:-6]: load(p) for p in sorted(glob.glob(os.path.join(folder, "*.jsonl")))}
        for client, lines in self.stories.items():
            for line in lines:
                self.learn(client, line)

    def say(self, what, text, *operations):
        self.found.append((what, text, [o for o in operations if o is not None]))

    def learn(self, client, line):
        kind = line[0]
        self.counts[kind] += len(line[2]) if kind == "read" else 1
        if kind == "send":
            s = self.sends[line[4]] = Send(line, client)
            if s.txn:
                self.txn(s.txn).ids.append(s.id)
        elif kind == "acked":
            self.sends[line[2]].acked_at, self.sends[line[2]].offset = line[1], line[3]
        elif kind == "unsent":
            self.sends[line[2]].never = line[3]
        elif kind == "begin":
            self.txn(line[2])
        elif kind == "end" and self.txn(line[2]).asked != "commit":  # an abort after a commit of unknown outcome changes nothing
            self.txn(line[2]).asked, self.txn(line[2]).asked_at = line[3], line[1]
        elif kind == "ended" and self.txn(line[2]).outcome is None:
            self.txn(line[2]).outcome = line[3]
        elif kind == "trouble":
            self.say("trouble", f"{client}: {line[2]}")

    def txn(self, name):
        return self.txns.setdefault(name, Txn(name))

    def lines_of(self, message_id):
        """The operations of a message, for the report."""
        s = self.sends.get(message_id)
        if s is None:
            return f"{message_id}: nobody sent it"
        t = self.txns.get(s.txn)
        return (f"{s.id} to {s.topic}-{s.partition}: sent at {s.sent_at:.6f}, " +
                (f"acknowledged at {s.acked_at:.6f} as offset {s.offset}" if s.acked_at else "not acknowledged") +
                (f"; transaction {t.id}: {t.asked} asked at {t.asked_at}, {t.outcome}" if t else ""))

    def run(self):
        for (topic, partition), p in self.final.items():
            self.check_log(f"{topic}-{partition}", p)
        self.check_sends()
        self.check_transactions()
        for client, lines in self.stories.items():
            self.check_reads(client, lines)
        self.check_positions()
        self.check_movers()
        return self.found

    # ---- what stands in the end ----

    def check_log(self, name, p):
        for isolation, rows in (("read_uncommitted", p.every), ("read_committed", p.committed)):
            for (a, _), (b, i) in zip(rows, rows[1:]):
                if b <= a:
                    self.say("backwards", f"{name}: the final read, {isolation}, gives offset {b} after {a}", self.lines_of(i))
        last, behind = {}, None
        for offset, i in p.every:
            s = self.sends.get(i)
            if s is None or f"{s.topic}-{s.partition}" != name:
                self.say("unsent", f"{name}: offset {offset} holds {i}, which nobody sent there", self.lines_of(i))
                continue
            if s.never:
                self.say("unsent", f"{name}: offset {offset} holds what never left its client", self.lines_of(i))
            if s.acked_at is None and not self.in_order_always(s):
                continue
            before = last.get(s.client)
            if before and number_of(before) > number_of(i):
                self.say("reordered", f"{name}: offset {offset} is of an earlier message than {p_offset(p, before)}",
                         self.lines_of(i), self.lines_of(before))
            last[s.client] = i
        for offset, i in reversed(p.every):
            s = self.sends.get(i)
            if s is None:
                continue
            if behind and s.sent_at > behind.acked_at:
                self.say("reordered", f"{name}: offset {offset} was sent after a later one was acknowledged",
                         self.lines_of(i), self.lines_of(behind.id))
            if s.acked_at and (behind is None or s.acked_at < behind.acked_at):
                behind = s

    @staticmethod
    def in_order_always(s):
        """A plain producer's message without an answer may arrive late, from a connection that was given up."""
        return not s.client.startswith("plain")

    def check_sends(self):
        places = collections.defaultdict(list)
        for (topic, partition), p in self.final.items():
            for offset, i in p.every:
                places[i].append((topic, partition, offset))
        for i, where in places.items():
            if len(where) > 1:
                self.say("duplicate", f"one message at {where}", self.lines_of(i))
        for s in self.sends.values():
            if s.acked_at is None or (s.topic, s.partition, s.offset) in places[s.id]:
                continue
            there = self.final[s.topic, s.partition].at.get(s.offset)
            if there and there != s.id:
                self.say("divergence", f"acknowledged as offset {s.offset}, where another is", self.lines_of(s.id), self.lines_of(there))
            if not places[s.id]:
                self.say("lost", "acknowledged, and not there", self.lines_of(s.id))
            elif not there:
                self.say("divergence", f"acknowledged as offset {s.offset}, but it is at {places[s.id]}", self.lines_of(s.id))

    def check_transactions(self):
        for t in self.txns.values():
            seen = [i for i in t.ids if i in self.final[self.sends[i].topic, self.sends[i].partition].visible]
            if t.asked == "zombie" and t.outcome == "ok":
                self.say("zombie", f"{t.id}: committed by an instance that another had taken over from")
            if seen and not t.may_be_seen():
                self.say("aborted read", f"{t.id}: {len(seen)} of {len(t.ids)} are there for readers of what is committed", self.lines_of(seen[0]))
            elif seen and len(seen) < len(t.ids):
                gone = next(i for i in t.ids if i not in set(seen))
                self.say("torn", f"{t.id}: {len(seen)} of {len(t.ids)} are there", self.lines_of(seen[0]), self.lines_of(gone))
            elif t.may_be_seen() and t.outcome == "ok" and len(seen) < len(t.ids):
                self.say("lost", f"{t.id}: committed, and {len(seen)} of {len(t.ids)} are there", self.lines_of(t.ids[0]))

    # ---- what readers got ----

    def check_reads(self, client, lines):
        topic = isolation = group = None
        following = {}  # partition: offset after the last one read
        for line in lines:
            if line[0] == "session":
                _, _, topic, isolation, group, start = line
                if group is None:
                    following = {}
                for p, at in start.items():
                    following[int(p)] = at
            elif line[0] == "read":
                for p, offset, i in line[2]:
                    self.check_row(client, topic, isolation, line, (p, offset, i))
                    self.check_next(f"{client}, {topic}-{p}, {isolation}", self.final[topic, p], isolation, following.get(p, -1), offset)
                    following[p] = offset + 1

    def check_next(self, name, partition, isolation, due, offset):
        if due < 0:
            return
        if offset < due:
            self.say("backwards", f"{name}: offset {offset} after {due - 1}", self.lines_of(partition.at.get(offset)))
        for missed in partition.between(isolation, due, offset)[:1]:
            self.say("skipped", f"{name}: from {due - 1} to {offset}, without {missed}", self.lines_of(partition.at.get(missed)))

    def check_row(self, client, topic, isolation, line, row):
        p, offset, i = row
        there = self.final[topic, p].at.get(offset)
        if there is None:
            self.say("unread", f"{client} read offset {offset} of {topic}-{p} at {line[1]}; it is not there", self.lines_of(i))
        elif there != i:
            self.say("divergence", f"{client} read offset {offset} of {topic}-{p} at {line[1]}; it is another now", self.lines_of(i), self.lines_of(there))
        s = self.sends.get(i)
        if isolation != "read_committed" or s is None or s.txn is None:
            return
        t = self.txns[s.txn]
        if not t.may_be_seen() or (t.outcome == "fail"):
            self.say("aborted read", f"{client} read offset {offset} of {topic}-{p} at {line[1]}", self.lines_of(i))
        elif line[1] < t.asked_at:
            self.say("dirty read", f"{client} read offset {offset} of {topic}-{p} at {line[1]}", self.lines_of(i))
        elif i not in self.final[topic, p].visible:
            self.say("aborted read", f"{client} read offset {offset} of {topic}-{p} at {line[1]}; it is not committed", self.lines_of(i))

    # ---- positions of groups ----

    def check_positions(self):
        commits, read = collections.defaultdict(list), collections.defaultdict(set)
        meta = {}
        for client, lines in self.stories.items():
            group, asked = None, {}
            for line in lines:
                if line[0] == "member":
                    _, _, topic, isolation, group = line
                    meta[group] = (topic, isolation)
                elif group and line[0] == "read":
                    for p, offset, _ in line[2]:
                        read[group, p].add(offset)
                elif line[0] == "commit":
                    asked[line[2]] = line
                elif line[0] == "committed":
                    began = asked[line[2]]
                    for p, at in began[3].items():
                        commits[group, int(p)].append((began[1], line[1] if line[3] == "ok" else float("inf"), at, client))
        for client, lines in self.stories.items():
            self.check_told(client, lines, commits)
        for (group, p), list_of in commits.items():
            topic, isolation = meta[group]
            reached = max((at for _, done, at, _ in list_of if done != float("inf")), default=0)
            missed = [o for o in self.final[topic, p].between(isolation, 0, reached) if o not in read[group, p]]
            if missed:
                self.say("skipped", f"group {group}, {topic}-{p}: the position is {reached}, and no member read {missed[:5]} ({len(missed)} in all)",
                         self.lines_of(self.final[topic, p].at[missed[0]]))

    def check_told(self, client, lines, commits):
        """Each answer must be one that a register may give; and a member begins where the group was, or before a commit it overtook."""
        group, began, fresh = None, {}, {}
        for line in lines:
            if line[0] == "member":
                group, fresh = line[4], {}
            elif line[0] == "session" and group:
                for p in line[5]:
                    fresh[int(p)] = line[1]
            elif line[0] == "ask":
                began[line[2]] = line[1]
            elif line[0] == "told":
                for p, at in line[3].items():
                    self.check_register(client, group, int(p), at, (began[line[2]], line[1]), commits[group, int(p)])
            elif line[0] == "read" and group:
                for p, offset, _ in line[2]:
                    if p in fresh:
                        self.check_start(client, group, p, offset, fresh.pop(p), commits[group, p])

    def check_start(self, client, group, p, offset, since, commits):
        for _, done, at, who in commits:
            if done < since and at > offset:
                self.say("position lost", f"{client}, group {group}, partition {p}: given at {since:.6f}, began at offset {offset}; "
                         f"{at} was acknowledged to {who} at {done:.6f}")
                return

    def check_register(self, client, group, p, value, when, commits):
        before = [c for c in commits if c[1] < when[0]]
        same = [c for c in commits if c[2] == value and c[0] < when[1]]
        later = max((c[0] for c in before), default=None)  # the acknowledged one that was begun last
        if later is None and (value == -1 or same):
            return
        if not same or (later is not None and all(c[1] < later for c in same)):
            over = max(before, default=None)
            self.say("position lost", f"{client}, group {group}, partition {p}: told {value} at {when[1]:.6f}; " +
                     (f"{over[2]} was committed by {over[3]} from {over[0]:.6f} to {over[1]:.6f}" if over else "nobody committed that"))

    # ---- consume, transform, produce ----

    def check_movers(self):
        made, asked = collections.defaultdict(list), [key for key in self.final if key[0] == "out"]
        for key in asked:
            for offset, i in self.final[key].committed:
                made[self.sends[i].source].append((key, offset, i))
        for source, results in made.items():
            if len(results) > 1:
                self.say("moved twice", f"{source} is {results}", self.lines_of(source), *[self.lines_of(i) for _, _, i in results])
        if asked:
            for key, p in self.final.items():
                for offset, i in p.committed if key[0] == "in" else []:
                    if i not in made:
                        self.say("moved never", f"offset {offset} of {key[0]}-{key[1]} has nothing in out", self.lines_of(i))


def p_offset(p, message_id):
    return next((o for o, i in p.every if i == message_id), None)


def report(found):
    """Text of the anomalies: each kind with its first ones, and their operations."""
    lines, kinds = [], collections.Counter(what for what, _, _ in found)
    shown = collections.Counter()
    for what, text, operations in found:
        shown[what] += 1
        if shown[what] <= SHOWN // 4:
            lines += [f"{what}: {text}"] + [f"    {o}" for o in operations]
    return "\n".join(lines + ["anomalies: " + ", ".join(f"{n} {what}" for what, n in kinds.most_common())])
