"""The program as a process, on the storefront, the median of some starts.

start.ready    milliseconds from exec until all roles answer, without PostgreSQL's own start (its status tells both); beside the
               least that a start with a server can be here: a Python process that binds one port and answers once.
memory.idle    resident memory with all roles up and DuckDB not opened, in MB; beside a Python process that does nothing.
memory.query   the same after the first query, with DuckDB open.
"""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

FIGURES = ["start.ready", "memory.idle", "memory.query"]
NEEDS = ["tarn"]
STARTS = 5
ROOT = pathlib.Path(__file__).resolve().parents[2]
TARN = ROOT / "build" / "dev" / "tarn"
ANSWERER = ("import http.server, socketserver, sys\n"
            "class H(http.server.BaseHTTPRequestHandler):\n"
            "    def do_GET(self):\n        self.send_response(200); self.end_headers()\n"
            "    def log_message(self, *a):\n        pass\n"
            "s = http.server.HTTPServer(('127.0.0.1', 0), H)\n"
            "print(s.server_port, flush=True)\ns.handle_request()\n")


def python_ready():
    """(milliseconds until it answered, resident MB)"""
    begun = time.monotonic()
    with subprocess.Popen([sys.executable, "-c", ANSWERER], stdout=subprocess.PIPE, text=True) as process:
        port = int(process.stdout.readline())
        memory = resident_mb(process.pid)
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).read()
        return 1000 * (time.monotonic() - begun), memory


def resident_mb(pid):
    pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Tarn:
    """The storefront without its sinks: a sink that commits opens DuckDB."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tarn-bench."))
        self.project = self.folder / "storefront"
        shutil.copytree(ROOT / "examples" / "storefront", self.project, ignore=shutil.ignore_patterns("data"))
        for connector in (self.project / "connectors").glob("*sink*.json"):
            connector.unlink()

    def start(self):
        ports = [f"--set={role}.port=0" for role in ("console", "ingest", "kafka", "registry", "connect", "s3", "postgres")]
        self.process = subprocess.Popen([TARN, "up", *ports, self.project], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not (status := self.status()).get("ready"):
            assert self.process.poll() is None, "tarn did not start"
        return status

    def status(self):
        out = subprocess.run([TARN, "status", "--json", self.project], capture_output=True, text=True, check=False)
        return json.loads(out.stdout) if out.returncode == 0 else {}

    def query(self):
        subprocess.run([TARN, "sql", self.project, "SELECT sum(range) FROM range(1000)"], check=True, stdout=subprocess.DEVNULL)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


def run():
    tarn = Tarn()
    ready, idle, after = [], [], []
    limit_ms, limit_mb = [], []
    try:
        tarn.start()  # makes the database cluster: not counted
        tarn.stop()
        for _ in range(STARTS):
            ms, mb = python_ready()
            limit_ms.append(ms)
            limit_mb.append(mb)
            ready.append(tarn.start()["ready_ms"])
            idle.append(resident_mb(tarn.process.pid))
            tarn.query()
            after.append(resident_mb(tarn.process.pid))
            tarn.stop()
    finally:
        if tarn.process.poll() is None:
            tarn.stop()
        shutil.rmtree(tarn.folder, ignore_errors=True)
    peer = "python3 with http.server"
    yield "start.ready", "ms", statistics.median(ready), peer, statistics.median(limit_ms)
    yield "memory.idle", "MB", statistics.median(idle), peer, statistics.median(limit_mb)
    yield "memory.query", "MB", statistics.median(after), peer, statistics.median(limit_mb)
