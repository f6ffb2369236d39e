"""The log alone: an append of 12 KB over twelve partitions until it is durable and readable, 1 KB records a second in batches of 16,
1 MiB appends, and appends of one record that 64 callers send.  Beside each what the disk does with the same bytes; bench/log_append.c says how."""
import os
import pathlib
import subprocess
import tempfile

FIGURES = ["log.append_p50", "log.append_p99", "log.records", "log.large", "log.shared"]
NEEDS = ["bench_log_append"]
UNITS = {"p50": ("log.append_p50", "ms", "write + fdatasync"), "p99": ("log.append_p99", "ms", "write + fdatasync"),
         "records": ("log.records", "rows/s", "sequential write"), "large": ("log.large", "MB/s", "sequential write"),
         "shared": ("log.shared", "appends/s", "fdatasyncs")}
BUILD = pathlib.Path(os.environ.get("TARN_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build/dev"))


def run():
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        out = subprocess.run([BUILD / "bench_log_append", folder, "5"], check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        case, ours, disk = line.split()
        name, unit, reference = UNITS[case]
        yield name, unit, float(ours), reference, float(disk)
