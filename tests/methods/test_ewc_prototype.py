"""``ewc_prototype`` as a whole. Numbers are those of ``docs/methods/ewc_prototype.md``."""

import copy
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from toys.learning import FIRST, SECOND, SPEC, bars, context_of, data_of

from anamnesis.evaluation.saliency import grad_cam
from anamnesis.methods import PredictRequest, Step
from anamnesis.methods.base import Method, TrainingLog
from anamnesis.methods.classification import Competing
from anamnesis.methods.ewc_prototype import EWCPrototype
from anamnesis.methods.ewc_prototype_options import EWCPrototypeOptions
from anamnesis.methods.features.saliency_maps import Distance, Normalisation
from anamnesis.methods.features.visual_prototypes import PrototypeMap, Reading, Sharing
from anamnesis.methods.finetune import Finetune, FinetuneOptions
from anamnesis.methods.heads.head_refit import Refit
from anamnesis.methods.heads.task_router import Answering
from anamnesis.records import AnamnesisError, Configuration, InputError, Split, Task, TaskType, TrainingSettings
from anamnesis.storage.store import open_store
from anamnesis.training import Checkpoints, TensorSplit, numerics_for, train
from anamnesis.training.loop import gradient_norms

NUMERICS = numerics_for(Configuration("finetune"), "cpu")
SETTINGS = TrainingSettings(epochs=2, batch_size=8, learning_rate=5e-3)
WEIGHTS = (
    "penalty", "reconstruction", "prototype_near_sample", "sample_near_prototype", "saliency_alignment",
    "prototype_retention",
)  # fmt: skip
OFF = dict.fromkeys(WEIGHTS, 0.0)
FULL: dict[str, Any] = {
    "prototypes": Sharing.SHARED,
    "minimum_images": 3,
    "penalty": 100.0,
    "warm_up": 0.0,
    "ramp": 0.0,
}


def make(**options: Any) -> EWCPrototype:
    return EWCPrototype(EWCPrototypeOptions(**{**FULL, **options}), SPEC, seed=0)


def learn(method: Method[Any], *tasks: Task, split: TensorSplit | None = None, **more: Any) -> TrainingLog:
    context = context_of(tasks, more.pop("settings", SETTINGS))
    return train(method, context, data_of(context, split or bars(tasks[-1], context.labels)), NUMERICS, **more)


def terms_of(method: EWCPrototype, *tasks: Task, step: Step | None = None) -> dict[str, torch.Tensor]:
    """The terms at the first batch of a task that begins."""
    context = context_of(tasks, SETTINGS)
    data = data_of(context, bars(tasks[-1], context.labels))
    method.begin(context, data)
    return method.loss(next(iter(data(Split.TRAIN, 1, stage="train"))), step or Step("train", 0, 0, 12, 1e-3))


def after_first(**options: Any) -> EWCPrototype:
    method = make(**options)
    learn(method, FIRST)
    return method


def test_8_with_every_weight_at_zero_it_is_fine_tuning_bit_for_bit() -> None:
    free, plain = make(**OFF), Finetune(FinetuneOptions(competing=Competing.TASK), SPEC, seed=0)
    for tasks in ((FIRST,), (FIRST, SECOND)):
        ours, theirs = (learn(method, *tasks).epochs for method in (free, plain))
        assert ours == theirs  # the loss curve, digit for digit
    state = free.network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in plain.network.state_dict().items())


def test_9_every_term_reaches_the_encoder_and_only_pictures_reach_the_decoder() -> None:
    method = after_first()
    terms = terms_of(method, FIRST, SECOND)
    with torch.no_grad():  # away from the anchor
        for value in method.network.parameters():
            value.add_(0.01)
    terms = method.loss(next(iter(method._data(Split.TRAIN, 1, stage="train"))), Step("train", 0, 0, 12, 1e-3))
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


@pytest.mark.parametrize("weight", [*WEIGHTS, "classification"])
def test_9_weight_zero_takes_away_exactly_its_gradient(weight: str) -> None:
    state = after_first().state_dict()

    def gradients(**options: Any) -> dict[str, dict[str, torch.Tensor]]:
        method = make(**options)
        method.load_state_dict(copy.deepcopy(state), 2)
        terms = terms_of(method, FIRST, SECOND)
        named = dict(method.network.named_parameters())
        found = {}
        for name, term in terms.items():
            values = torch.autograd.grad(term, list(named.values()), retain_graph=True, allow_unused=True)
            found[name] = {n: v for n, v in zip(named, values, strict=True) if v is not None}
        return found

    term = "ewc" if weight == "penalty" else weight
    full, without = gradients(), gradients(**{weight: 0.0})
    assert full.keys() - without.keys() == {term}
    for name, values in without.items():
        assert values.keys() == full[name].keys()
        for parameter, value in values.items():
            torch.testing.assert_close(value, full[name][parameter], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("answering", Answering)
def test_10_saved_and_reloaded_between_tasks_the_next_loss_is_the_same(answering: Answering) -> None:
    method, loaded = after_first(classifier=answering), make(classifier=answering)
    loaded.load_state_dict(copy.deepcopy(method.state_dict()), 2)
    loaded.network.to(memory_format=NUMERICS.layout)
    ours, theirs = (terms_of(m, FIRST, SECOND) for m in (method, loaded))
    assert len(ours) == 7
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    images = torch.rand(4, 1, 16, 16)
    answers = [m.predict(images, PredictRequest()).logits for m in (method, loaded)]
    assert torch.equal(*answers)


class KilledError(Exception):
    """Stands for SIGKILL inside one process."""


@pytest.mark.parametrize("kill_at", [1, 3, 5])
def test_10_killed_inside_the_second_task_it_ends_with_equal_bits_and_an_equal_log(
    kill_at: int, tmp_path: Path
) -> None:
    """Before the prototypes are fixed, after, and at the end."""
    options = {"warm_up": 0.3, "ramp": 0.3}
    state = after_first(**options).state_dict()

    def fresh() -> EWCPrototype:
        method = make(**options)
        method.load_state_dict(copy.deepcopy(state), 2)
        return method

    def kill(done: int, total: int, what: str) -> None:
        if done == kill_at:
            raise KilledError

    whole, broken, resumed = fresh(), fresh(), fresh()
    expected = learn(whole, FIRST, SECOND)
    checkpoints = Checkpoints(open_store(tmp_path.as_uri()), "checkpoints/x", every=0)
    with pytest.raises(KilledError):
        learn(broken, FIRST, SECOND, checkpoints=checkpoints, progress=kill)
    found = learn(resumed, FIRST, SECOND, checkpoints=checkpoints)
    for ours, theirs in zip(found.epochs, expected.epochs, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-6)
    first, second = whole.state_dict(), resumed.state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[name]) for name, value in first.items() if isinstance(value, torch.Tensor))


def test_saliency_waits_for_the_warm_up_and_is_ramped() -> None:
    method = make(warm_up=0.5, ramp=0.25)
    assert "saliency_alignment" not in terms_of(method, FIRST)
    alignment = next(part for part in method.parts if part.name == "saliency_alignment")
    assert [alignment.strength(at) for at in (0.2, 0.5, 0.625, 0.75, 1.0)] == [0, 0, 0.5, 1, 1]
    learn(method, FIRST)
    assert method.visual is not None
    assert method.visual.images.flatten(1).any(1).all()


def test_12_each_term_is_logged_with_its_gradient_norm() -> None:
    method = after_first()
    last = learn(method, FIRST, SECOND).epochs[-1]
    names = {name.removesuffix(".gradient") for name in last if name.endswith(".gradient")}
    assert names == {*WEIGHTS, "classification", "ewc"} - {"penalty"}
    assert names < set(last)
    assert 0 <= last["saliency_alignment.spread"] <= 1


def test_logging_gradients_changes_no_gradient() -> None:
    terms, network = terms_of(method := after_first(), FIRST, SECOND), method.network
    network.zero_grad(set_to_none=True)
    norms = gradient_norms(terms, list(network.parameters()))
    assert all(value.grad is None for value in network.parameters())
    again = gradient_norms(terms, list(network.parameters()))
    assert all(torch.equal(norm, again[name]) for name, norm in norms.items())


def test_class_incremental_state_grows_by_one_prototype_a_class_alone() -> None:
    method = after_first(classifier=Answering.ROUTED)
    before = {name: value.shape for name, value in method.state_dict().items() if isinstance(value, torch.Tensor)}
    learn(method, FIRST, SECOND)
    after = {name: value.shape for name, value in method.state_dict().items() if isinstance(value, torch.Tensor)}
    assert before.keys() == after.keys()
    grown = {name for name, shape in after.items() if shape != before[name]}
    assert all(after[name][0] == 5 and after[name][1:] == before[name][1:] for name in grown)
    assert {name.split("/")[0] for name in grown} <= {
        "network", "visual_prototypes", "groups", "random_space", "first_site_space", "ewc_fisher", "ewc_anchor"
    }  # fmt: skip


def test_domain_incremental_a_class_met_again_keeps_and_refines_its_prototype() -> None:
    method = make(reading=Reading.INPUTS)
    labels = context_of((FIRST,)).labels
    here, there = bars(FIRST, labels, count=20, seed=1), bars(FIRST, labels, count=36, seed=2)
    learn(method, FIRST, split=here)
    learn(method, FIRST, FIRST, split=there)
    assert method.visual is not None
    for column in range(2):
        both = (here + there).images[(here + there).targets == column].double().mean(0).float()
        torch.testing.assert_close(method.visual.images[column], both)
    assert method.visual.counts.tolist() == [28, 28]
    assert method.network.head.classes == 2
    logits = method.predict(there.images.float(), PredictRequest()).logits
    assert logits is not None
    assert logits.shape == (36, 2)


@pytest.mark.parametrize("answering", Answering)
def test_it_answers_class_and_task_incrementally(answering: Answering) -> None:
    method = after_first(classifier=answering, mix=0.5)
    learn(method, FIRST, SECOND)
    images = torch.rand(6, 1, 16, 16)
    every = method.predict(images, PredictRequest(embedding=True))
    inside = method.predict(images, PredictRequest((2, 3, 4))).logits
    assert every.logits is not None
    assert inside is not None
    assert every.embedding is not None
    assert every.logits.isfinite().all()
    assert (inside.argmax(1) >= 2).all()
    if answering is not Answering.LINEAR:
        torch.testing.assert_close(every.logits.exp().sum(1), torch.ones(6))


def test_routed_is_the_chance_of_the_task_times_that_of_the_class_in_it() -> None:
    method = after_first(classifier=Answering.ROUTED, mix=0.0)
    learn(method, FIRST, SECOND)
    images = torch.rand(6, 1, 16, 16)
    with torch.no_grad():
        assert method.router is not None
        chances = method.router.log_chances(images).exp()
        logits = method.network(images)
    found = method.predict(images, PredictRequest()).logits
    assert found is not None
    for columns in ([0, 1], [2, 3, 4]):
        expected = chances[:, columns].sum(1, keepdim=True) * logits[:, columns].softmax(1)
        torch.testing.assert_close(found[:, columns].exp(), expected)


def test_a_site_that_shares_no_prototypes_answers_by_its_head_alone() -> None:
    shared, private = (
        EWCPrototypeOptions(prototypes=sharing).answering for sharing in (Sharing.SHARED, Sharing.PRIVATE)
    )
    assert (shared, private) == (Answering.ROUTED, Answering.LINEAR)
    assert make(prototypes=Sharing.PRIVATE).router is None
    with pytest.raises(InputError, match="classifier routed stores class prototypes"):
        EWCPrototypeOptions(prototypes=Sharing.PRIVATE, classifier=Answering.ROUTED)


def test_the_head_of_new_classes_is_their_discriminant_and_old_rows_stay() -> None:
    method = after_first(refit=1.0)
    context = context_of((FIRST,), SETTINGS)
    batches = list(data_of(context, bars(FIRST, context.labels))(Split.TRAIN))
    images, targets = torch.cat([b.images for b in batches]), torch.cat([b.targets for b in batches])
    with torch.no_grad():
        codes = method.network.features(images).mean((2, 3)).double()
    means = torch.stack([codes[targets == column].mean(0) for column in (0, 1)])
    scatter = (codes - means[targets]).T @ (codes - means[targets]) + torch.eye(codes.shape[1])
    wanted = torch.linalg.solve(scatter / len(codes), means[0] - means[1])
    head = method.network.head.weight.detach().double()
    torch.testing.assert_close(head[0] - head[1], wanted, rtol=1e-3, atol=1e-3)

    before = method.network.head.weight.detach().clone()
    context = context_of((FIRST, FIRST), SETTINGS)  # the same question at another hospital
    refit = next(part for part in method.parts if isinstance(part, Refit))
    for part in method.parts:
        part.begin(method.network, context, data_of(context, bars(FIRST, context.labels)))
    refit.end(method.network, context, data_of(context, bars(FIRST, context.labels)))
    assert torch.equal(method.network.head.weight, before)


def test_reports_see_where_it_looks() -> None:
    method = after_first()
    maps = grad_cam(method.network, torch.rand(4, 1, 16, 16), torch.tensor([0, 1, 0, 1]), (0, 1))
    assert maps.shape == (4, 2, 2)
    assert maps.isfinite().all()


def test_10_a_site_that_shares_no_prototypes_leaves_none() -> None:
    method = after_first(prototypes=Sharing.PRIVATE)
    assert not [name for name in method.state_dict() if "prototype" in name]
    last = learn(method, FIRST, SECOND).epochs[-1]
    assert "saliency_alignment" in last  # its own still serve their own task
    assert "prototype_retention" not in last


def bad_split(**changes: Any) -> TensorSplit:
    return replace(bars(FIRST, context_of((FIRST,)).labels), **changes)


@pytest.mark.parametrize(("competing", "other_rows"), [(Competing.TASK, False), (Competing.SEEN, True)])
def test_stored_prototypes_compete_with_the_classes_that_new_images_compete_with(
    competing: Competing, other_rows: bool
) -> None:
    method = after_first(competing=competing, retained_answer=1.0, retained_saliency=0.0)
    terms = terms_of(method, FIRST, SECOND)
    gradient = torch.autograd.grad(terms["prototype_retention"], method.network.head.weight)[0]
    assert gradient[:2].any()
    assert bool(gradient[2:].any()) is other_rows


def test_bad_input_an_image_that_is_not_a_number_is_an_error() -> None:
    split = bars(FIRST, context_of((FIRST,)).labels)
    split.images[3, 0, 5, 5] = torch.nan
    with pytest.raises(AnamnesisError, match="not finite"):
        learn(make(), FIRST, split=split)


def test_bad_input_a_task_of_one_class_is_refused() -> None:
    with pytest.raises(InputError, match="two classes or more"):
        Task("alone", TaskType.CLASSIFICATION, ("f",))


@pytest.mark.parametrize("kept", [[0, 1, 2, 4], [0, 2, 4, 6, 8], [1]])
@pytest.mark.parametrize("answering", [Answering.LINEAR, Answering.ROUTED])
def test_bad_input_a_class_of_one_sample_or_of_none_is_a_stable_run(kept: list[int], answering: Answering) -> None:
    method = make(minimum_images=1, classifier=answering)
    learn(method, SECOND)
    split = bars(FIRST, context_of((SECOND, FIRST)).labels)
    few = TensorSplit(split.images[kept], split.targets[kept], tuple(map(str, kept)))
    log = learn(method, SECOND, FIRST, split=few)
    assert all(torch.tensor(list(epoch.values())).isfinite().all() for epoch in log.epochs)
    assert_sound(method)


def assert_sound(method: EWCPrototype) -> None:
    values = [value for value in method.state_dict().values() if isinstance(value, torch.Tensor)]
    assert all(value.isfinite().all() for value in values)


@pytest.mark.parametrize("normalisation", Normalisation)
@pytest.mark.parametrize("distance", Distance)
def test_bad_input_maps_that_are_zero_everywhere_are_a_stable_run(
    distance: Distance, normalisation: Normalisation
) -> None:
    """Black images, a head without weights: nothing speaks for any class."""
    method = make(distance=distance, normalisation=normalisation, prototype_map=PrototypeMap.SALIENCY)
    split = bars(FIRST, context_of((FIRST,)).labels)
    black = TensorSplit(torch.zeros_like(split.images), split.targets, split.ids)
    terms = terms_of(method, FIRST)
    torch.nn.init.zeros_(method.network.head.weight)
    terms = method.loss(next(iter(method._data(Split.TRAIN, 1, stage="train"))), Step("train", 0, 0, 12, 1e-3))
    norms = gradient_norms(terms, list(method.network.parameters()))
    assert all(norm.isfinite() for norm in norms.values())
    log = learn(method, FIRST, split=black)
    assert all(torch.tensor(list(epoch.values())).isfinite().all() for epoch in log.epochs)
    assert_sound(method)


def test_bad_input_a_first_task_has_nothing_old_to_keep() -> None:
    assert not {"ewc", "prototype_retention"} & set(terms_of(make(), FIRST))


def test_bad_input_a_penalty_of_a_million_is_a_stable_run() -> None:
    method = after_first(penalty=1e6)
    log = learn(method, FIRST, SECOND)
    assert all(torch.tensor(list(epoch.values())).isfinite().all() for epoch in log.epochs)
    assert_sound(method)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"penalty": -1.0}, "penalty of 0 or more"),
        ({"reconstruction": float("nan")}, "reconstruction of 0 or more"),
        ({"warm_up": 1.5}, "warm_up from 0 to 1"),
        ({"shrinkage": 0.0}, "shrinkage above 0"),
        ({"first_site_shrinkage": 0.0}, "first_site_shrinkage above 0"),
        ({"classification": 0.0, "reconstruction": 0.0}, "nothing would be learned"),
    ],
)
def test_bad_options_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(**options)


def test_every_option_is_explained() -> None:
    words = EWCPrototypeOptions.__doc__ or ""
    assert [field.name for field in fields(EWCPrototypeOptions) if f"        {field.name}: " not in words] == []
