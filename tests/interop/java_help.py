"""What the tests of Kafka's own programs share: the jars of a version, from Maven (pom.xml) into build/, and Java on them."""
import contextlib
import json
import subprocess
import threading

import pytest

from conftest import ROOT, STOP_SECONDS

VERSIONS = ["3.9.1", "4.1.1"]
HERE = ROOT / "tests/interop"
TOOLS = "org.apache.kafka.tools."
# These programs live for seconds: the first compiler and the simplest collector start soonest.
JAVA = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"]


class Jars:
    """Kafka's jars of one version."""

    def __init__(self, version):
        self.version = version
        self.is_old = version.startswith("3.")
        self.folder = ROOT / "build" / f"kafka-{version}"
        self.shell = None  # Shell.java

    def bring(self):
        """The stamp is the list that they were brought by: files of an older one would stand beside the new."""
        stamp, wanted = self.folder / "made-from.xml", (HERE / "pom.xml").read_text()
        if stamp.exists() and stamp.read_text() == wanted:
            return
        if self.folder.exists():
            for old in self.folder.iterdir():
                old.unlink()
        subprocess.run(["mvn", "-q", "-B", "-f", HERE / "pom.xml", f"-Dkafka={self.version}", "dependency:copy-dependencies",
                        f"-DoutputDirectory={self.folder}"], check=True, timeout=900)
        stamp.write_text(wanted)

    def command(self, *args):
        return [*JAVA, "-cp", f"{self.folder}/*", *map(str, args)]

    def run(self, *args, text=None, check=True, seconds=120):
        """A program of its own; what it printed.  Unless it must succeed, what it printed about errors is a part of that."""
        done = subprocess.run(self.command(*args), input=text, capture_output=True, text=True, timeout=seconds)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout if check else done.stdout + done.stderr

    def client(self, broker, name, *args, **more):
        return self.run(name, "--bootstrap-server", broker.address("kafka"), *args, **more)

    def answer(self, broker, name, *args):
        """Exit status of a console tool, and what it printed on both its outputs."""
        if not self.shell:
            self.shell = subprocess.Popen(self.command(HERE / "Shell.java"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        words = [name, "--bootstrap-server", broker.address("kafka"), *map(str, args)]
        self.shell.stdin.write("\t".join(words).encode() + b"\n")
        self.shell.stdin.flush()
        told = self.shell.stdout.readline()
        assert told, f"{name} ended the whole shell"
        status, size = map(int, told.split())
        return status, self.shell.stdout.read(size).decode()

    def tool(self, broker, name, *args):
        """What a console tool printed, which must succeed."""
        status, printed = self.answer(broker, name, *args)
        assert status == 0, printed
        return printed

    def tells(self, broker, name, *args):
        """What a console tool printed, whether it counts that as a failure or, as some do, not."""
        return self.answer(broker, name, *args)[1]

    def fails(self, broker, name, *args):
        """What a console tool printed, which must fail."""
        status, printed = self.answer(broker, name, *args)
        assert status != 0, printed
        return printed

    def end(self):
        if self.shell:
            self.shell.stdin.close()
            self.shell.stdout.close()
            self.shell.wait(STOP_SECONDS)


@pytest.fixture(scope="module", params=VERSIONS)
def jars(request):
    one = Jars(request.param)
    one.bring()
    yield one
    one.end()


def events(text):
    """The lines that the verifiable clients print."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


class Member:
    """kafka-verifiable-consumer while it runs; `events` grows."""

    def __init__(self, process):
        self.process, self.events = process, []
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.events += events(line)

    def told(self, name):
        return [e for e in list(self.events) if e["name"] == name]

    def consumed(self):
        return sum(e["count"] for e in self.told("records_consumed"))

    def assigned(self):
        """What it holds, by the events that gave and took it."""
        held = set()
        for e in list(self.events):
            parts = {(p["topic"], p["partition"]) for p in e.get("partitions", []) if "minOffset" not in p}
            held = held | parts if e["name"] == "partitions_assigned" else held - parts if e["name"] == "partitions_revoked" else held
        return held


@contextlib.contextmanager
def member(jars, broker, topic, group, *args):
    """A member of a group; at the end it is asked to leave, and must say that it shut down."""
    process = subprocess.Popen(jars.command(TOOLS + "VerifiableConsumer", "--bootstrap-server", broker.address("kafka"), "--topic", topic,
                                            "--group-id", group, *args), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    one = Member(process)
    try:
        yield one
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
        one.reader.join()
        process.stdout.close()
    assert one.told("shutdown_complete"), one.events[-5:]
