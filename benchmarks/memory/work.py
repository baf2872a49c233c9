"""The work that is watched: a process of its own, which first enters the cgroup.

``python -m benchmarks.memory.work WORK COUNT IMAGES FOLDER PROGRESS [PROCESSES]`` prints its result as JSON.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anamnesis.methods import Batch, Data, Stage, TaskContext
    from anamnesis.methods.finetune import Finetune
    from anamnesis.records import Task
    from anamnesis.training import SplitData

Report = Callable[[float], None]
BATCH_SIZE, WIDTH = 64, 8


def main() -> None:
    """Does one kind of work."""
    work, count, images, folder, progress, *processes = sys.argv[1:]
    if processes and processes[0]:
        Path(processes[0]).write_text(str(os.getpid()))

    def report(share: float) -> None:
        Path(f"{progress}.new").write_text(f"{share:.3f}")
        Path(f"{progress}.new").replace(progress)

    functions: dict[str, Callable[[Path, int, int, Report], dict[str, object]]] = {
        "preparing": prepare,
        "loading": load,
        "training": learn,
        "ingest": site_step,
        "update": site_step,
        "evaluation": site_step,
    }
    clock = _Clock()
    result = functions[work](Path(folder), int(count), int(images), report)
    print(json.dumps({"seconds": clock.seconds, **clock.rates(int(count)), **result}))


def site_step(folder: Path, _: int, __: int, report: Report) -> dict[str, object]:
    """Runs one step of a site's way."""
    from benchmarks.memory import site

    return site.STEPS[sys.argv[1]](folder, report)


def prepare(folder: Path, count: int, _: int, report: Report) -> dict[str, object]:
    """Prepares X-rays of 2,000 pixels for a network of 224."""
    from anamnesis.records import NetworkSettings
    from anamnesis.storage.scratch import Scratch
    from anamnesis.training import SplitFormat, open_split_arrays
    from benchmarks.memory.generated import read_xrays

    samples, task = read_xrays(folder / "xrays"), _task()
    split_format = SplitFormat(task, ("DX",), task.labels, NetworkSettings(size=(224, 224)))
    scratch, clock = Scratch(folder / "scratch", 1 << 40), _Clock()
    open_split_arrays(samples, split_format, scratch, lambda done, total, _: report(done / total))
    return clock.rates(count)


def load(folder: Path, count: int, _: int, report: Report) -> dict[str, object]:
    """Reads one shuffled epoch, and compares it with the network alone."""
    data, _ = _data(folder, count)
    clock = _Clock()
    for number, _ in enumerate(_shuffled(data)):
        if number % 100 == 0:
            report(number * BATCH_SIZE / count)
    report(1)
    from benchmarks.memory.generated import NETWORK_RATE

    rates = clock.rates(count)
    return {**rates, NETWORK_RATE: _time_network(folder)["images a second"]}


def learn(folder: Path, count: int, images: int, report: Report) -> dict[str, object]:
    """Trains one epoch, or the first steps of it."""
    from anamnesis.training import train

    data, context = _data(folder, images)
    method, clock = _method(-(-count // BATCH_SIZE)), _Clock()
    log = train(
        method,
        context,
        data,
        data.precision,
        progress=lambda done, total, _: report(done / total) if done % 20 == 0 or done == total else None,
    )
    assert log.epoch_losses[-1]["classification"] < 0.5  # it learned what the batches show
    return clock.rates(count)


def _task() -> "Task":
    from anamnesis.records import Task, TaskType

    return Task("bars", TaskType.CLASSIFICATION, ("top", "middle"))


class _Clock:
    """Time since it was made: of the clock, and of the processors, which other programs do not lengthen."""

    def __init__(self) -> None:
        self.started, self.started_processors = time.monotonic(), _processor_seconds()

    @property
    def seconds(self) -> float:
        """Seconds of the clock."""
        return round(time.monotonic() - self.started, 1)

    def rates(self, count: int) -> dict[str, float]:
        """Returns how many images were handled in a second of each."""
        seconds, processor_seconds = time.monotonic() - self.started, _processor_seconds() - self.started_processors
        return {
            "images a second": round(count / seconds, 1),
            "images a processor second": round(count / processor_seconds, 1),
        }


def _processor_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _method(steps: int = 0) -> "Finetune":
    from anamnesis.methods.finetune import Finetune, FinetuneOptions
    from anamnesis.records import NetworkSettings

    class FirstSteps(Finetune):
        """Ends after some steps; 0 for the whole epoch."""

        def begin_task(self, context: "TaskContext", data: "Data") -> "list[Stage]":
            return [replace(stage, steps=steps) for stage in super().begin_task(context, data)]

    return FirstSteps(FinetuneOptions(), NetworkSettings(size=(64, 64), options={"width": WIDTH}), seed=0)


def _data(folder: Path, count: int) -> "tuple[SplitData, TaskContext]":
    import torch

    from anamnesis.methods import TaskContext
    from anamnesis.methods.base import CLASS
    from anamnesis.records import Configuration, Split, TrainingSettings
    from anamnesis.training import RandomStreams, SplitData, TensorSplit, precision_for
    from anamnesis.training.split_arrays.mapped_file import map_file
    from anamnesis.training.split_arrays.rows import MappedImages
    from benchmarks.memory.generated import SIDE

    settings = TrainingSettings(epochs=1, batch_size=BATCH_SIZE, augment=False)
    streams, task = RandomStreams(0, "benchmark"), _task()
    images = map_file(folder / "images.array", "uint8", (count, 1, SIDE, SIDE))
    sample_ids = tuple(f"sha256:{number:064}" for number in range(count))
    split = TensorSplit({"OT": MappedImages(images)}, {CLASS: torch.arange(count) % 2}, sample_ids)
    context = TaskContext(
        task=task,
        site="generated",
        labels=task.labels,
        class_indices=(0, 1),
        other_sites={},
        is_returning=False,
        settings=settings,
        streams=streams,
    )
    precision = precision_for(Configuration("finetune", training=settings), "cpu")
    return SplitData({Split.TRAIN: split}, settings, streams, precision), context


def _shuffled(data: "SplitData") -> "Iterator[Batch]":
    from anamnesis.methods.stage import TrainingPass
    from anamnesis.records import Split

    return data(Split.TRAIN, TrainingPass("benchmark"))


def _time_network(folder: Path) -> dict[str, float]:
    """Returns the images a second of training steps on batches that are in memory."""
    from anamnesis.records import Split
    from anamnesis.training import train

    data, context = _data(folder, BATCH_SIZE * 100)
    for _ in data(Split.TRAIN):  # into the system's cache
        pass
    train(_method(2), context, data, data.precision)
    method, clock = _method(), _Clock()
    train(method, context, data, data.precision)
    return clock.rates(BATCH_SIZE * 100)


if __name__ == "__main__":
    main()
