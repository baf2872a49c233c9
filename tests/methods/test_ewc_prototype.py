"""``ewc_prototype`` as a whole. Numbers are those of ``docs/methods/ewc_prototype.md``."""

import copy
import re
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from builders.learning import FIRST, SECOND, SPEC, bar_split, context_of, data_of, prototype_options

from anamnesis.evaluation.saliency import explain_classes
from anamnesis.methods import PredictionRequest, TrainingStep
from anamnesis.methods.base import Method, TrainingLog
from anamnesis.methods.classification import SoftmaxScope
from anamnesis.methods.ewc_prototype import EWCPrototype
from anamnesis.methods.ewc_prototype_options import EWCPrototypeOptions
from anamnesis.methods.features.saliency_maps import MapDistance, MapNormalisation
from anamnesis.methods.features.visual_prototypes import PrototypeMap, PrototypeSharing
from anamnesis.methods.finetune import Finetune, FinetuneOptions
from anamnesis.methods.heads.head_refit import HeadRefit
from anamnesis.methods.heads.task_router import ClassifierMode
from anamnesis.methods.losses.saliency_alignment import SaliencyAlignmentLoss
from anamnesis.methods.stage import TrainingPass
from anamnesis.records import AnamnesisError, Configuration, InputError, Split, Task, TaskType, TrainingSettings
from anamnesis.storage.store import open_store
from anamnesis.training import CheckpointPace, Checkpoints, TensorSplit, precision_for, train
from anamnesis.training.optimiser_steps import gradient_norms

PRECISION = precision_for(Configuration("finetune"), "cpu")
Options = Mapping[str, object]
NO_OPTIONS: Options = {}
SETTINGS = TrainingSettings(epochs=2, batch_size=8, learning_rate=5e-3)
LOSS_OF_WEIGHT = {
    "consolidation.penalty": "ewc",
    "reconstruction.weight": "reconstruction",
    "latent_prototypes.prototype_near_sample": "prototype_near_sample",
    "latent_prototypes.sample_near_prototype": "sample_near_prototype",
    "saliency.weight": "saliency_alignment",
    "retention.weight": "prototype_retention",
}
OFF = dict.fromkeys(LOSS_OF_WEIGHT, 0.0)
FULL: dict[str, Any] = {
    "visual_prototypes.sharing": PrototypeSharing.SHARED,
    "visual_prototypes.minimum_images": 3,
    "consolidation.penalty": 100.0,
    "visual_prototypes.warm_up": 0.0,
    "saliency.ramp": 0.0,
}


def make(options: Options = NO_OPTIONS) -> EWCPrototype:
    return EWCPrototype(prototype_options({**FULL, **options}), SPEC, seed=0)


def learn(method: Method[Any], *tasks: Task, split: TensorSplit | None = None, **options: Any) -> TrainingLog:
    context = context_of(tasks, options.pop("settings", SETTINGS))
    return train(method, context, data_of(context, split or bar_split(tasks[-1], context.labels)), PRECISION, **options)


def terms_of(method: EWCPrototype, *tasks: Task, step: TrainingStep | None = None) -> dict[str, torch.Tensor]:
    """The terms at the first batch of a task that begins."""
    context = context_of(tasks, SETTINGS)
    data = data_of(context, bar_split(tasks[-1], context.labels))
    method.begin_task(context, data)
    return method.loss(
        next(iter(data(Split.TRAIN, TrainingPass("train")))),
        step or TrainingStep("train", 0, step_index=0, total_steps=12, learning_rate=1e-3),
    )


def trained_on_first(options: Options = NO_OPTIONS) -> EWCPrototype:
    """A copy of the method after the first task; with equal options it is trained once."""
    return copy.deepcopy(_trained_on_first(tuple(sorted(options.items()))))


@cache
def _trained_on_first(options: tuple[tuple[str, object], ...]) -> EWCPrototype:
    method = make(dict(options))
    learn(method, FIRST)
    return method


def test_8_with_every_weight_at_zero_it_is_fine_tuning_bit_for_bit() -> None:
    free, plain = make(OFF), Finetune(FinetuneOptions(competing=SoftmaxScope.TASK), SPEC, seed=0)
    for tasks in ((FIRST,), (FIRST, SECOND)):
        ours, theirs = (learn(method, *tasks).epoch_losses for method in (free, plain))
        assert ours == theirs  # the loss curve, digit for digit
    state = free.network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in plain.network.state_dict().items())


def test_9_every_term_reaches_the_encoder_and_only_pictures_reach_the_decoder() -> None:
    method = trained_on_first()
    terms = terms_of(method, FIRST, SECOND)
    with torch.no_grad():  # away from the anchor
        for value in method.network.parameters():
            value.add_(0.01)
    terms = method.loss(
        next(iter(method._data(Split.TRAIN, TrainingPass("train")))),
        TrainingStep("train", 0, step_index=0, total_steps=12, learning_rate=1e-3),
    )
    assert set(terms) == {
        "classification", "reconstruction", "prototype_near_sample", "sample_near_prototype", "saliency_alignment",
        "prototype_retention", "ewc",
    }  # fmt: skip
    network = method.network
    encoder = gradient_norms(terms, list(network.backbone.parameters()))
    assert all(norm > 0 for norm in encoder.values()), encoder
    decoder = gradient_norms(terms, list(network.decoder.parameters()))
    assert {name for name, norm in decoder.items() if norm > 0} == {
        "reconstruction.gradient",
        "prototype_retention.gradient",  # its part on stored prototypes
    }
    head = gradient_norms(terms, list(network.head.parameters()))
    assert {name for name, norm in head.items() if norm > 0} == {
        "classification.gradient", "saliency_alignment.gradient", "prototype_retention.gradient", "ewc.gradient",
    }  # fmt: skip


@pytest.mark.parametrize("weight", [*LOSS_OF_WEIGHT, "classification.weight"])
def test_9_weight_zero_takes_away_exactly_its_gradient(weight: str) -> None:
    state = trained_on_first().state_dict()

    def gradients(options: Options = NO_OPTIONS) -> dict[str, dict[str, torch.Tensor]]:
        method = make(options)
        method.load_state_dict(copy.deepcopy(state), 2)
        terms = terms_of(method, FIRST, SECOND)
        parameters = dict(method.network.named_parameters())
        gradients_by_term = {}
        for name, term in terms.items():
            values = torch.autograd.grad(term, list(parameters.values()), retain_graph=True, allow_unused=True)
            gradients_by_term[name] = {n: v for n, v in zip(parameters, values, strict=True) if v is not None}
        return gradients_by_term

    full, without = gradients(), gradients({weight: 0.0})
    assert full.keys() - without.keys() == {LOSS_OF_WEIGHT.get(weight, "classification")}
    for name, values in without.items():
        assert values.keys() == full[name].keys()
        for parameter, value in values.items():
            torch.testing.assert_close(value, full[name][parameter], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("mode", ClassifierMode)
def test_10_saved_and_reloaded_between_tasks_the_next_loss_is_the_same(mode: ClassifierMode) -> None:
    method, loaded = trained_on_first({"classifier.mode": mode}), make({"classifier.mode": mode})
    loaded.load_state_dict(copy.deepcopy(method.state_dict()), 2)
    loaded.network.to(memory_format=PRECISION.memory_format)
    ours, theirs = (terms_of(m, FIRST, SECOND) for m in (method, loaded))
    assert len(ours) == 7
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    images = torch.rand(4, 1, 16, 16)
    answers = [m.predict(images, PredictionRequest()).logits for m in (method, loaded)]
    assert torch.equal(*answers)


class TrainingKilledError(Exception):
    """Stands for SIGKILL inside one process."""


def test_10_killed_inside_the_second_task_it_ends_with_equal_bits_and_an_equal_log(tmp_path: Path) -> None:
    """Before the prototypes are fixed, after, and at the end."""
    options = {"visual_prototypes.warm_up": 0.3, "saliency.ramp": 0.3}
    whole = trained_on_first(options)
    expected = learn(whole, FIRST, SECOND)
    for kill_at in (1, 3, 5):

        def kill(completed: int, total: int, unit: str, last: int = kill_at) -> None:
            if completed == last:
                raise TrainingKilledError

        broken, resumed = trained_on_first(options), trained_on_first(options)
        checkpoints = Checkpoints(open_store(tmp_path.as_uri()), f"checkpoints/{kill_at}", pace=CheckpointPace(0, 0))
        with pytest.raises(TrainingKilledError):
            learn(broken, FIRST, SECOND, checkpoints=checkpoints, progress=kill)
        resumed_log = learn(resumed, FIRST, SECOND, checkpoints=checkpoints)
        for ours, theirs in zip(resumed_log.epoch_losses, expected.epoch_losses, strict=True):
            assert ours == pytest.approx(theirs, rel=1e-6), kill_at
        first, second = whole.state_dict(), resumed.state_dict()
        assert first.keys() == second.keys()
        for name, value in first.items():
            assert not isinstance(value, torch.Tensor) or torch.equal(value, second[name]), (kill_at, name)


def test_saliency_waits_for_the_warm_up_and_is_ramped() -> None:
    method = make({"visual_prototypes.warm_up": 0.5, "saliency.ramp": 0.25})
    assert "saliency_alignment" not in terms_of(method, FIRST)
    alignment = next(part for part in method.components if isinstance(part, SaliencyAlignmentLoss))
    assert [alignment.ramp_factor(progress) for progress in (0.2, 0.5, 0.625, 0.75, 1.0)] == [0, 0, 0.5, 1, 1]
    learn(method, FIRST)
    assert method.visual_prototypes is not None
    assert method.visual_prototypes.by_site["site-1"].images.flatten(1).any(1).all()


def test_12_each_term_is_logged_with_its_gradient_norm() -> None:
    method = trained_on_first()
    last = learn(method, FIRST, SECOND).epoch_losses[-1]
    names = {name.removesuffix(".gradient") for name in last if name.endswith(".gradient")}
    assert names == {*LOSS_OF_WEIGHT.values(), "classification"}
    assert names < set(last)
    assert 0 <= last["saliency_alignment.dispersion"] <= 1


def test_logging_gradients_changes_no_gradient() -> None:
    terms, network = terms_of(method := trained_on_first(), FIRST, SECOND), method.network
    network.zero_grad(set_to_none=True)
    norms = gradient_norms(terms, list(network.parameters()))
    assert all(value.grad is None for value in network.parameters())
    second_norms = gradient_norms(terms, list(network.parameters()))
    assert all(torch.equal(norm, second_norms[name]) for name, norm in norms.items())


def test_the_state_of_a_site_is_parts_of_its_own_and_no_other_site_changes_them() -> None:
    method = trained_on_first({"classifier.mode": ClassifierMode.ROUTED})
    before = method.state_dict()
    learn(method, FIRST, SECOND)
    after = method.state_dict()
    of_first = [name for name in before if ".site-1/" in name]
    assert {name.split(".")[0] for name in of_first} == {
        "visual_prototypes", "random_space", "encoder_space", "ewc_fisher"
    }  # fmt: skip
    assert all(torch.equal(after[name], before[name]) for name in of_first)
    assert {name.split("/")[0] for name in after.keys() - before.keys()} == {
        f"{part}.site-2" for part in ("visual_prototypes", "random_space", "encoder_space", "ewc_fisher")
    }


@pytest.mark.parametrize("mode", ClassifierMode)
def test_it_answers_class_and_task_incrementally(mode: ClassifierMode) -> None:
    method = trained_on_first({"classifier.mode": mode, "classifier.prototype_weight": 0.5})
    learn(method, FIRST, SECOND)
    images = torch.rand(6, 1, 16, 16)
    every = method.predict(images, PredictionRequest(with_embedding=True))
    inside = method.predict(images, PredictionRequest((2, 3, 4))).logits
    assert every.logits is not None
    assert inside is not None
    assert every.embedding is not None
    assert every.logits.isfinite().all()
    assert (inside.argmax(1) >= 2).all()
    if mode is not ClassifierMode.LINEAR:
        torch.testing.assert_close(every.logits.exp().sum(1), torch.ones(6))


def test_routed_is_the_probability_of_the_task_times_that_of_the_class_in_it() -> None:
    method = trained_on_first({"classifier.mode": ClassifierMode.ROUTED, "classifier.prototype_weight": 0.0})
    learn(method, FIRST, SECOND)
    images = torch.rand(6, 1, 16, 16)
    with torch.no_grad():
        assert method.router is not None
        class_probabilities = method.router.log_probs(
            [branch.features for branch in method.router.branches(images, method.network.backbone, images)]
        ).exp()
        logits = method.network(images)
    routed_logits = method.predict(images, PredictionRequest()).logits
    assert routed_logits is not None
    for columns in ([0, 1], [2, 3, 4]):
        expected = class_probabilities[:, columns].sum(1, keepdim=True) * logits[:, columns].softmax(1)
        torch.testing.assert_close(routed_logits[:, columns].exp(), expected)


def test_a_site_that_shares_no_prototypes_answers_by_its_head_alone() -> None:
    shared, private = (
        prototype_options({"visual_prototypes.sharing": sharing}).classifier_mode
        for sharing in (PrototypeSharing.SHARED, PrototypeSharing.PRIVATE)
    )
    assert (shared, private) == (ClassifierMode.ROUTED, ClassifierMode.LINEAR)
    assert make({"visual_prototypes.sharing": PrototypeSharing.PRIVATE}).router is None
    with pytest.raises(
        InputError, match=r"ewc_prototype\.classifier\.mode: prototypes, routed and learned need class prototypes"
    ):
        prototype_options({"classifier.mode": ClassifierMode.ROUTED})


def test_the_head_of_new_classes_is_their_discriminant_and_old_rows_stay() -> None:
    method = trained_on_first({"classifier.refit_ridge": 1.0})
    context = context_of((FIRST,), SETTINGS)
    batches = list(data_of(context, bar_split(FIRST, context.labels))(Split.TRAIN))
    images, targets = torch.cat([b.images for b in batches]), torch.cat([b.classes for b in batches])
    with torch.no_grad():
        codes = method.network.features(images).mean((2, 3)).double()
    means = torch.stack([codes[targets == column].mean(0) for column in (0, 1)])
    scatter = (codes - means[targets]).T @ (codes - means[targets]) + torch.eye(codes.shape[1])
    expected_difference = torch.linalg.solve(scatter / len(codes), means[0] - means[1])
    head = method.network.head.weight.detach().double()
    torch.testing.assert_close(head[0] - head[1], expected_difference, rtol=1e-3, atol=1e-3)

    before = method.network.head.weight.detach().clone()
    context = context_of((FIRST, FIRST), SETTINGS)  # the same question at another hospital
    refit = next(part for part in method.components if isinstance(part, HeadRefit))
    for part in method.components:
        part.begin_task(method.network, context, data_of(context, bar_split(FIRST, context.labels)))
    refit.end_task(method.network, context, data_of(context, bar_split(FIRST, context.labels)))
    assert torch.equal(method.network.head.weight, before)


@pytest.mark.parametrize(
    ("mode", "branches"),
    [
        (ClassifierMode.LINEAR, 1),
        (ClassifierMode.LEARNED, 1),
        (ClassifierMode.PROTOTYPES, 2),
        (ClassifierMode.ROUTED, 3),
    ],
)
def test_maps_explain_all_that_the_classifier_reads(mode: ClassifierMode, branches: int) -> None:
    method = trained_on_first({"classifier.mode": mode})
    images = torch.rand(4, 1, 16, 16)
    features = [branch.features for branch in method.explained_features(images)]
    assert len(features) == branches
    assert torch.equal(method.answer_from(features), method.predict(images, PredictionRequest()).logits)
    maps = explain_classes(method, images, torch.tensor([0, 1, 0, 1]), (0, 1))
    assert maps.whole.shape == ((4, 2, 2) if branches == 1 else (4, 4, 4))
    assert (maps.learned is None) == (mode is ClassifierMode.PROTOTYPES)
    assert maps.whole.isfinite().all()


def test_10_a_site_that_shares_no_prototypes_leaves_none() -> None:
    method = trained_on_first({"visual_prototypes.sharing": PrototypeSharing.PRIVATE})
    assert not [name for name in method.state_dict() if "prototype" in name]
    last = learn(method, FIRST, SECOND).epoch_losses[-1]
    assert "saliency_alignment" in last  # its own still serve their own task
    assert "prototype_retention" not in last


@pytest.mark.parametrize(("competing", "other_rows"), [(SoftmaxScope.TASK, False), (SoftmaxScope.SEEN, True)])
def test_stored_prototypes_compete_with_the_classes_that_new_images_compete_with(
    competing: SoftmaxScope, other_rows: bool
) -> None:
    method = trained_on_first(
        {"classification.competing": competing, "retention.classification": 1.0, "retention.saliency": 0.0}
    )
    terms = terms_of(method, FIRST, SECOND)
    gradient = torch.autograd.grad(terms["prototype_retention"], method.network.head.weight)[0]
    assert gradient[:2].any()
    assert bool(gradient[2:].any()) is other_rows


def test_bad_input_an_image_that_is_not_a_number_is_an_error() -> None:
    split = bar_split(FIRST, context_of((FIRST,)).labels)
    split.images[3, 0, 5, 5] = torch.nan
    with pytest.raises(AnamnesisError, match="not finite"):
        learn(make(), FIRST, split=split)


def test_bad_input_a_task_of_one_class_is_refused() -> None:
    with pytest.raises(InputError, match="classes: expected two or more"):
        Task("alone", TaskType.CLASSIFICATION, ("f",))


@pytest.mark.parametrize("indices", [[0, 1, 2, 4], [0, 2, 4, 6, 8], [1]])
@pytest.mark.parametrize("mode", [ClassifierMode.LINEAR, ClassifierMode.ROUTED])
def test_bad_input_a_class_of_one_sample_or_of_none_is_a_stable_run(indices: list[int], mode: ClassifierMode) -> None:
    method = make({"visual_prototypes.minimum_images": 1, "classifier.mode": mode})
    learn(method, SECOND)
    split = bar_split(FIRST, context_of((SECOND, FIRST)).labels)
    few = TensorSplit.of_images(split.images[indices], split.classes[indices], tuple(map(str, indices)))
    log = learn(method, SECOND, FIRST, split=few)
    assert all(torch.tensor(list(epoch.values())).isfinite().all() for epoch in log.epoch_losses)
    assert_sound(method)


def assert_sound(method: EWCPrototype) -> None:
    values = [value for value in method.state_dict().values() if isinstance(value, torch.Tensor)]
    assert all(value.isfinite().all() for value in values)


@pytest.mark.parametrize("normalisation", MapNormalisation)
@pytest.mark.parametrize("distance", MapDistance)
def test_bad_input_maps_that_are_zero_everywhere_are_a_stable_run(
    distance: MapDistance, normalisation: MapNormalisation
) -> None:
    """Black images, a head without weights: nothing speaks for any class."""
    method = make(
        {
            "saliency.distance": distance,
            "saliency.normalisation": normalisation,
            "visual_prototypes.map": PrototypeMap.SALIENCY,
        }
    )
    split = bar_split(FIRST, context_of((FIRST,)).labels)
    black = TensorSplit.of_images(torch.zeros_like(split.images), split.classes, split.sample_ids)
    terms = terms_of(method, FIRST)
    torch.nn.init.zeros_(method.network.head.weight)
    terms = method.loss(
        next(iter(method._data(Split.TRAIN, TrainingPass("train")))),
        TrainingStep("train", 0, step_index=0, total_steps=12, learning_rate=1e-3),
    )
    norms = gradient_norms(terms, list(method.network.parameters()))
    assert all(norm.isfinite() for norm in norms.values())
    log = learn(method, FIRST, split=black)
    assert all(torch.tensor(list(epoch.values())).isfinite().all() for epoch in log.epoch_losses)
    assert_sound(method)


def test_bad_input_a_first_task_has_nothing_old_to_keep() -> None:
    assert not {"ewc", "prototype_retention"} & set(terms_of(make(), FIRST))


def test_bad_input_a_penalty_of_a_million_is_a_stable_run() -> None:
    method = trained_on_first({"consolidation.penalty": 1e6})
    log = learn(method, FIRST, SECOND)
    assert all(torch.tensor(list(epoch.values())).isfinite().all() for epoch in log.epoch_losses)
    assert_sound(method)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"consolidation.penalty": -1.0}, "consolidation.penalty: expected 0 or more, at most 1e+09, found -1.0"),
        (
            {"reconstruction.weight": float("nan")},
            "reconstruction.weight: expected 0 or more, at most 1e+09, found nan",
        ),
        ({"visual_prototypes.warm_up": 1.5}, "visual_prototypes.warm_up: expected a number from 0 to 1"),
        ({"fisher.temperature": 0.0}, "fisher.temperature: expected a number above 0"),
        ({"classifier.strength": -1.0}, "classifier.strength: expected 0 or more"),
        ({"classification.weight": 0.0, "reconstruction.weight": 0.0}, "nothing would be learned"),
        ({"consolidation.penalti": 1.0}, "consolidation: unknown field 'penalti'; the fields are penalty, decay"),
    ],
)
def test_bad_options_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=f"^ewc_prototype.*{re.escape(message)}"):
        make(options)


def option_classes() -> list[type]:
    return [EWCPrototypeOptions, *(type(getattr(EWCPrototypeOptions(), f.name)) for f in fields(EWCPrototypeOptions))]


@pytest.mark.parametrize("option_class", option_classes())
def test_every_option_is_explained(option_class: type) -> None:
    docstring = option_class.__doc__ or ""
    assert [field.name for field in fields(option_class) if f"        {field.name}: " not in docstring] == []


def test_there_are_37_options_in_9_groups() -> None:
    groups = option_classes()[1:]
    assert (len(groups), sum(len(fields(group)) for group in groups)) == (9, 37)
