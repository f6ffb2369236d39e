"""Apache Kafka on this machine, one node with its default settings (so no fsync), as a peer of the broker benches.

Its jars come from Maven Central into build/peers, once; `make test` never comes here.
"""
import pathlib
import shutil
import subprocess
import tempfile

from rig import BUILD, ROOT, free_port, wait_for

JARS = ROOT / "build" / "peers" / "kafka"
POM = pathlib.Path(__file__).with_name("pom.xml")
PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
log.dirs={folder}/data
num.partitions={partitions}
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
"""


def jars():
    stamp = JARS / "pom.xml"
    if not stamp.exists() or stamp.read_text() != POM.read_text():
        shutil.rmtree(JARS, ignore_errors=True)
        subprocess.run(["mvn", "-q", "-B", "--no-transfer-progress", "-f", POM, "dependency:copy-dependencies", f"-DoutputDirectory={JARS}"], check=True)
        shutil.copy(POM, stamp)
    return f"{JARS}/*"


class Kafka:
    def __init__(self, partitions):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="kafka.", dir=BUILD))
        self.port = free_port()
        text = PROPERTIES.format(port=self.port, controller=free_port(), folder=self.folder, partitions=partitions)
        self.properties = self.folder / "server.properties"
        self.properties.write_text(text)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def java(self, *args):
        return ["java", "-Xms1g", "-Xmx1g", "-server", "-XX:+UseG1GC", "-cp", jars(), *args]

    def __enter__(self):
        subprocess.run(self.java("kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAA", "-c", self.properties), check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.log = open(self.folder / "out", "wb")
        self.process = subprocess.Popen(self.java("kafka.Kafka", self.properties), stdout=self.log, stderr=self.log)
        wait_for(self.ready, "Kafka", 60)
        return self

    def ready(self):
        assert self.process.poll() is None, (self.folder / "out").read_text()[-2000:]
        done = subprocess.run(["kcat", "-b", self.address, "-L", "-m", "2"], capture_output=True)
        return done.returncode == 0

    def resident_mb(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1e3

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
