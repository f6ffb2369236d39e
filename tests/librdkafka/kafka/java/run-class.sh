#!/usr/bin/python3
"""TransactionProducerCli BROKER COMMAND...: what test 0098 asks of its Java producer, with confluent-kafka (librdkafka 2.0.2).

A command is `topic,NAME`, `testid,ID`, `sleep,MS`, `exit,STATUS`, or
`producerX,PARTITION,FIRST_ID,COUNT,(None|Begin|Continue)(Abort|Commit|Open),(DoFlush|DontFlush)`.
"""
import os
import sys
import threading

from confluent_kafka import Producer


class Cli:
    def __init__(self, broker):
        self.broker, self.topic, self.id = broker, "", ""
        self.producers, self.open = {}, set()

    def producer(self, name, transactional):
        if name not in self.producers:
            settings = {"bootstrap.servers": self.broker, "client.id": name, "enable.idempotence": True, "linger.ms": 5}
            if transactional:
                settings["transactional.id"] = f"test-transactional-id-{self.id}-{name}"
            self.producers[name] = Producer(settings)
            if transactional:
                self.producers[name].init_transactions(20)
        return self.producers[name]

    def send(self, name, partition, first, count, kind, flush):
        p = self.producer(name, kind != "None")
        if kind.startswith("Begin"):
            p.begin_transaction()
            self.open.add(name)
        for n in range(int(first, 0), int(first, 0) + int(count)):
            p.produce(self.topic, b"\x10\x20\x30\x40", bytes([n & 255]), int(partition))
        if flush == "DoFlush":
            p.flush(30)
        if kind.endswith("Abort"):
            p.abort_transaction(30)
        elif kind.endswith("Commit"):
            p.commit_transaction(30)
        if not kind.endswith("Open"):
            self.open.discard(name)

    def close(self):
        """As Java's close(): what is sent is waited for, what is open is aborted."""
        for name, p in self.producers.items():
            p.abort_transaction(30) if name in self.open else p.flush(30)


def main():
    cli = Cli(sys.argv[2])
    for command in sys.argv[3:]:
        verb, *words = [word.strip() for word in command.split(",")]
        if verb in ("topic", "testid"):
            setattr(cli, {"testid": "id"}.get(verb, verb), words[0])
        elif verb == "sleep":
            threading.Event().wait(int(words[0]) / 1000)
        elif verb == "exit":
            os._exit(int(words[0]))
        elif verb.startswith("producer"):
            cli.send(verb, *words)
        else:
            sys.exit(f"unknown command {command}")
    cli.close()


if __name__ == "__main__":
    main()
