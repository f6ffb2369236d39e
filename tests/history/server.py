"""tarn as the runner starts, kills and stops it, and the way to it: a forwarder that can hold answers back and cut connections."""
import contextlib
import os
import pathlib
import selectors
import shutil
import signal
import socket
import subprocess
import threading
import time

import yaml

OFF = ["console", "ingest", "registry", "connect", "s3", "postgres"]
START_SECONDS = 30


class Died(Exception):
    """tarn ended by itself, or did not come up."""


class Server:
    """tarn with the Kafka door alone, on 127.0.0.2; clients are told 127.0.0.1, where the forwarder listens on the same port."""

    def __init__(self, program, folder, port):
        self.program, self.folder, self.port, self.process = program, pathlib.Path(folder), port, None
        shutil.rmtree(folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        settings = {role: {"port": "off"} for role in OFF} | {
            "listen": {"host": "127.0.0.2"},
            "kafka": {"port": port, "advertised_host": "127.0.0.1", "auto_create": "false"},
            # Small, so that checkpoints and new segments are among what is killed.
            "log": {"journal_bytes": "1 MiB", "segment_bytes": "1 MiB"},
        }
        (self.folder / "tarn.yaml").write_text(yaml.safe_dump(settings))

    def start(self):
        with open(self.folder / "tarn.log", "ab") as log:
            self.process = subprocess.Popen([self.program, "up", self.folder], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def ready(self):
        """Waits until it listens."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.2", self.port), 1):
                return
            self.alive()
            if time.monotonic() > deadline:
                raise Died(f"tarn did not listen within {START_SECONDS} s\n{self.log_end()}")
            time.sleep(0.003)

    def alive(self):
        status = self.process.poll()
        if status is not None:
            raise Died(f"tarn ended by itself, status {status}\n{self.log_end()}")

    def kill(self):
        self.alive()
        self.process.kill()
        self.process.wait()
        self.process = None

    def pause(self, seconds):
        self.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
            self.process.kill()
            self.process.wait()
            self.process = None

    def log_end(self):
        return "\n".join((self.folder / "tarn.log").read_text(errors="replace").splitlines()[-30:])


class Pair:
    """A client's connection and ours to the server; bytes that the other side does not take yet wait here."""

    def __init__(self, client, server):
        self.client, self.server = client, server
        self.to_client, self.to_server = bytearray(), bytearray()


class Forwarder(threading.Thread):
    """127.0.0.1:port to 127.0.0.2:port, on a thread of its own."""

    WAIT_BYTES = 1 << 20

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.pairs, self.muted, self.ended, self.cuts = port, {}, False, False, 0
        self.holding, self.late, self.delivered = False, [], []
        self.wish, self.done = None, threading.Event()
        self.listener = socket.create_server(("127.0.0.1", port), backlog=256)
        self.listener.setblocking(False)
        self.poll = selectors.DefaultSelector()
        self.poll.register(self.listener, selectors.EVENT_READ)
        self.bell, self.rope = socket.socketpair()
        self.poll.register(self.bell, selectors.EVENT_READ)

    def ask(self, wish):
        self.wish = wish
        self.done.clear()
        self.rope.send(b"!")
        self.done.wait(10)

    def mute(self):
        """From now on answers do not arrive: what the server has done, the clients do not hear."""
        self.muted = True

    def cut(self):
        """Ends every connection, with what was on the way."""
        self.ask(self.cut_all)

    def hold(self):
        """From now on requests do not arrive; deliver() lets them, though their clients are gone and may have asked again elsewhere."""
        self.holding = True

    def leave(self):
        """Ends the clients' side of every connection, and keeps what they had sent."""
        self.ask(self.leave_all)

    def deliver(self):
        self.ask(self.deliver_all)

    def leave_all(self):
        for pair in set(self.pairs.values()):
            if pair.to_server:
                self.late.append((pair.server, bytes(pair.to_server)))
                self.drop(pair, keep=pair.server)
            else:
                self.drop(pair)
        self.holding = False

    def deliver_all(self):
        """What the server answers to these is nobody's; it is closed at the next time."""
        for s in self.delivered:
            s.close()
        self.delivered = []
        for s, data in self.late:
            s.setblocking(True)
            s.settimeout(0.2)
            with contextlib.suppress(OSError):
                s.sendall(data)
            self.delivered.append(s)
        self.late = []

    def end(self):
        self.ended = True
        self.ask(self.cut_all)
        self.join(10)
        self.listener.close()

    def cut_all(self):
        for pair in set(self.pairs.values()):
            self.drop(pair)
        self.cuts += 1
        self.muted = self.holding = False

    def forget(self, s):
        with contextlib.suppress(KeyError, ValueError):
            self.poll.unregister(s)
        self.pairs.pop(s, None)

    def drop(self, pair, keep=None):
        for s in (pair.client, pair.server):
            self.forget(s)
            if s is not keep:
                with contextlib.suppress(OSError):
                    s.close()

    def accept(self):
        client, _ = self.listener.accept()
        try:
            server = socket.create_connection(("127.0.0.2", self.port), 1)
        except OSError:
            client.close()
            return
        pair = Pair(client, server)
        for s in (client, server):
            s.setblocking(False)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.pairs[s] = pair
            self.poll.register(s, selectors.EVENT_READ)

    def move(self, s, events):
        pair = self.pairs.get(s)
        if not pair:
            return
        other, waits, mine = (pair.server, pair.to_server, pair.to_client) if s is pair.client else \
                             (pair.client, pair.to_client, pair.to_server)
        try:
            if events & selectors.EVENT_READ:
                data = s.recv(1 << 17)
                if not data:
                    raise ConnectionError
                if not (self.muted and s is pair.server):
                    waits += data
                    if not (self.holding and s is pair.client):
                        self.push(other, waits)
            if events & selectors.EVENT_WRITE:
                self.push(s, mine)
            self.interest(pair)
        except BlockingIOError:
            pass
        except OSError:
            self.drop(pair)

    @staticmethod
    def push(s, waits):
        with contextlib.suppress(BlockingIOError):
            while waits:
                del waits[:s.send(waits[:1 << 17])]

    def interest(self, pair):
        for s, mine, others in ((pair.client, pair.to_client, pair.to_server), (pair.server, pair.to_server, pair.to_client)):
            wanted = (selectors.EVENT_WRITE if mine and not (self.holding and s is pair.server) else 0) | (selectors.EVENT_READ if len(others) < self.WAIT_BYTES else 0)
            if self.poll.get_key(s).events != wanted and wanted:
                self.poll.modify(s, wanted)

    def run(self):
        while not self.ended:
            for key, events in self.poll.select():
                if key.fileobj is self.listener:
                    with contextlib.suppress(OSError):
                        self.accept()
                elif key.fileobj is self.bell:
                    self.bell.recv(16)
                    if self.wish:
                        self.wish()
                    self.wish = None
                    self.done.set()
                else:
                    self.move(key.fileobj, events)


def free_port():
    """A port that is free on both addresses."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            try:
                two.bind(("127.0.0.2", one.getsockname()[1]))
            except OSError:
                continue
            return one.getsockname()[1]


def log_errors(folder):
    """Lines that the program itself called errors."""
    path = os.path.join(folder, "tarn.log")
    with open(path, encoding="utf-8", errors="replace") as f:
        return [line.strip() for line in f if " error " in line or "assert" in line.lower()]
