"""One training gives several answers: each is that of a run of its own. And stored maps change no answer."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders.learning import FIRST, SECOND, SPEC, bar_split, context_of, data_of

from anamnesis.methods import PredictionRequest, build_method
from anamnesis.methods.stage import TrainingPass
from anamnesis.networks import build_backbone
from anamnesis.records import Configuration, NetworkSettings, Split, TrainingSettings
from anamnesis.training import SplitData, TensorSplit, precision_for, train
from anamnesis.training.split_arrays.rows import MappedImages, to_unit
from benchmarks.scoreboard.options import nest_options
from benchmarks.sites224.frozen_maps import FrozenMaps, write_maps
from benchmarks.sites224.learning import ViewData
from benchmarks.sites224.measure import Answer, balanced_accuracy, retained_iou
from benchmarks.sites224.second_answer import CLOSED_FORM, HEAD, second_answers

NETWORK = NetworkSettings("timm/tf_efficientnet_lite0", 3, (32, 32), frozen="stages 1-4", batch_statistics="frozen")
SETTINGS = TrainingSettings(epochs=1, batch_size=8, learning_rate=1e-3, augment=False)
OPTIONS = {"visual_prototypes.sharing": "shared", "visual_prototypes.minimum_images": 3}


def configuration(mode: str) -> Configuration:
    return Configuration("ewc_prototype", nest_options({**OPTIONS, "classifier.mode": mode}), SPEC, SETTINGS)


def learn(mode: str, pretrained: dict[str, torch.Tensor], *, with_answers: bool = False) -> tuple[Any, Any]:
    method = build_method(configuration(mode))
    method.load_pretrained(pretrained)
    answers = second_answers(configuration(mode), method, pretrained) if with_answers else {}
    for tasks in ((FIRST,), (FIRST, SECOND)):
        context = context_of(tasks, SETTINGS)
        split = bar_split(tasks[-1], context.labels)
        for answer in answers.values():
            answer.begin(context, data_of(context, split))
        train(method, context, data_of(context, split), precision_for(Configuration("finetune"), "cpu"))
        for answer in answers.values():
            answer.end(context, data_of(context, split))
    return method, answers


def test_every_answer_of_one_training_is_that_of_a_run_of_its_own():
    pretrained = copy.deepcopy(build_backbone(SPEC, seed=1).state_dict())
    _, answers = learn("learned", pretrained, with_answers=True)
    images = torch.rand(6, 1, 16, 16)
    for name, mode in ((HEAD, "linear"), (CLOSED_FORM, "routed")):
        alone, _ = learn(mode, pretrained)
        torch.testing.assert_close(
            Answer(name, answers[name]).logits(images), alone.predict(images, PredictionRequest()).logits
        )


def test_stored_maps_are_those_of_the_network_and_other_images_are_computed(tmp_path: Path):
    backbone = build_backbone(NETWORK, seed=0).eval()
    stored = torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8)
    path = tmp_path / "maps.npy"
    write_maps(backbone, path, [stored.numpy()])
    images = torch.cat([to_unit(stored)[[3, 0]], torch.rand(2, 3, 32, 32)])
    expected = backbone.frozen_maps(images)
    maps = FrozenMaps(backbone, (path,))
    np.save(path, np.load(path))  # an unchanged file
    torch.testing.assert_close(maps(images), expected)
    assert torch.equal(maps(images), maps(images))
    assert copy.deepcopy(maps) is maps


def test_an_epoch_learns_its_view_in_the_order_of_the_product():
    context = context_of((FIRST,), SETTINGS)
    images = torch.randint(0, 256, (10, 1, 16, 16), dtype=torch.uint8)
    views = [torch.full_like(images, view) for view in range(4)]

    def split_of(stored: torch.Tensor) -> TensorSplit:
        targets = {"class": torch.arange(10) % 2, "patient": torch.arange(10)}
        return TensorSplit({"OT": MappedImages(stored.numpy())}, targets, tuple(map(str, range(10))))

    precision = precision_for(Configuration("finetune"), "cpu")
    data = SplitData({Split.TRAIN: split_of(images)}, SETTINGS, context.streams, precision)
    view_data = ViewData(data, tuple(split_of(view) for view in views))
    for epoch in (0, 1, 5):
        training_pass = TrainingPass("train", epoch)
        for batch, plain in zip(view_data(Split.TRAIN, training_pass), data(Split.TRAIN, training_pass), strict=True):
            assert torch.equal(batch.sample_indices, plain.sample_indices)
            assert batch.images.unique().tolist() == pytest.approx([(epoch % 4) / 255])
            assert torch.equal(batch.clean_images, to_unit(images)[batch.sample_indices])
    (first, *_), (plain, *_) = view_data(Split.TRAIN), data(Split.TRAIN)
    assert torch.equal(first.images, plain.images)


def test_balanced_accuracy_and_retention():
    assert balanced_accuracy((1, 1, 1, 0), torch.tensor([0, 0, 0, 1])) == 0.5
    before = torch.zeros(3, 7, 7)
    before[0, :2], before[2, 3] = 1.0, 1.0
    after = before.clone()
    after[2] = 0.0
    assert retained_iou(before, after) == (1.0, None, 0.0)
