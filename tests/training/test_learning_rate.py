"""The range test that chooses a learning rate."""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
import torch
from builders.learning import (
    EXTREMES,
    FIRST,
    SETTINGS,
    SPEC,
    NoOptions,
    bar_split,
    context_of,
    data_of,
    prototype_options,
)

from anamnesis.methods import Method, build_method, method_class
from anamnesis.methods.stage import TrainingStep
from anamnesis.records import Configuration, InputError, TrainingSettings
from anamnesis.training import RangeTest, find_learning_rate, precision_for, train
from anamnesis.training.learning_rate import RATES, STEPS, choose_rate, judge

UNSET = replace(SETTINGS, learning_rate=None)
PRECISION = precision_for(Configuration("finetune"), "cpu")


def run_test(method: Method[object], settings: TrainingSettings = UNSET) -> RangeTest | None:
    context = context_of((FIRST,), settings)
    return find_learning_rate(method, context, data_of(context, bar_split(FIRST, context.labels)), PRECISION)


def make_finetune(settings: TrainingSettings = UNSET) -> Method[object]:
    return build_method(Configuration("finetune", {}, SPEC, settings))


@pytest.mark.parametrize("optimiser", RATES)
def test_it_tries_each_rate_on_copies_and_gives_the_same_result_again(optimiser: str) -> None:
    settings = replace(UNSET, optimiser=optimiser)
    method = make_finetune(settings)
    before = copy.deepcopy(method.state_dict())
    result = run_test(method, settings)
    assert result == run_test(method, settings)
    assert result is not None
    assert tuple(result.losses) == RATES[optimiser]
    assert result.chosen_rate == min(result.losses, key=result.losses.__getitem__)
    assert before.keys() == method.state_dict().keys()
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())  # type: ignore[arg-type]


def test_another_seed_gives_other_losses() -> None:
    first, second = run_test(make_finetune()), run_test(make_finetune(), replace(UNSET, seed=1))
    assert first is not None
    assert second is not None
    assert first.losses != second.losses


def test_a_rate_that_diverges_or_hardly_moves_is_not_chosen() -> None:
    assert choose_rate({1e-4: 0.69, 1e-3: 0.5, 1e-2: 0.4, 1e-1: math.inf}) == 1e-2
    assert choose_rate({1e-4: 0.69, 1e-3: 0.5, 1e-2: 2.0}) == 1e-3
    assert choose_rate({1e-2: 0.5, 1e-3: 0.5}) == 1e-3
    assert choose_rate({1e-2: math.inf, 1e-3: math.inf}) == 1e-3
    assert judge([9.0] * 4 + [1.0, 2.0, 3.0, 4.0] * 2) == 2.5
    assert judge([1.0] * 11 + [math.nan]) == math.inf


def test_a_closed_form_has_no_rate() -> None:
    (closed_form,) = (kind for kind in EXTREMES if kind.name == "closed_form")
    assert run_test(closed_form(NoOptions(), SPEC, seed=3)) is None


def test_a_method_sees_only_first_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[TrainingStep] = []
    method = make_finetune()
    monkeypatch.setattr(type(method), "after_step", lambda trial, step: steps.append(step))
    assert run_test(method) is not None
    assert len(steps) == STEPS * len(RATES["adamw"])
    assert {step.progress for step in steps} == {0.0}


def test_training_without_a_rate_is_an_error() -> None:
    context = context_of((FIRST,), UNSET)
    with pytest.raises(InputError, match=r"training\.learning_rate: expected a number, found none"):
        train(make_finetune(), context, data_of(context, bar_split(FIRST, context.labels)), PRECISION)


def test_trials_leave_no_result_of_their_own_weights_behind() -> None:
    names: list[str] = []

    def record(name: str, compute: Callable[[], Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        names.append(name)
        return dict(compute())

    context = replace(context_of((FIRST,)), checkpointed=record)
    data = data_of(context, bar_split(FIRST, context.labels))
    method = method_class("ewc_prototype")(prototype_options({"visual_prototypes.warm_up": 0.0}), SPEC, seed=0)
    assert find_learning_rate(method, context, data, PRECISION) is not None
    assert "visual_prototypes" not in names
    assert names[-1] == "learning_rate_test"
