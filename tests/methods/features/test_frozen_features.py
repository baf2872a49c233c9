"""Frozen features: they never change, their probabilities multiply, and without them the head answers."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from builders.learning import FIRST, SECOND, SPEC, bar_split, context_of, data_of, prototype_options

from anamnesis.methods import PredictionRequest
from anamnesis.methods.ewc_prototype import EWCPrototype
from anamnesis.methods.features.frozen_features import EncoderFeatures, FrozenFeatureKind, build_frozen_features
from anamnesis.methods.features.visual_prototypes import PrototypeSharing
from anamnesis.methods.finetune import Finetune, FinetuneOptions
from anamnesis.methods.heads.task_router import ClassifierMode
from anamnesis.networks import Classifier
from anamnesis.networks.random_features import average_over_grid
from anamnesis.records import Configuration, InputError, NetworkSettings, Split, Task, TrainingSettings
from anamnesis.training import precision_for, train

PRECISION = precision_for(Configuration("finetune"), "cpu")
SETTINGS = TrainingSettings(epochs=2, batch_size=8, learning_rate=5e-3)
IMAGES = torch.rand(6, 1, 16, 16, generator=torch.Generator().manual_seed(0))


SHARED: Mapping[str, object] = {
    "visual_prototypes.sharing": PrototypeSharing.SHARED,
    "visual_prototypes.minimum_images": 3,
}


def make(options: Mapping[str, object] = SHARED) -> EWCPrototype:
    return EWCPrototype(prototype_options({**SHARED, **options}), SPEC, seed=0)


def learn(method: Any, *tasks: Task) -> None:
    context = context_of(tasks, SETTINGS)
    train(method, context, data_of(context, bar_split(tasks[-1], context.labels)), PRECISION)


def learned(options: Mapping[str, object] = SHARED) -> EWCPrototype:
    method = make(options)
    learn(method, FIRST)
    learn(method, FIRST, SECOND)
    return method


def answers_of(method: EWCPrototype) -> torch.Tensor:
    logits = method.predict(IMAGES, PredictionRequest()).logits
    assert logits is not None
    return logits


def test_the_first_sites_encoder_is_kept_and_later_sites_do_not_move_it() -> None:
    method = make()
    learn(method, FIRST)
    assert method.router is not None
    space = method.router.feature_spaces[1]
    assert isinstance(space.extractor, EncoderFeatures)
    with torch.no_grad():
        expected = average_over_grid(method.network.eval().features(IMAGES), 4)
    torch.testing.assert_close(space.extractor(IMAGES), expected)
    learn(method, FIRST, SECOND)
    torch.testing.assert_close(space.extractor(IMAGES), expected)
    with torch.no_grad():
        assert not torch.allclose(average_over_grid(method.network.eval().features(IMAGES), 4), expected, atol=1e-3)


@pytest.mark.parametrize(("width", "grid"), [(8, 4), (32, 4), (64, 2), (512, 1)])
def test_a_wide_encoder_is_averaged_over_fewer_cells(width: int, grid: int) -> None:
    features = EncoderFeatures(Classifier(replace(SPEC, options={"width": width, "norm": "group"}), 0))
    assert (features.grid, features.width_out) == (grid, 4 * width * grid**2)


def test_answers_in_half_precision_read_the_same_features_as_the_sums() -> None:
    options = {"patch": 8, "embedding": 24, "depth": 4, "heads": 2}
    network = Classifier(NetworkSettings("monai/ViT", size=(32, 32), options=options, frozen="stages 1-2"), 0).eval()
    (space,), images = (
        build_frozen_features(FrozenFeatureKind.ENCODER, network, 1, 0, strength=0.0),
        torch.rand(2, 1, 32, 32),
    )
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        frozen_maps = network.backbone.frozen_maps(images)
        maps = space.feature_maps(images, network.backbone, frozen_maps)
    assert frozen_maps.dtype == torch.float32  # those of layers in half precision, plus positions in float32
    assert torch.equal(maps, space.extractor.feature_maps(images))


def test_its_sums_are_those_of_every_sites_images_at_once() -> None:
    method = learned()
    assert method.router is not None
    for space in method.router.feature_spaces:
        features, targets = [], []
        for tasks in ((FIRST,), (FIRST, SECOND)):
            context = context_of(tasks, SETTINGS)
            for batch in data_of(context, bar_split(tasks[-1], context.labels))(Split.TRAIN):
                features.append(space.extractor(batch.images).double())
                targets.append(batch.classes)
        every, columns = torch.cat(features), torch.cat(targets)
        torch.testing.assert_close(space.closed_form.sums.total.gram[:-1, :-1], every.T @ every)
        for column in range(5):
            torch.testing.assert_close(space.closed_form.sums.total.means[column], every[columns == column].mean(0))


def test_both_feature_spaces_average_their_log_probabilities() -> None:
    method = learned({"classifier.mode": ClassifierMode.PROTOTYPES})
    assert method.router is not None
    first, second = (space.log_probs(space.extractor.feature_maps(IMAGES)) for space in method.router.feature_spaces)
    torch.testing.assert_close(answers_of(method), ((first + second) / 2).log_softmax(1))


@pytest.mark.parametrize(
    ("frozen", "parts"),
    [
        (FrozenFeatureKind.RANDOM, {"random_space"}),
        (FrozenFeatureKind.ENCODER, {"encoder_space"}),
        (FrozenFeatureKind.BOTH, {"random_space", "encoder_space"}),
    ],
)
def test_a_version_gives_the_same_answers_when_it_is_read_again(frozen: FrozenFeatureKind, parts: set[str]) -> None:
    method, loaded = learned({"classifier.frozen_features": frozen}), make({"classifier.frozen_features": frozen})
    state = method.state_dict()
    assert {name.split("/")[0] for name in state if "space." in name} == {
        f"{part}.{site}" for part in parts for site in ("site-1", "site-2")
    }
    loaded.load_state_dict(state, 5)
    torch.testing.assert_close(answers_of(loaded), answers_of(method))


def test_weights_from_elsewhere_are_answered_by_their_head_for_good() -> None:
    imported = make()
    imported.network.head.grow(2, torch.Generator().manual_seed(0))
    method = make()
    method.load_state_dict(imported.state_dict(), 2)
    learn(method, FIRST, SECOND)
    assert method.router is None
    with torch.no_grad():
        torch.testing.assert_close(answers_of(method), method.network(IMAGES))
    loaded = make()
    loaded.load_state_dict(method.state_dict(), 5)
    torch.testing.assert_close(answers_of(loaded), answers_of(method))


def test_another_methods_version_is_refused_where_prototypes_must_answer() -> None:
    finetune = Finetune(FinetuneOptions(), SPEC, seed=0)
    learn(finetune, FIRST)
    network = {f"network/{name}": value for name, value in make().network.state_dict().items()}
    state = {**network, **finetune.state_dict()}
    method = make()
    method.load_state_dict(state, 2)
    assert method.router is None
    with pytest.raises(InputError, match="mode: routed needs class prototypes of all classes"):
        make({"classifier.mode": ClassifierMode.ROUTED}).load_state_dict(state, 2)


def test_the_frozen_part_of_the_network_is_computed_once_for_both() -> None:
    spec = replace(SPEC, frozen="stages 1-2", options={"width": 8, "norm": "batch"}, batch_statistics="frozen")
    method = EWCPrototype(prototype_options(SHARED), spec, seed=0)
    learn(method, FIRST)
    learn(method, FIRST, SECOND)
    assert method.router is not None
    backbone, space = method.network.backbone, method.router.feature_spaces[1]
    assert isinstance(space.extractor, EncoderFeatures)
    expected = space.extractor.feature_maps(IMAGES)
    space.extractor._fast_maps = None  # type: ignore[assignment]
    maps = space.feature_maps(IMAGES, backbone, backbone.frozen_maps(IMAGES))
    torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        next(iter(backbone.parameters())).mul_(2)
    with pytest.raises(TypeError):  # another frozen part: the encoder's own is needed
        space.feature_maps(IMAGES, backbone, backbone.frozen_maps(IMAGES))


def test_a_pretrained_encoder_is_not_replaced_by_the_first_sites() -> None:
    pretrained = Classifier(SPEC, seed=9).backbone.state_dict()
    method = make()
    method.load_pretrained(pretrained)
    learn(method, FIRST)
    assert method.router is not None
    extractor = method.router.feature_spaces[1].extractor
    assert isinstance(extractor, EncoderFeatures)
    assert all(torch.equal(value, pretrained[name]) for name, value in extractor.backbone.state_dict().items())
    assert any(not torch.equal(value, pretrained[name]) for name, value in method.network.backbone.state_dict().items())
