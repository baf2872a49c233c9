"""What ``ewc_prototype`` costs over twenty tiny tasks: seconds and memory of a task, and stored bytes.

Seconds are medians over turns: the second and the last task are trained again from the versions before them, read from
disk.
``python -m benchmarks cost``.
"""

import resource
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from anamnesis.methods.base import StateDict, TaskContext
from anamnesis.methods.ewc_prototype import EWCPrototype
from anamnesis.methods.ewc_prototype_options import EWCPrototypeOptions
from anamnesis.methods.features.visual_prototypes import PrototypeSharing, VisualPrototypeOptions
from anamnesis.records import (
    Configuration,
    NetworkSettings,
    Split,
    Task,
    TaskType,
    TrainingSettings,
    find_class_indices,
    label_space,
)
from anamnesis.training import RandomStreams, SplitData, TensorSplit, precision_for, train
from anamnesis.updates.state_blobs import pack_state, unpack_state
from benchmarks.timing import side_by_side

TASKS, IMAGES, TURNS = 20, 96, 9
NETWORK_SPEC = NetworkSettings(size=(64, 64), options={"width": 16, "norm": "group"})
TRAINING_SETTINGS = TrainingSettings(epochs=2, batch_size=32)
PRECISION = precision_for(Configuration("ewc_prototype"), "cpu")
FULL_OPTIONS = EWCPrototypeOptions(
    visual_prototypes=VisualPrototypeOptions(sharing=PrototypeSharing.SHARED, minimum_images=1)
)
TINY_TASKS = [
    Task(f"task-{number}", TaskType.CLASSIFICATION, (f"{number}-a", f"{number}-b")) for number in range(TASKS)
]


def context_of(number: int) -> TaskContext:
    """Returns the context of a task, after those before it."""
    tasks_so_far = tuple(TINY_TASKS[: number + 1])
    labels, task = label_space(tasks_so_far), TINY_TASKS[number]
    return TaskContext(
        task=task,
        site=f"site-{number}",
        labels=labels,
        class_indices=find_class_indices(task, labels),
        other_sites={
            f"site-{earlier}": find_class_indices(earlier_task, labels)
            for earlier, earlier_task in enumerate(tasks_so_far[:-1])
        },
        is_returning=False,
        settings=TRAINING_SETTINGS,
        streams=RandomStreams(0, f"update-{number}"),
    )


def data_of(context: TaskContext) -> SplitData:
    """Returns images [N, 1, 64, 64] of noise, with a bar whose place depends on the class."""
    generator = torch.Generator().manual_seed(len(context.labels))
    images = 0.3 * torch.rand(IMAGES, 1, 64, 64, generator=generator)
    first_column, second_column = context.class_indices
    images[::2, :, 8:20] += 0.5
    images[1::2, :, 36:48] += 0.5
    targets = torch.where(torch.arange(IMAGES) % 2 == 0, first_column, second_column)
    split = TensorSplit.of_images(images.half(), targets, tuple(map(str, range(IMAGES))))
    return SplitData({Split.TRAIN: split}, TRAINING_SETTINGS, context.streams, PRECISION)


def learn(base: Path, number: int) -> EWCPrototype:
    """Trains one task from the version before it, a folder."""
    context = context_of(number)
    method = EWCPrototype(FULL_OPTIONS, NETWORK_SPEC, seed=0)
    if number:
        method.load_state_dict(unpack_state({path.name: path.read_bytes() for path in base.iterdir()}), 2 * number)
    train(method, context, data_of(context), PRECISION)
    return method


def write_version(state: StateDict, folder: Path) -> Path:
    """Writes a version; on disk it does not count as memory."""
    folder.mkdir()
    for name, blob in pack_state(state).items():
        (folder / name).write_bytes(blob)
    return folder


def size_of(state: StateDict, *parts: str) -> int:
    """Returns the bytes of the tensors in the named parts, of all where none is named."""
    tensors = {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
    return sum(
        tensor.numel() * tensor.element_size()
        for name, tensor in tensors.items()
        if not parts or name.startswith(parts)
    )


def run() -> list[dict[str, object]]:
    """Returns a row for the second task, one for the last and one that compares them."""
    torch.set_num_threads(1)
    rows: dict[int, dict[str, object]] = {}
    with TemporaryDirectory() as scratch:
        versions = [Path(scratch)]
        for number in range(TASKS):
            state = learn(versions[-1], number).state_dict()
            versions.append(write_version(state, Path(scratch, str(number))))
            rows[number] = {
                "task": f"{number + 1} of {TASKS}",
                "seconds": 0.0,
                "peak memory, MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "stored bytes": size_of(state),
                "of prototypes": size_of(state, "visual_prototypes."),
                "of Fisher information": size_of(state, "ewc_fisher."),
                "of sums": size_of(state, "random_space.", "first_site_space."),
            }
        timed_tasks = (1, TASKS - 1)
        seconds = side_by_side({str(number): partial(learn, versions[number], number) for number in timed_tasks}, TURNS)
    second_task_row, last_task_row = (rows[number] | {"seconds": seconds[str(number)]} for number in timed_tasks)
    return [second_task_row, last_task_row, compare_tasks(second_task_row, last_task_row)]


def compare_tasks(second_task: dict[str, Any], last_task: dict[str, Any]) -> dict[str, object]:
    """Returns the last task's seconds and memory over the second's, and how many bytes each site added."""
    ratios = {name: last_task[name] / second_task[name] for name in ("seconds", "peak memory, MiB")}
    bytes_per_site = {name: (last_task[name] - second_task[name]) / (TASKS - 2) for name in list(second_task)[3:]}
    return {"task": "ratio; bytes a site", **ratios, **bytes_per_site}
