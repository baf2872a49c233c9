"""Memory of preparing, loading and training, watched from outside in a cgroup: ``python -m benchmarks memory``.

- ``preparing``: large X-rays from a store to the memory-mapped array of a split.
- ``loading``: one epoch of shuffled batches of small images, without a network; and the network without the loader.
- ``training``: one epoch of a small network on such images, or as many of its steps as ``--training-images`` says.
- ``ingest``, ``update``, ``evaluation``: the whole way of a site with many small PNG images; ``--site-images 0`` leaves
  it out. The evaluation has saliency.

Anonymous memory is what the system cannot drop and read again; a mapped file is not part of it.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.memory.control_group import ControlGroup, open_control_group
from benchmarks.memory.generated import NETWORK_RATE, SIDE, XRAY_SIDE, write_images, write_xrays
from benchmarks.memory.site import STEPS, write_source

SHARES = (0.1, 0.5, 1.0)
"""Of the work, after which the memory is reported."""
_INTERVAL = 0.1


def run(options: Sequence[str] = ()) -> list[dict[str, object]]:
    """Returns a row for each kind of work."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks memory")
    parser.add_argument("--images", type=int, default=1_000_000, help="images of 64 pixels to load")
    parser.add_argument("--training-images", type=int, default=1_000_000, help="of them, how many steps train on")
    parser.add_argument("--xrays", type=int, default=400, help="images of 2,000 pixels to prepare")
    parser.add_argument("--site-images", type=int, default=20_000, help="images of 64 pixels of a whole site")
    parser.add_argument("--gibibytes", type=float, default=3.0, help="limit of the cgroup")
    chosen = parser.parse_args(options)
    with TemporaryDirectory(dir=os.environ.get("ANAMNESIS_SCRATCH")) as name:
        folder = Path(name)
        limit = int(chosen.gibibytes * 2**30)
        write_xrays(folder / "xrays", chosen.xrays)
        rows = [watch("preparing", chosen.xrays, 0, folder, limit)]
        write_images(folder / "images.array", chosen.images)
        works = {"loading": chosen.images, "training": chosen.training_images}
        rows += [watch(work, count, chosen.images, folder, limit) for work, count in works.items()]
        write_source(folder / "source", chosen.site_images)
        site_works = STEPS if chosen.site_images else ()
        return rows + [watch(work, chosen.site_images, 0, folder, limit) for work in site_works]


def watch(work: str, count: int, images: int, folder: Path, limit: int) -> dict[str, object]:
    """Runs one kind of work in a process of its own, and samples the memory of its cgroup."""
    progress = folder / f"{work}.progress"
    with open_control_group(limit) as group:
        command = [
            sys.executable,
            "-m",
            "benchmarks.memory.work",
            work,
            str(count),
            str(images),
            str(folder),
            str(progress),
        ]
        process = subprocess.Popen(
            [*command, str(group.processes or "")],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "ANAMNESIS_SCRATCH": str(folder / "scratch")},
        )
        samples = _sample(process, group, progress)
        output = process.communicate()[0]
    if process.returncode:
        raise RuntimeError(f"{work}: the process ended with {process.returncode}")
    result = json.loads(output.splitlines()[-1])
    row: dict[str, object] = {"work": work, "images": count, "side": XRAY_SIDE if work == "preparing" else SIDE}
    row |= {name: result.get(name, "") for name in ("seconds", "images a second", NETWORK_RATE)}
    is_one_loop = work not in STEPS
    row |= {f"MiB at {share:.0%}": round(_at(samples, share) / 2**20) if is_one_loop else "" for share in SHARES}
    row |= {"peak MiB": round(max(memory for _, memory in samples) / 2**20), "limit": group.description}
    return row


def _sample(process: subprocess.Popen[str], group: ControlGroup, progress: Path) -> list[tuple[float, int]]:
    """Returns the share of the work that is done, and anonymous bytes, at each sample."""
    samples = [(0.0, 0)]
    while process.poll() is None:
        done = progress.read_text() if progress.exists() else ""
        samples.append((float(done or 0), group.anonymous_bytes(process.pid)))
        time.sleep(_INTERVAL)
    return samples


def _at(samples: Sequence[tuple[float, int]], share: float) -> int:
    """Returns the greatest memory near this share of the work."""
    near = [memory for done, memory in samples if abs(done - share) <= 0.02]
    return max(near, default=samples[-1][1])
