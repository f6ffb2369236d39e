"""From a topic to committed rows: a million changes of about 200 bytes, as the lake's sink takes them, into bronze and silver, every
commit durable; beside DuckDB writing the same rows to one Parquet file in the same run."""
import json
import os
import pathlib
import subprocess

FIGURES = ["lake.silver"]
NEEDS = ["bench_lake_silver"]
BUILD = pathlib.Path(os.environ.get("TARN_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build/dev"))


def run():
    out = subprocess.run([BUILD / "bench_lake_silver"], check=True, capture_output=True, text=True).stdout
    figure = json.loads(next(line for line in out.splitlines() if line.startswith("{")))
    yield figure["name"], figure["unit"], figure["ours"], figure["reference"], figure["reference_value"]
