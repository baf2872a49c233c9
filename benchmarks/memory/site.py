"""The whole way of a site with many small images: ingest, update and evaluation, each in a process of its own."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from anamnesis.updates import UpdateRequest

SIDE, CLASSES, METHOD = 64, ("top", "middle"), "ewc_prototype"
Report = Callable[[float], None]
_PER_FOLDER = 10_000


def write_source(folder: Path, count: int) -> None:
    """Writes PNG images of 64 pixels: blocks of random grey, and a bar whose place is the class; each is a patient."""
    generator = np.random.default_rng(0)
    for number in range(count):
        pixels = np.kron(generator.integers(0, 120, (8, 8)), np.ones((8, 8), int))
        pixels[8:20] += 100 * (number % 2 == 0)
        pixels[36:48] += 100 * (number % 2)
        path = folder / CLASSES[number % 2] / str(number // _PER_FOLDER) / f"{number:07}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(path, compress_level=1)


def ingest(folder: Path, report: Report) -> dict[str, object]:
    """Ingests the site."""
    from anamnesis.records import encode_object
    from anamnesis.steps import ingest_site

    request = _request(folder)
    result = ingest_site(
        encode_object(request.site), request.store, request.split_key, 2, lambda done, total, _: report(done / total)
    )
    _write(folder, {name: result[name] for name in ("snapshot", "test_set")})
    return {}


def update(folder: Path, report: Report) -> dict[str, object]:
    """Trains a version on the snapshot."""
    from anamnesis.records import encode_object
    from anamnesis.steps import train

    state = _read(folder)
    result = train(
        encode_object(_request(folder)),
        state["snapshot"],
        state["test_set"],
        lambda done, total, _: report(done / total) if done % 20 == 0 else None,
    )
    _write(folder, {**state, "version": str(result["version"])})
    return {}


def evaluate(folder: Path, _: Report) -> dict[str, object]:
    """Evaluates the version on the frozen test set, with saliency."""
    from anamnesis.records import encode_object
    from anamnesis.steps import evaluate_forgetting, evaluate_saliency

    state, request = _read(folder), encode_object(_request(folder))
    evaluate_forgetting(request, state["version"], state["test_set"])
    evaluate_saliency(request, state["version"], state["test_set"])
    return {}


STEPS = {"ingest": ingest, "update": update, "evaluation": evaluate}


def _request(folder: Path) -> "UpdateRequest":
    from anamnesis.records import Configuration, NetworkSettings, SiteConfig, Task, TaskType, TrainingSettings
    from anamnesis.updates import UpdateRequest

    key = folder / "key"
    if not key.exists():
        key.write_text("0" * 64)
    training = TrainingSettings(epochs=1, batch_size=64)
    return UpdateRequest(
        model="bars",
        registry=(folder / "registry").as_uri(),
        site=SiteConfig("bars", (folder / "source").as_uri(), ("OT",), Task("bars", TaskType.CLASSIFICATION, CLASSES)),
        store=(folder / "site-store").as_uri(),
        configuration=Configuration(METHOD, {}, NetworkSettings(size=(SIDE, SIDE), options={"width": 8}), training),
        split_key=key.as_uri(),
    )


def _write(folder: Path, state: Mapping[str, object]) -> None:
    (folder / "site.json").write_text(json.dumps(state))


def _read(folder: Path) -> dict[str, str]:
    return cast(dict[str, str], json.loads((folder / "site.json").read_text()))
