"""Where numbers are computed, in what precision, and the record of it."""

import pytest
import torch
from builders.learning import FIRST, bar_split, context_of

from anamnesis.methods.finetune import Finetune, FinetuneOptions
from anamnesis.records import Configuration, InputError, NetworkSettings, Split, TrainingSettings
from anamnesis.training import (
    SplitData,
    precision,
    precision_for,
    train,
)

RESNET = NetworkSettings("ResNet18", size=(16, 16), options={"width": 8, "norm": "group"})


@pytest.mark.parametrize(
    ("network", "setting", "tiles", "half"),
    [
        ("ResNet18", "auto", True, True),
        ("ResNet18", "auto", False, False),
        ("SmallCNN", "auto", True, False),
        ("SmallCNN", "bfloat16", False, True),
        ("ResNet18", "float32", True, False),
    ],
)
def test_bfloat16_where_it_gains_or_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, network: str, setting: str, tiles: bool, half: bool
) -> None:
    monkeypatch.setattr(precision, "has_matrix_tiles", lambda: tiles)
    configuration = Configuration("finetune", {}, NetworkSettings(network), TrainingSettings(precision=setting))
    chosen = precision_for(configuration, "cpu")
    assert chosen.use_bfloat16 is half
    assert chosen.environment()["precision"] == ("bfloat16" if half else "float32")
    assert ("AMX" in chosen.environment()["instructions"]) is tiles


def test_an_unknown_precision_is_named() -> None:
    with pytest.raises(InputError, match="expected one of auto, float32, bfloat16, found 'half'"):
        precision_for(Configuration("finetune", training=TrainingSettings(precision="half")))


def test_what_was_set_before_is_set_again() -> None:
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with precision_for(
        Configuration("finetune", training=TrainingSettings(threads=threads + 1)), "cpu"
    ).deterministic_mode():
        assert torch.get_num_threads() == threads + 1
        assert torch.are_deterministic_algorithms_enabled()
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == (threads, strict)


def test_a_resnet_learns_in_bfloat16_and_keeps_float32_weights() -> None:
    settings = TrainingSettings(epochs=1, batch_size=8, precision="bfloat16")
    context = context_of((FIRST,), settings)
    chosen = precision_for(Configuration("finetune", {}, RESNET, settings), "cpu")
    method = Finetune(FinetuneOptions(), RESNET, seed=0)
    data = SplitData({Split.TRAIN: bar_split(FIRST, context.labels)}, settings, context.streams, chosen)
    before = [value.clone() for value in method.network.backbone.parameters()]
    log = train(method, context, data, chosen)
    assert log.epoch_losses[0]["classification"] < 2
    after = list(method.network.backbone.parameters())
    assert all(value.dtype is torch.float32 for value in after)
    assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))
