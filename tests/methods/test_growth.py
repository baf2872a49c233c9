"""A site that comes back brings all its data: it is learned as if at once, its corrected labels are followed."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from builders.learning import FIRST, SECOND, SPEC, bar_split, context_of, data_of, prototype_options
from torch import Tensor

from anamnesis.methods import Method, PredictionRequest, TaskContext, registered_methods
from anamnesis.methods.closed_form.heads import HeadKind
from anamnesis.methods.derpp import DERPP, DERPPOptions
from anamnesis.methods.ewc import EWC, EWCOptions
from anamnesis.methods.ewc_prototype import EWCPrototype
from anamnesis.methods.frozen_ridge import FeatureSource, FrozenRidge, FrozenRidgeOptions
from anamnesis.methods.lwf import LWF, LWFOptions
from anamnesis.methods.site_state import site_of_part, site_part
from anamnesis.records import Configuration, InputError, Task, TrainingSettings, find_class_indices, label_space
from anamnesis.storage.store import open_store
from anamnesis.training import CheckpointPace, Checkpoints, TensorSplit, precision_for, train

PRECISION = precision_for(Configuration("finetune"), "cpu")
SETTINGS = TrainingSettings(epochs=8, batch_size=8, learning_rate=5e-3, augment=False)
SHORT = TrainingSettings(epochs=2, batch_size=8, learning_rate=5e-3)
Visit = tuple[str, Task]
NORTH, SOUTH = ("north", FIRST), ("south", SECOND)
SHARED = {"visual_prototypes.sharing": "shared", "visual_prototypes.minimum_images": 3}


class KilledError(Exception):
    """Stands for SIGKILL inside one process."""


def context_after(*visits: Visit, settings: TrainingSettings = SETTINGS) -> TaskContext:
    """The context of the last visit, after the others."""
    (site, task), labels = visits[-1], label_space(visited_task for _, visited_task in visits)
    other_sites = {name: find_class_indices(other_task, labels) for name, other_task in visits if name != site}
    context = context_of((task,), settings)
    columns = find_class_indices(task, labels)
    is_returning = site in {name for name, _ in visits[:-1]}
    return replace(
        context, site=site, labels=labels, class_indices=columns, other_sites=other_sites, is_returning=is_returning
    )


def split_of(task: Task, labels: tuple[str, ...], count: int = 40, swapped: bool = False) -> TensorSplit:
    split = bar_split(task, labels, count)
    if swapped:
        first, second = find_class_indices(task, labels)
        split.classes.copy_(first + second - split.classes)
    return split


def learn(method: Method[Any], *visits: Visit, count: int = 40, swapped: bool = False, **options: Any) -> None:
    context = context_after(*visits, settings=options.pop("settings", SETTINGS))
    split = split_of(visits[-1][1], context.labels, count, swapped)
    train(method, context, data_of(context, split), PRECISION, **options)


def accuracy(method: Method[Any], task: Task, *visits: Visit) -> float:
    labels = label_space(visited_task for _, visited_task in visits)
    split = bar_split(task, labels, 40, seed=7)
    logits = method.predict(split.images.float(), PredictionRequest(find_class_indices(task, labels))).logits
    assert logits is not None
    return float((logits.argmax(1) == split.classes).float().mean())


def tensors_of(method: Method[Any]) -> dict[str, Tensor]:
    return {name: value for name, value in method.state_dict().items() if isinstance(value, Tensor)}


def assert_equal_states(first: Method[Any], second: Method[Any]) -> None:
    states = tensors_of(first), tensors_of(second)
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def closed_form(head: HeadKind = HeadKind.RIDGE) -> FrozenRidge:
    return FrozenRidge(FrozenRidgeOptions(features=FeatureSource.RANDOM, head=head, grid=2), SPEC, seed=0)


@pytest.mark.parametrize("head", HeadKind)
def test_sums_after_growing_and_after_corrections_are_those_of_the_current_data_bit_for_bit(head: HeadKind) -> None:
    grown, at_once = closed_form(head), closed_form(head)
    learn(grown, NORTH, count=12, swapped=True)
    learn(grown, NORTH, count=20, swapped=True)
    learn(grown, NORTH, SOUTH)
    learn(grown, NORTH, SOUTH, NORTH)
    learn(at_once, NORTH)
    learn(at_once, NORTH, SOUTH)
    assert torch.equal(grown.network.head.weight, at_once.network.head.weight)
    assert torch.equal(grown.network.head.bias, at_once.network.head.bias)
    assert accuracy(grown, FIRST, NORTH, SOUTH) > 0.9


FOLLOWING: dict[str, Method[Any]] = {
    "ewc_prototype, private": EWCPrototype(prototype_options({}), SPEC, 0),
    "ewc_prototype, shared": EWCPrototype(prototype_options(SHARED), SPEC, 0),
    "ewc": EWC(EWCOptions(), SPEC, 0),
    "derpp": DERPP(DERPPOptions(buffer=30), SPEC, 0),
    "lwf": LWF(LWFOptions(), SPEC, 0),
}


@pytest.mark.parametrize("name", FOLLOWING)
@pytest.mark.parametrize("visits", [(NORTH, NORTH), (NORTH, SOUTH, NORTH)], ids=["alone", "after another site"])
def test_labels_that_were_swapped_and_put_right_are_followed_at_once(name: str, visits: tuple[Visit, ...]) -> None:
    method = copy.deepcopy(FOLLOWING[name])
    learn(method, NORTH, swapped=True)
    assert accuracy(method, FIRST, NORTH) < 0.1
    for number in range(1, len(visits)):
        learn(method, *visits[: number + 1])
    assert accuracy(method, FIRST, *visits) > 0.9


def test_a_model_of_one_site_grows_without_penalty_replay_and_teacher() -> None:
    for name, terms in (("ewc_prototype, shared", {"ewc", "prototype_retention"}), ("lwf", {"distillation"})):
        for visits, expected in (((NORTH, NORTH), set()), ((NORTH, SOUTH, NORTH), terms)):
            method = copy.deepcopy(FOLLOWING[name])
            for number in range(len(visits) - 1):
                learn(method, *visits[: number + 1], settings=SHORT)
            context = context_after(*visits, settings=SHORT)
            log = train(method, context, data_of(context, split_of(FIRST, context.labels)), PRECISION)
            assert terms & log.epoch_losses[0].keys() == expected


def test_stored_logits_of_classes_that_the_sites_own_past_taught_are_not_repeated() -> None:
    method = DERPP(DERPPOptions(buffer=30), SPEC, 0)
    learn(method, NORTH, swapped=True)
    learn(method, NORTH, SOUTH)
    context = context_after(NORTH, SOUTH, NORTH)
    method.begin_task(context, data_of(context, split_of(FIRST, context.labels)))
    samples = method._buffer.samples
    assert samples is not None
    assert set(samples.targets.tolist()) == {2, 3, 4}  # the site's own images left the buffer
    assert method._has_valid_logit(samples).any(0).tolist() == [False, False, True, True, True]


@pytest.mark.parametrize("name", registered_methods())
def test_a_returning_site_that_was_killed_ends_with_equal_bits(name: str, tmp_path: Path) -> None:
    def make() -> Method[Any]:
        kind = registered_methods()[name]
        return kind(kind.options_class(), SPEC, 0)

    base = make()
    learn(base, NORTH, settings=SHORT, swapped=True)
    learn(base, NORTH, SOUTH, settings=SHORT)
    whole, broken, resumed = make(), make(), make()
    for method in (whole, broken, resumed):
        method.load_state_dict(copy.deepcopy(base.state_dict()), 5)

    def kill(completed: int, total: int, unit: str) -> None:
        if completed == 2:
            raise KilledError

    checkpoints = Checkpoints(open_store(tmp_path.as_uri()), "checkpoints/x", pace=CheckpointPace(0, 0))
    visits = (NORTH, SOUTH, NORTH)
    learn(whole, *visits, settings=SHORT)
    if name != "frozen_ridge":  # closed forms have no step
        with pytest.raises(KilledError):
            learn(broken, *visits, settings=SHORT, checkpoints=checkpoints, progress=kill)
    learn(resumed, *visits, settings=SHORT, checkpoints=checkpoints)
    assert_equal_states(whole, resumed)


@pytest.mark.parametrize("name", registered_methods())
def test_a_withdrawn_site_leaves_no_part_and_no_class(name: str) -> None:
    kind = registered_methods()[name]
    method = kind(kind.options_class(), SPEC, 0)
    learn(method, NORTH, settings=SHORT)
    learn(method, NORTH, SOUTH, settings=SHORT)
    method.forget_site("north", (2, 3, 4))
    assert {site_of_part(key.split("/")[0]) for key in method.state_dict()} <= {"", "south"}
    loaded = kind(kind.options_class(), SPEC, 0)
    loaded.load_state_dict(copy.deepcopy(method.state_dict()), 3)
    loaded.network.to(memory_format=PRECISION.memory_format)  # another layout rounds differently
    images = torch.rand(4, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    answers = [m.predict(images, PredictionRequest()).logits for m in (method, loaded)]
    assert answers[0] is not None
    assert answers[0].shape == (4, 3)
    torch.testing.assert_close(*answers)
    learn(method, SOUTH, NORTH, settings=SHORT)  # the site may come back, as a new one


@pytest.mark.parametrize("head", HeadKind)
def test_withdrawal_is_exact_for_sums(head: HeadKind) -> None:
    withdrawn, never = closed_form(head), closed_form(head)
    learn(withdrawn, NORTH)
    learn(withdrawn, NORTH, SOUTH)
    withdrawn.forget_site("north", (2, 3, 4))
    learn(never, SOUTH)
    assert_equal_states(withdrawn, never)


def test_a_withdrawn_site_of_a_shared_task_leaves_the_classes_to_the_other() -> None:
    method, never = closed_form(), closed_form()
    learn(method, NORTH, count=12, swapped=True)
    learn(method, NORTH, ("west", FIRST))
    method.forget_site("north", (0, 1))
    learn(never, ("west", FIRST))
    assert_equal_states(method, never)


@pytest.mark.parametrize("site", ["", "a/b"])
def test_a_name_that_would_break_the_names_of_parts_is_refused(site: str) -> None:
    with pytest.raises(InputError, match="site: expected a name without a slash"):
        site_part("ridge", site)
    assert site_of_part(site_part("ridge", "st.-jude")) == "st.-jude"
