"""The built program under real clients.

`tarn` is a project (a copy of examples/storefront in a temporary folder, every port a free one) with the program
running on it and ready; at the end of the test it is asked to stop, and must.  `project` makes such projects without starting them,
or of other folders, or with other settings:

    def test_kafka_lists_topics(tarn):
        admin = AdminClient({"bootstrap.servers": tarn.address("kafka")})

    def test_two_of_them(project):
        one = project("storefront", {"kafka": {"port": 0}}).start()

Nothing here sleeps: what is waited for is a condition with a deadline.  A failed test shows the end of the program's log.
"""
import contextlib
import copy
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARN = pathlib.Path(os.environ.get("TARN", ROOT / "build/dev/tarn")).resolve()
ROLES = ["postgres", "kafka", "registry", "connect", "s3", "ingest", "console"]
START_SECONDS, STOP_SECONDS = 60, 30


def wait_for(condition, what, seconds=30):
    """The first true answer of condition(), asked until it comes.  An exception counts as not yet."""
    pause, last, deadline = threading.Event(), None, time.monotonic() + seconds
    while True:
        try:
            answer = condition()
            if answer:
                return answer
        except (OSError, AssertionError, LookupError, http.client.HTTPException) as e:
            last = e
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s for: {what}" + (f" (last: {last!r})" if last else ""))
        pause.wait(0.01)


PORTS = random.sample(range(12000, 30000), 18000)


def free_port():
    """Another one each time, and below those that the kernel gives to clients: one of them could get it before the server starts."""
    while True:
        port = PORTS.pop()
        with contextlib.suppress(OSError), socket.socket() as s:
            s.bind(("127.0.0.1", port))
            return port


def merged(settings, more):
    out = copy.deepcopy(settings)
    for key, value in more.items():
        out[key] = merged(out.get(key) or {}, value) if isinstance(value, dict) else value
    return out


def request(method, url, body=None, headers=None, seconds=30):
    """(status, parsed body).  A dict or list is sent as JSON."""
    headers = dict(headers or {})
    if isinstance(body, (dict, list)):
        body = json.dumps(body).encode()
        headers.setdefault("Content-Type", "application/json")
    asked = urllib.request.Request(url, data=body, method=method, headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=seconds) as answer:
            status, data, kind = answer.status, answer.read(), answer.headers.get("Content-Type", "")
    except urllib.error.HTTPError as e:
        status, data, kind = e.code, e.read(), e.headers.get("Content-Type", "")
    return status, json.loads(data) if "json" in kind and data else data


class Project:
    """A project folder and the program on it."""

    def __init__(self, folder):
        self.folder = folder
        self.log = folder / "tarn.log"
        self.process = None

    def start(self, ready=True):
        assert self.process is None, "it runs already"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([TARN, "up", self.folder], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=self.environment(), start_new_session=True)
        if ready:
            wait_for(self.is_ready, "tarn up to be ready", START_SECONDS)
        return self

    def environment(self):
        return {k: v for k, v in os.environ.items() if not k.startswith(("PG", "AWS_"))}

    def is_ready(self):
        if self.process.poll() is not None:
            pytest.fail(f"tarn up ended with status {self.process.returncode}\n{self.log_end()}", pytrace=False)
        status = self.status()
        return status.get("ready") and status["pid"] == self.process.pid

    def run(self, verb, *args, check=True, seconds=60):
        """A verb of the command line on this project; gives the finished process."""
        done = subprocess.run([TARN, verb, *map(str, args)], cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=seconds, env=self.environment())
        assert not check or done.returncode == 0, f"tarn {verb}: status {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def status(self):
        done = self.run("status", "--json", self.folder, check=False)
        return json.loads(done.stdout) if done.returncode == 0 and done.stdout.startswith("{") else {}

    def port(self, role):
        return next(r["port"] for r in self.status()["roles"] if r["name"] == role)

    def address(self, role):
        return f"127.0.0.1:{self.port(role)}"

    def url(self, role, path=""):
        return f"http://{self.address(role)}{path}"

    def kill(self):
        """As a power cut would end it, as far as a process can feel one."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)
        self.process = None

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"tarn did not stop within {STOP_SECONDS} s of SIGTERM\n{self.log_end()}", pytrace=False)
        self.process = None
        assert status == 0, f"tarn ended with status {status} after SIGTERM\n{self.log_end()}"
        assert not self.database_pid(), f"tarn left its PostgreSQL running\n{self.log_end()}"

    def database_pid(self):
        """The private PostgreSQL's, while it runs.  It outlives a tarn that was killed."""
        try:
            pid = int((self.folder / "data/postgres/postmaster.pid").read_text().split()[0])
            return pid if os.fsencode(self.folder) in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() else None
        except (OSError, ValueError, IndexError):
            return None

    def end_database(self):
        if pid := self.database_pid():
            os.kill(pid, signal.SIGQUIT)
            wait_for(lambda: not os.path.exists(f"/proc/{pid}/exe"), "the private PostgreSQL to end", STOP_SECONDS)

    def restart(self):
        self.stop()
        return self.start()

    def log_end(self, lines=60):
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


@contextlib.contextmanager
def projects(made):
    """Gives what makes projects, and adds them to the list; stops and removes them afterwards."""

    def make(example="storefront", settings=None):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tarn-e2e-"))
        shutil.copytree(ROOT / "examples" / example, folder, dirs_exist_ok=True)
        path = folder / "tarn.yaml"
        given = yaml.safe_load(path.read_text()) if path.exists() else {}
        ports = {role: {"port": free_port()} for role in ROLES}
        path.write_text(yaml.safe_dump(merged(merged(given or {}, ports), settings or {}), sort_keys=False))
        made.append(Project(folder))
        return made[-1]

    yield make
    with contextlib.ExitStack() as stack:
        for one in made:
            stack.callback(shutil.rmtree, one.folder, ignore_errors=True)
            stack.callback(one.end_database)
            if one.process:
                stack.callback(one.stop)


@pytest.fixture
def project(request):
    """Makes projects: project(example="storefront", settings={}), not started."""
    request.node.projects = []
    with projects(request.node.projects) as make:
        yield make


@pytest.fixture(scope="module")
def module_project():
    """The same, for projects that all tests of a file share."""
    with projects([]) as make:
        yield make


@pytest.fixture
def tarn(project):
    return project().start()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    if report.failed:
        for one in getattr(item, "projects", []):
            report.sections.append((f"{one.log}", one.log_end()))
