"""How long `anamnesis --help` takes, the whole process: ``python benchmarks/help_time.py``. Claimed: below 0.3 s."""

import statistics
import subprocess
import sys
import time

RUNS = 20


def seconds() -> float:
    start = time.perf_counter()
    command = [sys.executable, "-c", "from anamnesis.cli import main; main()", "--help"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


if __name__ == "__main__":
    times = sorted(seconds() for _ in range(RUNS))
    print(f"median {statistics.median(times):.3f} s, worst {times[-1]:.3f} s of {RUNS} runs")
