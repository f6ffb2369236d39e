#!/usr/bin/python3
"""librdkafka's own test programs against a broker: suite.py BROKER[,BROKER] [NAME | NUMBER]...

Each number of the suite is a process of its own: a test that overruns ends its whole runner (with SIGKILL), and a log of one
number alone can be read.  The processes run side by side, the longest first, in folders of their own below build/librdkafka/run.
A name may have a part behind it, 0081_admin/do_test_CreateTopics: of that test then only this function runs.

`Suite` is what tests/e2e/test_librdkafka.py uses; the command line is for looking into one test, and its second broker is one
that makes no topics by itself:

    tests/librdkafka/suite.py 127.0.0.1:9092 0012 0055        TEST_DEBUG=fetch,protocol and TEST_LEVEL=3 are heard
"""
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE.parents[1] / "build/librdkafka"
TREE = BUILD / "package/deps/librdkafka"
SIDE_BY_SIDE = 8          # most of their time the tests wait: for a session to end, for a topic not to come
SECONDS = 150             # for one number
PATIENCE = 2              # the suite's own limits times this: it shares the machine with seven others
NOT_QUICK = {"0082"}      # those that quick mode leaves out
KAFKA = collections.defaultdict(lambda: "4.0.0", {"0092": "3.9.0"})  # which Kafka they take tarn for; 4 has no message format 1

# Tests that want a broker of their own kind; the others get `default`, or `noautocreate` where the suite's scenario says so.
# 0077 gives compaction 20 s, and a broker of many tests may have thousands of files to sync before it.
KIND = {"0077": "quiet", "0081": "acls", "0097": "tls", "0109": "acls", "0115": "acls", "0119": "acls", "0135": "sasl",
        "0081/do_test_DescribeCluster": "sasl", "0081/do_test_DescribeConsumerGroups_with_authorized_ops": "sasl",
        "0081/do_test_DescribeTopics": "sasl", "0081/do_test_UserScramCredentials": "sasl"}

Test = collections.namedtuple("Test", "name flags scenario")
Result = collections.namedtuple("Result", "state why seconds log")


class Broker:
    """Where the tests of one kind connect to: the lines of their test.conf, and more of their environment."""

    def __init__(self, address, conf=None, environment=None):
        self.conf = {"bootstrap.servers": address, "test.timeout.multiplier": PATIENCE, **(conf or {})}
        self.environment = {"BROKERS": address, **(environment or {})}


def catalogue(tree=TREE):
    """Every test of the runner's table, in its order."""
    table = re.search(r"struct test tests\[\] = \{(.*?)\n    \{NULL\}", (tree / "tests/test.c").read_text(), re.S).group(1)
    found = []
    for entry in re.split(r"\b_TEST\(", table)[1:]:
        name, rest = re.match(r"(\w+),\s*(.*)", entry, re.S).groups()
        scenario = re.search(r'\.scenario = "([\w,]+)"', rest)
        found.append(Test(name, set(re.findall(r"TEST_F_(\w+)", rest)), scenario.group(1).split(",")[0] if scenario else "default"))
    return found


def broker_tests(tree=TREE):
    """The names of those that need a broker, without share groups (KIP-932), which tarn does not have."""
    return [test.name for test in catalogue(tree) if "LOCAL" not in test.flags and "_share_" not in test.name]


def listed(name):
    """{test: reason} of tests.allow or tests.out: a line is a name, then its reason; # starts a comment."""
    lines = [line.split("#")[0].split(None, 1) for line in (HERE / name).read_text().splitlines()]
    return {line[0]: "".join(line[1:]).strip() for line in lines if line}


class Suite:
    """Runs the given tests; result(name) waits for one.  `brokers`: {kind: Broker}."""

    def __init__(self, names, brokers, side_by_side=SIDE_BY_SIDE):
        self.brokers = brokers
        self.folder = BUILD / "run"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        (self.folder / "src").symlink_to(TREE / "src")  # some tests read ../src from where they run
        scenario = {test.name: test.scenario for test in catalogue()}
        self.group = {name: (name[:4], scenario[name.split("/")[0]], *name.split("/")[1:]) for name in names}
        took = json.loads(self.memory().read_text()) if self.memory().exists() else {}
        order = sorted(set(self.group.values()), key=lambda group: -took.get("-".join(group), 60))
        self.pool = concurrent.futures.ThreadPoolExecutor(side_by_side)
        self.runs = {group: self.pool.submit(self.run, *group) for group in order}

    @staticmethod
    def memory():
        """How long each took the last time, for the order of the next."""
        return BUILD / "took.json"

    def run(self, number, scenario, part=None):
        """{test: Result} of one process."""
        broker = self.brokers[KIND.get(f"{number}/{part}", KIND.get(number, scenario))]
        folder = self.folder / "-".join(filter(None, (number, scenario, part)))
        folder.mkdir()
        (folder / "test.conf").write_text("".join(f"{key}={value}\n" for key, value in broker.conf.items()))
        for helper in (HERE / "kafka/java", HERE / "kafka/Makefile", TREE / "tests/fixtures"):
            (folder / helper.name).symlink_to(helper)
        outer = {name: value for name, value in os.environ.items() if name != "CI"}  # there its quick mode is a slower one
        environment = outer | {
            "TESTS": number, "TEST_REPORT": "report.json", "KAFKA_PATH": str(HERE / "kafka"), "TEST_KAFKA_VERSION": KAFKA[number],
            "LD_LIBRARY_PATH": f"{TREE}/src:{TREE}/src-cpp"} | ({"SUBTESTS": f"{part}:"} if part else {}) | broker.environment
        options = ["-p1", "-L", "-s", scenario] + (["-Q"] if number not in NOT_QUICK else [])
        log, start = folder / "log", time.monotonic()
        with open(log, "wb") as out:
            process = subprocess.Popen(["nice", TREE / "tests/test-runner", *options], cwd=folder, env=environment,
                                       stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
            try:
                process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()
        return self.results(folder, log, process.returncode, time.monotonic() - start, part)

    @staticmethod
    def results(folder, log, status, seconds, part):
        """What the runner's report says, the reasons from its summary; of a test that is in neither, how the runner ended.
        A part of a test has passed when the log says that, too: the runner passes a test of which nothing ran."""
        text = re.sub(r"\x1b\[[0-9;]*m", "", log.read_text(errors="replace"))
        told = dict(re.findall(r"^\| *(\w+) *\| *(?:FAILED|SKIPPED) *\|[^|]*\|(.*)", text, re.M))
        try:
            tests = json.loads((folder / "report.json").read_text())["tests"]
        except (OSError, ValueError):
            tests = {}
        found = {name: Result(test["state"], " ".join(told.get(name, "").split()), test["duration"], log) for name, test in tests.items()}
        if part and not re.search(rf"\[ {part}:.*: PASS ", text):
            found = {name: result._replace(state="FAILED", why=result.why or f"{part} did not run") for name, result in found.items()}
        ended = Result("FAILED", f"the runner ended with status {status} after {seconds:.0f} s", seconds, log)
        return collections.defaultdict(lambda: ended, found)

    def result(self, name):
        return self.runs[self.group[name]].result()[name.split("/")[0]]

    def finish(self):
        """Waits for what still runs, and remembers how long each took."""
        self.pool.shutdown()
        took = {"-".join(group): max(self.result(name).seconds for name, of in self.group.items() if of == group) for group in self.runs}
        before = json.loads(self.memory().read_text()) if self.memory().exists() else {}
        self.memory().write_text(json.dumps(before | took))


def main():
    if len(sys.argv) < 2:
        print(__doc__.splitlines()[0], file=sys.stderr)
        return 2
    address, wanted = sys.argv[1].split(","), sys.argv[2:]
    names = [name for name in [*broker_tests(), *(name for name in listed("tests.allow") if "/" in name)] if any(name.startswith(one) for one in wanted)] if wanted else list(listed("tests.allow"))
    brokers = {"noautocreate": Broker(address[-1])}
    suite = Suite(names, collections.defaultdict(lambda: Broker(address[0]), brokers))
    for name in names:
        result = suite.result(name)
        print(f"{result.state:8} {result.seconds:6.1f}  {name}  {result.why}", flush=True)
    suite.finish()
    states = [suite.result(name).state for name in names]
    print(f"{states.count('PASSED')} of {len(names)} passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
