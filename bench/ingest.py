"""Rows per second and peak memory of preparing a million rows, each kind of file in a process of its own.

`python -m bench.ingest [--rows N] [--kinds .jsonl .csv …]` makes the files (seeded, about 330 bytes a row, one row in
200 faulty), prepares them and writes `bench/results/ingest.json`, one JSON line. Rates are by CPU seconds of the child, as
other work may share the machine; memory is its peak resident size.
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "ingest.json"
WORDS = [
    *(
        "lamp",
        "kettle",
        "price",
        "warranty",
        "months",
        "euro",
        "made",
        "steel",
        "oak",
        "glass",
        "blue",
        "red",
        "green",
        "please",
    ),
    *("tell", "about", "product", "cost", "größe", "schön"),
]
CHILD = """
import json, resource, sys
from pathlib import Path
from studio.data.prepare import prepare
from studio.data.settings import Data
idle = resource.getrusage(resource.RUSAGE_SELF)
report = prepare(Data(train=sys.argv[1]), 0, Path(sys.argv[2]))
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({
    "rows": report.totals.rows, "rejected": report.totals.rejected,
    "train": report.split.train, "held_out": report.split.held_out,
    "cpu_seconds": used.ru_utime + used.ru_stime - idle.ru_utime - idle.ru_stime,
    "peak_mib": used.ru_maxrss / 1024, "before_mib": idle.ru_maxrss / 1024,
}))
"""


def make_rows(count: int) -> Iterator[dict[str, str]]:
    """Question and answer rows of the same kind, all different but for a few faulty ones."""
    chance = random.Random(0)
    for place in range(count):
        question = f"Question {place}: {' '.join(chance.choices(WORDS, k=12))}?"
        yield {"question": question, "answer": "" if place % 200 == 199 else " ".join(chance.choices(WORDS, k=35)) + "."}


def make_file(path: Path, count: int) -> None:
    """A data file of the kind its ending says."""
    rows = make_rows(count)
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, ["question", "answer"])
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path, row_group_size=50_000)
    else:
        with path.open("w", encoding="utf-8") as out:
            listed = path.suffix == ".json"
            out.write("[\n" if listed else "")
            for place, row in enumerate(rows):
                out.write((",\n" if listed and place else "") + json.dumps(row, ensure_ascii=False) + ("" if listed else "\n"))
            out.write("\n]\n" if listed else "")


def measure(kind: str, count: int, folder: Path) -> dict[str, float]:
    """Figures of preparing one file of `count` rows. The file is made by another process, whose memory is not ours."""
    file = folder / f"rows{kind}"
    subprocess.run([sys.executable, "-m", "bench.ingest", "--rows", str(count), "--make", file], check=True)
    begun = time.perf_counter()
    child = subprocess.run([sys.executable, "-c", CHILD, file, folder / "out"], check=True, capture_output=True, text=True)
    figures = json.loads(child.stdout)
    figures |= {
        "bytes": file.stat().st_size,
        "seconds": time.perf_counter() - begun,
        "rows_per_cpu_second": figures["rows"] / figures["cpu_seconds"],
    }
    file.unlink()
    return {name: round(value, 1) for name, value in figures.items()}


def cpu_model() -> str:
    """The processor's name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())


def main() -> None:
    """Measure, print and keep."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--rows", type=int, default=1_000_000)
    given.add_argument("--kinds", nargs="+", default=[".jsonl", ".json", ".csv", ".parquet"])
    given.add_argument("--make", type=Path, help="only make this file")
    given.add_argument("--date", default=time.strftime("%Y-%m-%d"))
    options = given.parse_args()
    if options.make:
        make_file(options.make, options.rows)
        return
    with tempfile.TemporaryDirectory() as folder:
        figures = {kind: measure(kind, options.rows, Path(folder)) for kind in options.kinds}
    packages = ("orjson", "pyarrow", "numpy", "xxhash")
    result = {
        "bench": "ingest",
        "date": options.date,
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "figures": figures,
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(result) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
