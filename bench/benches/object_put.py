"""Durable puts of 4 KiB objects, by one thread and by sixteen, into the local store; beside them files of the same bytes, each
synced and then its folder, on the same disk in the same run: what a put costs at least without sharing syncs."""
import os
import pathlib
import subprocess
import tempfile

FIGURES = ["object.put_4k", "object.put_4k_16"]
NEEDS = ["bench_object_put"]
BUILD = pathlib.Path(os.environ.get("TARN_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build/dev"))


def run():
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        out = subprocess.run([BUILD / "bench_object_put", folder], check=True, capture_output=True, text=True).stdout
    for name, line in zip(FIGURES, out.splitlines()):
        _, ours, files = map(float, line.split())
        yield name, "puts/s", ours, "file + fdatasync + fsync of its folder", files
