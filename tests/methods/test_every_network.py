"""Every method learns with every kind of network, keeps what is frozen, and answers alike after loading.

Our own network is that of ``test_protocol.py``.
"""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from builders.learning import FIRST, SECOND, SETTINGS, context_of

from anamnesis.methods import Method, PredictionRequest, TaskContext, registered_methods
from anamnesis.networks import Backbone, build_backbone
from anamnesis.records import Configuration, NetworkSettings, Split
from anamnesis.training import Precision, SplitData, TensorSplit, precision_for, train

pytest.importorskip("timm", reason="needs the extra timm")
ONE_EPOCH = replace(SETTINGS, epochs=1)
TASKS, COUNT = (FIRST, SECOND), 10  # no batch of one image: batch normalisation cannot train on a single cell
OWN = NetworkSettings(size=(16, 16), options={"width": 8, "norm": "batch"})
NETWORKS = {
    "convolutions": NetworkSettings("timm/test_convnext", size=(32, 32)),
    "transformer": NetworkSettings("timm/test_vit", size=(32, 32)),
    "volumes": NetworkSettings("monai/resnet10", size=(16, 16, 16), options={"width": 8, "stem_stride": 1}),
}


def make(name: str, settings: NetworkSettings) -> Method[Any]:
    kind = registered_methods()[name]
    return kind(kind.options_class(), settings, seed=3)


def backbones(method: Method[Any]) -> list[Backbone]:
    return [part for part in method.network.modules() if isinstance(part, Backbone)]


def images_of(settings: NetworkSettings, seed: int) -> torch.Tensor:
    return torch.rand(COUNT, settings.channels, *settings.size, generator=torch.Generator().manual_seed(seed))


def data_of(settings: NetworkSettings, task_count: int) -> tuple[TaskContext, SplitData, Precision]:
    context = context_of(TASKS[:task_count], ONE_EPOCH)
    classes = torch.tensor(context.class_indices).repeat(COUNT)[:COUNT]
    split = TensorSplit.of_images(images_of(settings, task_count).half(), classes, tuple(map(str, range(COUNT))))
    precision = precision_for(Configuration("finetune", {}, settings, ONE_EPOCH), "cpu")
    return context, SplitData({Split.TRAIN: split}, ONE_EPOCH, context.streams, precision), precision


def learn(method: Method[Any], settings: NetworkSettings, task_count: int) -> None:
    train(method, *data_of(settings, task_count))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", registered_methods())
def test_every_method_takes_every_network(name: str, network: str) -> None:
    settings = NETWORKS[network]
    method = make(name, settings)
    for task_count in (1, 2):
        learn(method, settings, task_count)
    loaded = make(name, settings)
    loaded.load_state_dict(copy.deepcopy(method.state_dict()), 5)
    images, request = images_of(settings, 7), PredictionRequest(with_embedding=True)
    answer, loaded_answer = (each.predict(images, request) for each in (method, loaded))
    assert answer.logits is not None
    assert answer.logits.shape == (COUNT, 5)
    rounding = {"rtol": 1e-3, "atol": 1e-3}  # of another memory layout; test_protocol.py compares bits
    torch.testing.assert_close(answer.logits, loaded_answer.logits, **rounding)
    torch.testing.assert_close(answer.embedding, loaded_answer.embedding, **rounding)
    for branch in method.explained_features(images):
        assert branch.features.dim() == images.dim()  # maps, also of tokens


@pytest.mark.parametrize("frozen", ["all", "stages 1-2"])
@pytest.mark.parametrize("name", registered_methods())
def test_no_stage_of_any_method_has_a_frozen_parameter(name: str, frozen: str) -> None:
    settings = replace(OWN, frozen=frozen)
    method = make(name, settings)
    stages = method.begin_task(*data_of(settings, 1)[:2])
    learning = {id(value) for stage in stages for group in stage.groups for value in group.parameters}
    frozen_ids = {id(part.get_parameter(key)) for part in backbones(method) for key in part.frozen_parameters}
    assert len(frozen_ids) >= (12 if frozen == "all" else 6)
    assert not frozen_ids & learning
    assert learning or not stages  # a method in closed form has none where the whole backbone is frozen
    start = build_backbone(settings, seed=3)
    for task_count in (1, 2):
        learn(method, settings, task_count)
    names = frozen_state(start)
    for part in backbones(method):
        if part.frozen_parameters:
            state = part.state_dict()
            assert all(torch.equal(state[key], start.state_dict()[key]) for key in names)


def frozen_state(backbone: Backbone) -> set[str]:
    """Names of the frozen parameters, and of the batch statistics beside them."""
    layers = {key.rpartition(".")[0] for key in backbone.frozen_parameters}
    return {key for key in backbone.state_dict() if key.rpartition(".")[0] in layers}


def test_what_is_not_frozen_learns() -> None:
    settings = replace(OWN, frozen="stages 1-2")
    method = make("finetune", settings)
    before = copy.deepcopy(method.network.backbone.state_dict())
    learn(method, settings, 1)
    after = method.network.backbone.state_dict()
    changed = {key for key, value in before.items() if not torch.equal(value, after[key])}
    assert changed == before.keys() - frozen_state(method.network.backbone)


def test_frozen_batch_statistics_stay_while_weights_learn() -> None:
    settings = replace(OWN, batch_statistics="frozen")
    method = make("finetune", settings)
    before = copy.deepcopy(method.network.backbone.state_dict())
    learn(method, settings, 1)
    after = method.network.backbone.state_dict()
    unchanged = {key for key, value in before.items() if torch.equal(value, after[key])}
    assert unchanged == {key for key in before if "running" in key or "tracked" in key}
