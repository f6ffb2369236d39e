"""tarn with the Kafka door alone, for the broker benches.

    with Broker(partitions=12) as broker:
        load("produce", broker.address, "t", 1000, 1024)

Its data lies in the build folder, so on the disk that is measured.
"""
import os
import pathlib
import shutil
import subprocess
import tempfile

from rig import BUILD, ROOT, free_port, wait_for  # noqa: F401

TARN = BUILD / "tarn"


def load(*args, program="bench_kafka_load"):
    """The figures that a load program prints."""
    done = subprocess.run([BUILD / program, *map(str, args)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return [float(x) for x in done.stdout.split()]


def made(broker, topic):
    """The topic, made by asking for it."""
    load("produce", broker.address, topic, 1, 10)
    return topic


def acked(address, topic, partitions=12, rate=10_000, seconds=4, size=1024):
    """The median and the p99 of milliseconds that acknowledgements take, and how late the client was."""
    return load(address, topic, partitions, rate, seconds, size, program="bench_kafka_ack")


def acked_beside_disk(address, topic, partitions=12, rate=10_000, seconds=4, size=1024):
    """The same with the disk alone in turns: what acked() tells, that of the disk, and of each pair of turns the median and the p99 of both."""
    with tempfile.NamedTemporaryFile(dir=BUILD) as file:
        told = load(address, topic, partitions, rate, seconds, size, file.name, program="bench_kafka_ack")
    return told[-6:-3], told[-3:], [told[i:i + 4] for i in range(0, len(told) - 6, 4)]


def resident_mb(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Broker:
    def __init__(self, partitions=1, **settings):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="broker.", dir=BUILD))
        self.port = free_port()
        self.settings = {"kafka.port": self.port, "kafka.partitions": partitions, "console.port": 0, **settings}
        for role in ("ingest", "registry", "connect", "s3", "postgres"):
            self.settings.setdefault(f"{role}.port", "off")
        (self.folder / "tarn.yaml").write_text("")
        self.process = None

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            self.process.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self):
        """Until it has said that it is ready; the milliseconds it says that took."""
        options = [f"--set={k}={v}" for k, v in self.settings.items()]
        log = self.folder / "log"
        with open(log, "wb") as out:
            self.process = subprocess.Popen([TARN, "up", *options, self.folder], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        line = wait_for(lambda: next((x for x in log.read_text().splitlines() if x.startswith("ready in ")), None), "tarn to be ready", 120)
        return float(line.split()[2].replace(",", ""))

    def kill(self):
        self.process.kill()
        self.process.wait(60)
        self.process = None

    def resident_mb(self):
        return resident_mb(self.process.pid)

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)


class Mock:
    """librdkafka's broker in memory, in a process of its own: what a client and a broker in C can do here."""

    def __init__(self, partitions):
        self.process = subprocess.Popen([BUILD / "bench_kafka_load", "mock", str(partitions)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def __enter__(self):
        self.address = self.process.stdout.readline().strip()
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(30)
