"""A PostgreSQL of one's own and the capture rig beside it, for capture benches and tests.

    with Postgres() as pg, Rig() as rig:
        pg.sql("CREATE TABLE t (id int primary key)")
        rig.put("src", pg.connector())
        rig.wait_end("shop.public.t", 1)

PostgreSQL is Debian's 15, in a temporary folder, on a unix socket and a free port of loopback; as an unprivileged user when
we are root, which it would refuse.  Everything ends with the `with`.
"""
import contextlib
import json
import os
import pathlib
import pwd
import random
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

import psycopg2

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("TARN_BUILD", ROOT / "build/dev"))
PG_BIN = pathlib.Path("/usr/lib/postgresql/15/bin")


PORTS = random.sample(range(12000, 30000), 18000)


def free_port():
    """Another one each time, and below those that the kernel gives to clients: one of them could get it before the server starts."""
    while True:
        port = PORTS.pop()
        with contextlib.suppress(OSError), socket.socket() as s:
            s.bind(("127.0.0.1", port))
            return port


def wait_for(condition, what, seconds=30):
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s for {what}")
        pause.wait(0.005)


class Postgres:
    def __init__(self, **settings):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="tarn-pg-"))
        self.port = free_port()
        self.settings = {"wal_level": "logical", "max_wal_senders": 8, "max_replication_slots": 8, "fsync": "off",
                         "listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": self.dir,
                         "wal_writer_delay": "10ms", **settings}
        self.process = None

    def __enter__(self):
        self.user = "nobody" if os.geteuid() == 0 else None
        if self.user:
            os.chown(self.dir, pwd.getpwnam(self.user).pw_uid, -1)
        self.run("initdb", "-D", self.dir / "data", "-U", "postgres", "--auth=trust", "-E", "UTF8", "--no-sync")
        self.start()
        return self

    def __exit__(self, *_):
        self.stop("immediate")
        shutil.rmtree(self.dir, ignore_errors=True)

    def popen(self, args, **more):
        return subprocess.Popen([str(a) for a in args], user=self.user, cwd=self.dir, **more)

    def run(self, program, *args):
        done = subprocess.run([str(PG_BIN / program), *map(str, args)], user=self.user, cwd=self.dir, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self):
        options = [o for k, v in self.settings.items() for o in ("-c", f"{k}={v}")]
        self.log = open(self.dir / "log", "ab")
        self.process = self.popen([PG_BIN / "postgres", "-D", self.dir / "data", *options], stdout=self.log, stderr=self.log)
        wait_for(self.ready, "PostgreSQL")

    def ready(self):
        try:
            self.connect().close()
            return True
        except psycopg2.OperationalError:
            return False

    def stop(self, mode="fast"):
        if self.process:
            self.process.send_signal({"fast": 2, "immediate": 3, "kill": 9}[mode])
            self.process.wait(30)
            self.process = None
            self.log.close()

    def connect(self, dbname="postgres"):
        c = psycopg2.connect(host="127.0.0.1", port=self.port, user="postgres", dbname=dbname)
        c.autocommit = True
        return c

    def sql(self, text, *args):
        c = self.connect()
        try:
            with c.cursor() as cur:
                cur.execute(text, args or None)
                return cur.fetchall() if cur.description else None
        finally:
            c.close()

    def connector(self, **more):
        """A configuration for this server; underscores in names of arguments stand for dots."""
        config = {"connector.class": "io.debezium.connector.postgresql.PostgresConnector", "database.hostname": "127.0.0.1",
                  "database.port": str(self.port), "database.user": "postgres", "database.dbname": "postgres",
                  "topic.prefix": "shop", "slot.name": "tarn", "publication.name": "tarn_pub", "tombstones.on.delete": "true"}
        config.update({k.replace("_", "."): v for k, v in more.items()})
        return config


class Rig:
    def __init__(self, folder=None):
        self.dir = pathlib.Path(folder or tempfile.mkdtemp(prefix="tarn-rig-"))
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        try:
            self.stop()
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)

    def start(self):
        self.errors = open(self.dir / "err", "ab")
        wrap = os.environ.get("RIG_WRAP", "").split()
        self.process = subprocess.Popen([*wrap, BUILD / "bench_capture_rig", self.dir / "log"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.errors, text=True)
        line = self.process.stdout.readline()
        assert line, self.error_text()
        self.port = json.loads(line)["connect"]

    def error_text(self):
        return (self.dir / "err").read_text()

    def stop(self):
        if self.process:
            try:
                self.process.stdin.close()
                assert self.process.wait(30) == 0, self.error_text()
            finally:
                self.kill()

    def kill(self):
        self.process.kill()
        self.process.wait(30)
        self.process = None
        self.errors.close()

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def rest(self, method, path, body=None):
        """(status, parsed body)"""
        data = json.dumps(body).encode() if body is not None else None
        q = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=data, method=method,
                                   headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(q, timeout=60) as r:
                status, text, kind = r.status, r.read(), r.headers.get("Content-Type", "")
        except urllib.error.HTTPError as e:
            status, text, kind = e.code, e.read(), e.headers.get("Content-Type", "")
        return status, json.loads(text) if "json" in kind else text or None

    def put(self, name, config):
        status, body = self.rest("PUT", f"/connectors/{name}/config", config)
        assert status in (200, 201), body
        return body

    def state(self, name):
        """(state, trace) of task 0"""
        _, body = self.rest("GET", f"/connectors/{name}/status")
        task = body["tasks"][0]
        return task["state"], task.get("trace", "")

    def wait_failed(self, name):
        return wait_for(lambda: self.state(name)[1] if self.state(name)[0] == "FAILED" else None, f"{name} to fail")

    def offset(self, name):
        _, body = self.rest("GET", f"/connectors/{name}/offsets")
        return body["offsets"][0]["offset"] if body["offsets"] else {}

    def end(self, topic):
        return int(self.ask(f"end {topic}"))

    def wait_end(self, topic, offset, seconds=30):
        try:
            return wait_for(lambda: self.end(topic) >= offset, f"{topic} to have {offset} records", seconds)
        except TimeoutError:
            raise TimeoutError(f"{topic} has {self.end(topic)} records, not {offset}; {self.error_text()[-2000:]}")

    def dump(self, topic):
        self.process.stdin.write(f"dump {topic}\n")
        self.process.stdin.flush()
        out = []
        while (line := self.process.stdout.readline()).strip():
            out.append(json.loads(line))
        return out

    def schema(self, subject):
        return self.ask(f"schema {subject}")
