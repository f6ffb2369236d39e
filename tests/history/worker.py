"""worker KIND NAME PORT SEED FILE: one client of the history, a process of its own over librdkafka.

Kinds: plain, idempotent, transactional (producers of "t"), feeder (idempotent, of "in"), mover (a group that reads "in" and writes
"out" in transactions), reader and committed-reader (assigned, from the start or from where they were), member and
cooperative-member (of groups, with commits).  record.py tells what is written down, and what standard input says.
"""
import contextlib
import random
import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from record import Orders, Record, id_of, value_of

PARTITIONS = {"t": 4, "in": 2, "out": 3}
PATIENCE_SECONDS = 120
IN_FLIGHT = 400


def why(error):
    return f"{error.name()}: {error.str()}"


class Client:
    def __init__(self, name, port, seed, path):
        self.name, self.seed = name, seed
        self.random, self.note, self.orders = random.Random(f"{seed} {name}"), Record(path), Orders()
        self.sent, self.rebalances, self.rows = 0, 0, []
        self.answered = False  # something of the transaction that is open
        self.base = {"bootstrap.servers": f"127.0.0.1:{port}", "reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 100,
                     "topic.metadata.refresh.fast.interval.ms": 50, "socket.timeout.ms": 3000, "log_level": 0,
                     "error_cb": lambda _: None}

    def poll_log(self, message):
        """What an error among the messages says; one that a broker must not give is trouble."""
        error = message.error()
        if error.code() in (KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET, KafkaError._BAD_MSG):
            self.note("trouble", f"{message.topic()}-{message.partition()}: {why(error)}")

    # ---- producing ----

    def producer(self, **config):
        return Producer(self.base | {"linger.ms": self.random.choice([0, 2, 10]), "message.timeout.ms": 300000,
                                     "retry.backoff.ms": 20, "batch.num.messages": self.random.choice([3, 50, 10000]),
                                     "compression.type": self.random.choice(["none", "none", "lz4", "zstd", "gzip", "snappy"]),
                                     **{k.replace("_", "."): v for k, v in config.items()}})

    def send(self, p, topic, txn=None, source=None, partition=None):
        message_id = f"{self.name}-{self.sent}"
        self.sent += 1
        partition = self.random.randrange(PARTITIONS[topic]) if partition is None else partition
        started = time.monotonic()
        p.produce(topic, value_of(message_id), partition=partition, on_delivery=lambda e, m: self.told(message_id, e, m))
        self.note("send", topic, partition, message_id, txn, source, at=started)

    def told(self, message_id, error, message):
        if error is None:
            self.answered = True
            self.note("acked", message_id, message.offset())
        else:
            # A purged queue says nothing sure: a message may wait there for its second try.
            self.note("unsent", message_id, error.code() == KafkaError.MSG_SIZE_TOO_LARGE, why(error))

    def burst(self, p, topic, **more):
        for _ in range(self.random.choice([1, 1, 2, 5, 20])):
            if len(p) < IN_FLIGHT:
                self.send(p, topic, **more)
            p.poll(0)

    @staticmethod
    def pause(p, seconds):
        """Serves what comes in for so long; poll() alone returns with the first answer."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            p.poll(max(0, deadline - time.monotonic()))

    def produce(self, topic, **config):
        p = self.producer(**config)
        while not self.orders.stop:
            try:
                self.burst(p, topic)
                self.pause(p, self.random.choice([0.01, 0.03, 0.1]))
            except KafkaException as e:  # fatal: the broker has forgotten what it took, or more
                self.note("trouble", why(e.args[0]))
                self.give_up(p)
                p = self.producer(**config)
        try:
            if p.flush(PATIENCE_SECONDS):
                self.note("trouble", f"{len(p)} messages were not answered within {PATIENCE_SECONDS} s of the last fault")
        except KafkaException as e:
            self.note("trouble", why(e.args[0]))

    # ---- transactions ----

    def transactional(self):
        """A new instance of this client's transactional id; it ends what the one before left open."""
        most = self.random.choice([3000, 60000])
        p = self.producer(transactional_id=self.name, transaction_timeout_ms=most, message_timeout_ms=most)
        self.until_done(lambda: p.init_transactions(5))
        return p

    def until_done(self, step, expected=None):
        """Runs a step of the transactional API; what may be tried again is.  Gives the error that ends it, or None."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                step()
                return None
            except KafkaException as e:
                error = e.args[0]
                if error.fatal() and error.code() not in (KafkaError._FENCED, expected):
                    self.note("trouble", why(error))
                if not error.retriable() or time.monotonic() > deadline:
                    if error.retriable():
                        self.note("trouble", f"no end of trying within {PATIENCE_SECONDS} s: {why(error)}")
                    return error

    def begin(self, p, txn):
        p.begin_transaction()
        self.note("begin", txn)
        self.answered = False

    def abort(self, p):
        """
        When nothing of the transaction was answered, its AddPartitionsToTxn may have been lost with the broker, and there is nothing to
        abort: Kafka says INVALID_TXN_STATE too, and librdkafka takes that for fatal.
        """
        nothing = None if self.answered else KafkaError.INVALID_TXN_STATE
        return self.until_done(lambda: p.abort_transaction(10), nothing)

    def finish(self, p, txn, commit):
        """Commits or aborts; "ok", or the error that tells what to do next.  The outcome is in the history."""
        with contextlib.suppress(KafkaException):
            p.flush(10)
        self.note("end", txn, "commit" if commit else "abort")
        error = self.until_done(lambda: p.commit_transaction(10)) if commit else self.abort(p)
        self.note("ended", txn, "info" if error else "ok", why(error) if error else "")
        return error

    def give_up(self, p):
        """Drops an instance; what it had not sent yet will never be."""
        p.purge(in_flight=True)
        with contextlib.suppress(KafkaException):  # that it was fenced
            p.poll(0.01)

    def zombie(self, p, txn):
        """A new instance takes over; then the old one may try to commit, which must fail."""
        with contextlib.suppress(KafkaException):
            p.flush(1)
        new = self.transactional()
        if self.random.random() < 0.6:
            self.note("end", txn, "zombie")
            try:
                p.commit_transaction(10)
                self.note("ended", txn, "ok", "")
            except KafkaException as e:
                self.note("ended", txn, "fail", why(e.args[0]))
        self.give_up(p)
        return new

    def transactions(self):
        p, n = self.transactional(), 0
        while not self.orders.stop:
            txn, luck = f"{self.name}/{n}", self.random.random()
            n += 1
            p = self.one_transaction(p, txn, luck)
        self.give_up(p)

    def one_transaction(self, p, txn, luck):
        """Gives the instance to go on with."""
        try:
            self.begin(p, txn)
            for _ in range(self.random.choice([1, 1, 3])):
                self.burst(p, "t", txn=txn)
                p.poll(self.random.choice([0, 0.01]))
        except KafkaException as e:
            if not e.args[0].fatal() and not self.finish(p, txn, False):
                return p
            self.give_up(p)
            return self.transactional()
        if luck > 0.94:
            return self.zombie(p, txn)
        error = self.finish(p, txn, luck > 0.25)
        if error and error.txn_requires_abort():
            error = self.abort(p)
        if error:
            self.give_up(p)
            return self.transactional()
        return p

    # ---- consuming ----

    def consumer(self, group, **config):
        return Consumer(self.base | {"group.id": group, "enable.auto.commit": False, "fetch.wait.max.ms": 100, "fetch.error.backoff.ms": 20,
                                     "session.timeout.ms": 6000, "heartbeat.interval.ms": 300, "coordinator.query.interval.ms": 1000,
                                     "max.poll.interval.ms": 60000, **{k.replace("_", "."): v for k, v in config.items()}})

    def take(self, m, positions):
        """A message, or an error among them."""
        if m.error():
            self.poll_log(m)
            return
        message_id = id_of(m.value())
        if message_id is None:
            self.note("trouble", f"{m.topic()}-{m.partition()}: the bytes at offset {m.offset()} were never sent: {m.value()[:60]!r}")
        self.rows.append([m.partition(), m.offset(), message_id])
        positions[m.partition()] = m.offset() + 1

    def note_rows(self):
        """Writes down what was read up to now; the rows are the reader's no more."""
        rows, self.rows = self.rows, []
        if rows:
            self.note("read", rows)
        return rows

    def read(self, c, positions, count=200, seconds=0.1):
        """Some messages; positions learns where to read next."""
        for m in c.consume(count, seconds):
            self.take(m, positions)
        return self.note_rows()

    def read_as_member(self, c, positions, count=200, seconds=0.1):
        """One by one: a rebalance comes between two calls, so it is known which messages were read before it."""
        deadline, before = time.monotonic() + seconds, self.rebalances
        while len(self.rows) < count:
            m = c.poll(max(0, deadline - time.monotonic()))
            if m is None or self.rebalances != before:
                if m is not None:
                    self.take(m, positions)
                break
            self.take(m, positions)
        return self.note_rows()

    def reached(self, positions):
        return self.orders.until is not None and all(positions.get(p, 0) >= end for p, end in self.orders.until.items())

    def assigned(self, topic, isolation):
        positions, deadline = {}, None
        while not self.reached(positions):
            c = self.consumer(self.name, isolation_level=isolation, auto_offset_reset="error")
            start = {p: 0 if self.random.random() < 0.3 else positions.get(p, 0) for p in range(PARTITIONS[topic])}
            c.assign([TopicPartition(topic, p, at) for p, at in start.items()])
            self.note("session", topic, isolation, None, start)
            positions, ends = dict(start), time.monotonic() + self.random.uniform(1, 12)
            while not self.reached(positions) and (self.orders.until is not None or time.monotonic() < ends):
                self.read(c, positions)
                if self.orders.until is not None:
                    deadline = deadline or time.monotonic() + PATIENCE_SECONDS
                    if time.monotonic() > deadline:
                        self.note("trouble", f"{topic} is not read to {self.orders.until} within {PATIENCE_SECONDS} s: at {positions}")
                        return
            c.close()

    def join(self, group, topic, isolation, **config):
        """A new member; positions are emptied of what is taken away."""
        positions = {}
        self.note("member", topic, isolation, group)

        def given(c, parts):
            self.rebalances += 1
            self.note_rows()
            self.note("session", topic, isolation, group, {p.partition: -1 for p in parts})
            for p in parts:
                positions.pop(p.partition, None)

        def taken(c, parts):
            self.rebalances += 1
            self.note_rows()
            for p in parts:
                positions.pop(p.partition, None)

        c = self.consumer(group, isolation_level=isolation, auto_offset_reset="earliest", **config)
        c.subscribe([topic], on_assign=given, on_revoke=taken, on_lost=taken)
        return c, positions

    def commit(self, c, n, topic, positions):
        self.note("commit", n, dict(positions))
        try:
            answers = c.commit(offsets=[TopicPartition(topic, p, at) for p, at in positions.items()], asynchronous=False)
            errors = [a.error for a in answers if a.error]
            self.note("committed", n, "info" if errors else "ok", why(errors[0]) if errors else "")
        except KafkaException as e:
            self.note("committed", n, "info", why(e.args[0]))

    def ask(self, c, n, topic):
        self.note("ask", n)
        try:
            answers = c.committed([TopicPartition(topic, p) for p in range(PARTITIONS[topic])], 5)
            self.note("told", n, {a.partition: max(a.offset, -1) for a in answers if a.error is None})
        except KafkaException:
            pass  # not told: nothing to hold against anybody

    def member(self, group, isolation, stays=False, **config):
        n = 0
        while not self.orders.stop:
            c, positions = self.join(group, "t", isolation, **config)
            ends = time.monotonic() + (1e9 if stays else self.random.uniform(2, 15))
            while not self.orders.stop and (time.monotonic() < ends or self.orders.until is not None):
                self.read_as_member(c, positions, 200 if self.orders.until is None else 5000)
                n += 1
                if positions and (self.random.random() < 0.3 or self.orders.until is not None):
                    self.commit(c, n, "t", positions)
                if self.random.random() < 0.1:
                    self.ask(c, n, "t")
            self.note.flush()
            c.close()

    # ---- consume, transform, produce ----

    def mover(self):
        n = 0
        while not self.orders.stop:
            p, (c, positions) = self.transactional(), self.join("movers", "in", "read_committed")
            ends = time.monotonic() + self.random.uniform(4, 20)
            while not self.orders.stop and (time.monotonic() < ends or self.orders.until is not None):
                n += 1
                if not self.move(p, c, positions, f"{self.name}/{n}"):
                    break
            self.give_up(p)
            c.close()

    def move(self, p, c, positions, txn):
        """One transaction; false: begin anew with other instances, from the group's positions."""
        hurry = self.orders.until is not None
        rows = self.read_as_member(c, positions, 1000 if hurry else 30)
        if not rows:
            with contextlib.suppress(KafkaException):
                p.poll(0)
            return True
        luck = 0.5 if hurry else self.random.random()
        try:
            self.begin(p, txn)
            for _, _, message_id in rows:
                self.send(p, "out", txn, message_id)
                p.poll(0)
            at = {}
            for partition, offset, _ in rows:
                at[partition] = offset + 1
            error = self.until_done(lambda: p.send_offsets_to_transaction(
                [TopicPartition("in", k, v) for k, v in at.items()], c.consumer_group_metadata(), 10))
            self.answered = self.answered or not error
        except KafkaException as e:
            error = e.args[0]
        if error or luck < 0.1:
            if not error or error.txn_requires_abort():
                self.finish(p, txn, False)
            return False
        return luck < 0.95 and not self.finish(p, txn, True)


def main():
    kind, name, port, seed, path = sys.argv[1:]
    client = Client(name, int(port), seed, path)
    {
        # Without tries of its own: a plain producer's second try is a second message, as Kafka has it.
        "plain": lambda: client.produce("t", acks="all", retries=0),
        "idempotent": lambda: client.produce("t", enable_idempotence=True),
        "feeder": lambda: client.produce("in", enable_idempotence=True),
        "transactional": client.transactions,
        "mover": client.mover,
        "reader": lambda: client.assigned("t", "read_uncommitted"),
        "committed-reader": lambda: client.assigned("t", "read_committed"),
        "member": lambda: client.member("eager", "read_uncommitted"),
        # librdkafka 2.0.2 may fail an assertion of its sticky assignor when such a consumer is closed: it stays to the end.
        "cooperative-member": lambda: client.member("cooperative", "read_committed", stays=True,
                                                    partition_assignment_strategy="cooperative-sticky"),
    }[kind]()
    client.note.close()


if __name__ == "__main__":
    main()
