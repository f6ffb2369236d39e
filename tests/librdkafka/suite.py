#!/usr/bin/python3
"""librdkafka's own test programs against a broker: suite.py BROKER[,BROKER] [NAME | NUMBER]...

Each number of the suite is a process of its own: a test that overruns ends its whole runner (with SIGKILL), and a log of one
number alone can be read.  The processes run side by side, the longest first, in folders of their own below build/librdkafka/run.
A test runs whole: quick mode is for those that it makes smaller, not for those that it leaves a part out of.  The longest are split,
a process for each of their sub-tests, and pass when all of these have run and passed.
A name may have a part behind it, 0142_reauthentication/do_test_producer: of that test then only this sub-test runs.

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
SIDE_BY_SIDE = 20         # most of their time the tests wait: for a session to end, for a topic not to come
SECONDS = 200             # for one process
PATIENCE = collections.defaultdict(lambda: 2, {"0055": 4, "0150": 1})  # the suite's own limits times this: they share the machine
SPLIT = {"0081", "0113"}  # into their sub-tests
VARIATIONS = {"u_multiple_subscription_changes": [f"use_rebalance_cb: {cb}, subscription_variation: {n}" for cb in (0, 1) for n in range(3)]}
SKIPS = {"o_java_interop:"}  # wants Java's client, and skips itself everywhere: it takes every cluster for one with SASL
# When the others have ended, and again when something else has kept the processor: how often.  What a broker does wrong it does each time.
# 0055 measures milliseconds.  The part of 0113 counts assignments: a member whose sync comes after another's next join is told to join
# again and has one less, with every broker, and where processors are short that is one time in four.
LAST = {"0055": 3, "0113/b_subscribe_with_cb_test": 3}
IDLE = {"0098", "0150"}   # they take longest and hardly work: the last need not wait for them
KAFKA = collections.defaultdict(lambda: "4.0.0", {"0092": "3.9.0"})  # which Kafka they take tarn for; 4 has no message format 1

# Tests that want a broker of their own kind; the others get `default`, or `noautocreate` where the suite's scenario says so.
# 0077 gives compaction 20 s, and a broker of many tests may have thousands of files to sync before it.
# Two parts of 0081 have all topics compacted for a moment.
KIND = {"0055": "memory", "0077": "quiet", "0081": "acls", "0097": "tls", "0109": "acls", "0115": "acls", "0119": "acls", "0135": "sasl",
        "0142": "reauth", "0081/do_test_AlterConfigs": "settings", "0081/do_test_IncrementalAlterConfigs": "settings",
        "0081/do_test_DescribeCluster": "sasl", "0081/do_test_DescribeConsumerGroups_with_authorized_ops": "sasl",
        "0081/do_test_DescribeTopics": "sasl", "0081/do_test_UserScramCredentials": "sasl"}

Test = collections.namedtuple("Test", "name flags scenario")
Result = collections.namedtuple("Result", "state why seconds log")


class Broker:
    """Where the tests of one kind connect to: the lines of their test.conf, and more of their environment."""

    def __init__(self, address, conf=None, environment=None):
        self.conf = {"bootstrap.servers": address, **(conf or {})}
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


def source(number, tree=TREE):
    return "".join(path.read_text() for path in sorted((tree / "tests").glob(f"{number}[-_]*.c*")))


def is_quick(number):
    """Whether quick mode leaves nothing of it out.  Of a test that has left all its sub-tests out the runner says that it has passed."""
    return not re.search(r"\bSUB_TEST0?\(|\bif \(test_quick\)", source(number))


def parts(name):
    """What a test that is split consists of: the sub-tests that its main function comes to, each or each of its variations."""
    found = re.split(r"^(?:static [\w *]*?|int |void )?(\w+)\([^;{}]*\)\s*\{$", source(name[:4]), flags=re.M)[1:]
    functions = dict(zip(found[::2], found[1::2]))
    reached, more = set(), {f"main_{name}"}
    while more:
        reached |= more
        more = {word for one in more for word in re.findall(r"\w+", functions[one]) if word in functions} - reached
    subs = [one for one in functions if one in reached and re.search(r"\bSUB_TEST", functions[one])]
    return [part for one in subs for part in VARIATIONS.get(one, [f"{one}:"])]


def broker_tests(tree=TREE):
    """The names of those that need a broker, without share groups (KIP-932), which tarn does not have."""
    return [test.name for test in catalogue(tree) if "LOCAL" not in test.flags and "_share_" not in test.name]


def listed(name):
    """{test: reason} of tests.allow or tests.out: a line is a name, then its reason; # starts a comment."""
    lines = [line.split("#")[0].split(None, 1) for line in (HERE / name).read_text().splitlines()]
    return {line[0]: "".join(line[1:]).strip() for line in lines if line}


class Suite:
    """Runs the given tests; result(name) waits for one.  `brokers`: {kind: Broker}; `without`: sub-tests that do not run there."""

    def __init__(self, names, brokers, side_by_side=SIDE_BY_SIDE, without=()):
        self.brokers = brokers
        self.folder = BUILD / "run"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        (self.folder / "src").symlink_to(TREE / "src")  # some tests read ../src from where they run
        scenario = {test.name: test.scenario for test in catalogue()}
        self.groups = {name: [(name[:4], scenario[name.split("/")[0]], part) for part in self.parts_of(name) if part not in without] for name in names}
        took = json.loads(self.memory().read_text()) if self.memory().exists() else {}
        order = sorted({group for groups in self.groups.values() for group in groups}, key=lambda group: -took.get(self.label(group), 60))
        self.pool = concurrent.futures.ThreadPoolExecutor(side_by_side)
        self.last = concurrent.futures.ThreadPoolExecutor(1)
        self.runs = {group: self.pool.submit(self.run, *group) for group in order if not self.tries(group)}
        others = [run for group, run in self.runs.items() if group[0] not in IDLE]
        self.runs |= {group: self.last.submit(self.run_after, others, group) for group in order if self.tries(group)}

    @staticmethod
    def parts_of(name):
        return [f"{part}:" for part in name.split("/")[1:]] or (parts(name) if name[:4] in SPLIT else [None])

    @staticmethod
    def label(group):
        return "-".join(filter(None, (*group[:2], re.sub(r"\W+", "_", group[2] or "").strip("_"))))

    @staticmethod
    def of(table, number, part, default=None):
        """What a table says of a part of a test, or of the test."""
        return table.get(f"{number}/{(part or '').rstrip(':')}", table.get(number, default))

    def tries(self, group):
        """How often it may run when the others have ended; None: it runs with them."""
        number, _, part = group
        return self.of(LAST, number, part)

    def run_after(self, others, group):
        concurrent.futures.wait(others)
        for _ in range(self.tries(group)):
            results = self.run(*group)
            if results and all(result.state != "FAILED" for result in results.values()):
                break
        return results

    @staticmethod
    def memory():
        """How long each took the last time, for the order of the next."""
        return BUILD / "took.json"

    def run(self, number, scenario, part=None):
        """{test: Result} of one process."""
        broker = self.brokers[self.of(KIND, number, part, scenario)]
        folder = self.folder / self.label((number, scenario, part))
        shutil.rmtree(folder, ignore_errors=True)  # of the try before
        folder.mkdir()
        conf = {"test.timeout.multiplier": PATIENCE[number]} | broker.conf
        (folder / "test.conf").write_text("".join(f"{key}={value}\n" for key, value in conf.items()))
        for helper in (HERE / "kafka/java", HERE / "kafka/Makefile", TREE / "tests/fixtures"):
            (folder / helper.name).symlink_to(helper)
        outer = {name: value for name, value in os.environ.items() if name != "CI"}  # there its quick mode is a slower one
        environment = outer | {
            "TESTS": number, "TEST_REPORT": "report.json", "KAFKA_PATH": str(HERE / "kafka"), "TEST_KAFKA_VERSION": KAFKA[number],
            "LD_LIBRARY_PATH": f"{TREE}/src:{TREE}/src-cpp"} | ({"SUBTESTS": part} if part else {}) | broker.environment
        options = ["-p1", "-L", "-s", scenario] + (["-Q"] if is_quick(number) else [])
        log, start = folder / "log", time.monotonic()
        with open(log, "wb") as out:
            process = subprocess.Popen([*([] if self.of(LAST, number, part) else ["nice"]), TREE / "tests/test-runner", *options], cwd=folder, env=environment,
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
        if part and not re.search(rf"\[ .*{re.escape(part)}.*: {'SKIP' if part in SKIPS else 'PASS'}", text):
            found = {name: result._replace(state="FAILED", why=result.why or f"{part} did not come to its end") for name, result in found.items()}
        ended = Result("FAILED", f"the runner ended with status {status} after {seconds:.0f} s", seconds, log)
        return collections.defaultdict(lambda: ended, found)

    def result(self, name):
        results = [self.runs[group].result()[name.split("/")[0]] for group in self.groups[name]]
        return next((result for result in results if result.state != "PASSED"), max(results, key=lambda result: result.seconds))

    def finish(self):
        """Waits for what still runs, and remembers how long each took."""
        self.pool.shutdown()
        self.last.shutdown()
        took = {self.label(group): max(result.seconds for result in run.result().values()) for group, run in self.runs.items() if run.result()}
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
