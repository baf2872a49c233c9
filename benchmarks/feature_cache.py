"""An update and an evaluation of ``frozen_ridge`` with an empty and with a full feature cache, side by side.

``python -m benchmarks feature_cache``: generated images of 224 pixels, the EfficientNet-lite0 of the README's example,
one thread. The images are prepared before. The update learns the site that it learned before, as after a correction;
the evaluation is that of a version on the test set of the site. The strength of the head is fixed: choosing it takes
as long with either cache, and as long for any number of images. Seconds are those of the processor.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from anamnesis import steps
from anamnesis.operator.api.default_network import PRETRAINED_NETWORK
from anamnesis.operator.requests import network_settings
from anamnesis.records import Configuration, SiteConfig, SiteRef, Task, TaskType, digest_hex, encode_object
from anamnesis.storage.scratch import FOLDER_VARIABLE, Scratch
from anamnesis.training.split_arrays.stored_features import FEATURES_FILE
from anamnesis.updates import UpdateRequest

SIDE = 224
TASK = Task("bars", TaskType.CLASSIFICATION, ("left", "right"), "Accuracy")
SITE = "generated"


@dataclass
class GeneratedSite:
    """A site of generated images in a folder, and what the steps need of it.

    Attributes:
        root: the folder.
        snapshot: digest of the snapshot.
        test_set: digest of the test set.
        version: the version that was learned last.
    """

    root: Path
    snapshot: str = ""
    test_set: str = ""
    version: str = ""

    def ingest(self, patients: Mapping[str, int]) -> None:
        """Writes an image for each patient of each split, and ingests them."""
        split = np.array([name for name, count in patients.items() for _ in range(count)])
        labels, generator = np.arange(len(split)) % 2, np.random.default_rng(0)
        images = generator.integers(0, 200, (len(split), SIDE, SIDE), dtype=np.uint8)
        images[labels == 1, :, 60:120] += 40
        names = np.array([f"patient-{row}" for row in range(len(split))])
        source = self.root / "source"
        source.mkdir()
        np.savez(
            source / "images.npz", images=images, labels=labels, split=split, groups=names, class_names=TASK.classes
        )
        result = steps.ingest_site(encode_object(self._config), self._store, self._split_key, 1)
        self.snapshot, self.test_set = str(result["snapshot"]), str(result["test_set"])

    def learn(self) -> None:
        """Learns the site with a new registry."""
        shutil.rmtree(self.root / "registry", ignore_errors=True)
        self.version = str(steps.train(encode_object(self._request), self.snapshot, self.test_set)["version"])

    def evaluate(self) -> None:
        """Evaluates the version on the test set; no earlier prediction or score is read."""
        scores = self.root / "registry" / "versions" / digest_hex(self.version) / "evaluations"
        for folder in (scores, self.root / "store" / "predictions"):
            shutil.rmtree(folder, ignore_errors=True)  # there are none at first
        site = SiteRef(SITE, self._store, TASK, self.test_set, ("OT",))
        request = replace(self._request, sites=(site,))
        steps.evaluate_forgetting(encode_object(request), self.version, self.test_set)

    @property
    def _store(self) -> str:
        return (self.root / "store").as_uri()

    @property
    def _split_key(self) -> str:
        file = self.root / "split.key"
        file.write_text("k" * 40, encoding="utf-8")
        return file.as_uri()

    @property
    def _config(self) -> SiteConfig:
        return SiteConfig(SITE, (self.root / "source").as_uri(), ("OT",), TASK)

    @property
    def _request(self) -> UpdateRequest:
        network = replace(network_settings(PRETRAINED_NETWORK), frozen="all")
        return UpdateRequest(
            model="model",
            registry=(self.root / "registry").as_uri(),
            site=self._config,
            store=self._store,
            configuration=Configuration("frozen_ridge", {"strength": 0.1}, network),
            split_key=self._split_key,
            minimum_patients=1,
        )


def run(options: Sequence[str] = ()) -> list[dict[str, object]]:
    """Returns a row for each step: its images, seconds with both caches, their ratio, and the bytes of an image."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks feature_cache")
    parser.add_argument("--images", type=int, default=200, help="training images, and as many test images")
    parser.add_argument("--turns", type=int, default=3, help="measured turns of each step")
    arguments = parser.parse_args(options)
    environment = dict(os.environ)
    with tempfile.TemporaryDirectory() as name:
        os.environ[FOLDER_VARIABLE] = f"{name}/scratch"
        try:
            return _measure(GeneratedSite(Path(name)), arguments.images, arguments.turns)
        finally:
            os.environ.clear()
            os.environ.update(environment)


def _measure(site: GeneratedSite, images: int, turns: int) -> list[dict[str, object]]:
    scratch = Scratch.of_environment(os.environ)
    site.ingest({"train": images, "val": images // 4, "test": images})

    def without_features(step: Callable[[], None]) -> Callable[[], None]:
        def run_step() -> None:
            for file in list(scratch.root.rglob(FEATURES_FILE)):
                shutil.rmtree(file.parent)
            step()

        return run_step

    all_steps = {"update": site.learn, "evaluation": site.evaluate}
    seconds: dict[str, list[float]] = {}
    site.learn()
    site.evaluate()
    for _ in range(turns):
        for name, step in all_steps.items():
            for cache, run_step in (("empty", without_features(step)), ("full", step)):
                start = time.process_time()
                run_step()
                seconds.setdefault(f"{name}, {cache}", []).append(time.process_time() - start)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    counts = {"update": images + images // 4, "evaluation": images}
    entries = [file.parent for file in scratch.root.rglob(FEATURES_FILE)]  # those of the last evaluation
    feature_bytes = sum(file.stat().st_size for entry in entries for file in entry.iterdir())
    return [
        {
            "step": name,
            "images": counts[name],
            "seconds, empty": medians[f"{name}, empty"],
            "seconds, full": medians[f"{name}, full"],
            "full over empty": medians[f"{name}, full"] / medians[f"{name}, empty"],
            "bytes of features of an image": feature_bytes / images,
            "bytes of the prepared image": 3 * SIDE * SIDE,
        }
        for name in all_steps
    ]
