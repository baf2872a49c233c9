"""Elastic weight consolidation by its formulas. Numbers are those of ``docs/methods/ewc_prototype.md``."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from builders.learning import FIRST, SECOND, SETTINGS, SPEC, bar_split, context_of, data_of, prototype_options

from anamnesis.methods.base import part_tensors
from anamnesis.methods.classification import SoftmaxScope
from anamnesis.methods.ewc_prototype import EWCPrototype
from anamnesis.methods.features.saliency_maps import SaliencyTarget, activation_maps, unit_maps
from anamnesis.methods.features.task_groups import TaskGroups
from anamnesis.methods.finetune import Finetune, FinetuneOptions
from anamnesis.methods.fisher.diagonal import FisherKind, fisher_diagonal
from anamnesis.methods.fisher.quadratic_penalty import PenaltyMerge, QuadraticPenalty
from anamnesis.methods.fisher.site_penalties import SitePenalties
from anamnesis.methods.fisher.task_fisher import FisherOptions, FisherScale, TaskFisher
from anamnesis.methods.losses.elastic_weight_consolidation import (
    ElasticWeightConsolidationLoss,
    PenaltyMode,
)
from anamnesis.methods.stage import TrainingPass, TrainingStep
from anamnesis.networks import Classifier
from anamnesis.records import Configuration, InputError, NetworkSettings, Split, Task, TrainingSettings
from anamnesis.training import precision_for, train

PRECISION = precision_for(Configuration("finetune"), "cpu")
ALONE: dict[str, Any] = dict.fromkeys(
    (
        "reconstruction.weight",
        "latent_prototypes.prototype_near_sample",
        "latent_prototypes.sample_near_prototype",
        "saliency.weight",
        "retention.weight",
        "fisher.saliency_weight",
    ),
    0.0,
)


def random_quadratic(network: Classifier, seed: int) -> QuadraticPenalty:
    generator = torch.Generator().manual_seed(seed)
    values = dict(network.named_parameters())
    importance = {name: torch.rand(value.shape, generator=generator) for name, value in values.items()}
    return QuadraticPenalty(
        importance, {name: torch.randn(value.shape, generator=generator) for name, value in values.items()}
    )


def weights(network: Classifier) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in network.named_parameters()}


def learn(method: Any, *tasks: Task, settings: TrainingSettings = SETTINGS, count: int = 20) -> None:
    context = context_of(tasks, settings)
    train(method, context, data_of(context, bar_split(tasks[-1], context.labels, count)), PRECISION)


def make(options: Mapping[str, object]) -> EWCPrototype:
    return EWCPrototype(prototype_options({**ALONE, **options}), SPEC, seed=0)


def consolidation(method: EWCPrototype) -> ElasticWeightConsolidationLoss:
    return next(part for part in method.components if isinstance(part, ElasticWeightConsolidationLoss))


def importance_of(method: EWCPrototype, site: str) -> dict[str, torch.Tensor]:
    """The Fisher information that the method stores of a site."""
    return part_tensors(method.state_dict(), f"ewc_fisher.{site}")


def task_fisher(options: FisherOptions) -> TaskFisher:
    return TaskFisher(
        options=options,
        softmax_scope=SoftmaxScope.TASK,
        reconstruction_weight=0.0,
        saliency_target=SaliencyTarget.CONTRAST,
        task_groups=TaskGroups(),
    )


@pytest.fixture
def network() -> Classifier:
    return Classifier(SPEC, seed=1, classes=2)


def test_1_the_penalty_is_the_formula_and_zero_at_the_anchor(network: Classifier) -> None:
    quadratic = QuadraticPenalty(random_quadratic(network, 0).importance, weights(network))
    quadratic.value(network).backward()
    assert all(value.grad is not None and value.grad.abs().sum() == 0 for value in network.parameters())
    network.zero_grad()
    quadratic = random_quadratic(network, 0)
    loss = 7 * quadratic.value(network)
    loss.backward(retain_graph=True)
    loss.backward()  # the loop takes each term's gradient norm before it takes the step: twice the same
    expected = 0.0
    for name, value in network.named_parameters():
        moved, importance = (value - quadratic.anchor[name]).detach(), quadratic.importance[name]
        torch.testing.assert_close(value.grad, 2 * 7 * importance * moved)
        expected += 3.5 * float((importance * moved.square()).sum())
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_1_new_rows_and_frozen_weights_are_held_by_nothing(network: Classifier) -> None:
    penalties = SitePenalties()
    ones = {name: torch.ones_like(value) for name, value in weights(network).items()}
    penalties.replace("site-1", network, ones, PenaltyMerge.ONLINE)
    network.head.grow(5, torch.Generator().manual_seed(2))
    wider = penalties.of_others("site-2", network)
    assert wider.importance["head.weight"].shape == network.head.weight.shape
    assert wider.importance["head.weight"][2:].sum() == 0
    assert wider.importance["head.weight"][:2].min() == 1
    with torch.no_grad():
        for value in network.parameters():
            value.add_(1.0)
    network.backbone.requires_grad_(False)
    before = weights(network)
    wider.proximal_step(network, 1e6)
    assert torch.equal(network.head.weight[2:], before["head.weight"][2:])
    torch.testing.assert_close(network.head.weight[:2], wider.anchor["head.weight"][:2])
    assert all(torch.equal(v, before[n]) for n, v in network.named_parameters() if n.startswith("backbone"))


def test_3_the_sum_of_two_quadratics_is_one_up_to_a_constant(network: Classifier) -> None:
    first, second = random_quadratic(network, 0), random_quadratic(network, 1)
    first.importance["head.bias"].zero_()
    second.importance["head.bias"].zero_()
    total = first.add(second)
    differences = []
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for value in network.parameters():
                value.copy_(3 * torch.randn(value.shape, generator=generator))
        total_loss, first_loss, second_loss = (q.value(network).item() for q in (total, first, second))
        differences.append(first_loss + second_loss - total_loss)
    assert differences == pytest.approx([differences[0]] * 3, rel=1e-3)
    assert differences[0] > 1
    assert torch.equal(total.anchor["head.bias"], second.anchor["head.bias"])  # nothing weighs: the latest


@pytest.mark.parametrize("merge", list(PenaltyMerge))
def test_3_a_site_is_held_by_the_others_and_never_by_its_own_past(network: Classifier, merge: PenaltyMerge) -> None:
    penalties, importances, anchors = SitePenalties(), {}, {}
    for number, site in enumerate(("north", "south", "west")):
        with torch.no_grad():
            for value in network.parameters():
                value.add_(0.1)
        importances[site], anchors[site] = random_quadratic(network, number).importance, weights(network)
        penalties.replace(site, network, importances[site], merge)
    total = penalties.of_others("west", network)
    for name, value in total.importance.items():
        north, south = importances["north"][name], importances["south"][name]
        torch.testing.assert_close(value, north + south)
        exact = (north * anchors["north"][name] + south * anchors["south"][name]) / (north + south)
        expected = exact if merge is PenaltyMerge.EXACT else weights(network)[name]
        torch.testing.assert_close(total.anchor[name], expected)
    penalties.replace("south", network, random_quadratic(network, 9).importance, merge)  # it returns: replaced
    after = penalties.of_others("west", network).importance
    for name, value in random_quadratic(network, 9).importance.items():
        torch.testing.assert_close(after[name], importances["north"][name] + value)
    assert not SitePenalties().of_others("north", network).importance


@pytest.mark.parametrize("merging", list(PenaltyMerge))
def test_3_two_trained_tasks_add_up(merging: PenaltyMerge) -> None:
    method = make({"consolidation.penalty": 10.0, "consolidation.decay": 0.5, "consolidation.merge": merging})
    learn(method, FIRST)
    older = importance_of(method, "site-1")
    learn(method, FIRST, SECOND)
    context = context_of((FIRST, SECOND))
    fresh = fisher_diagonal(
        method.network,
        data_of(context, bar_split(SECOND, context.labels))(Split.TRAIN),
        class_indices=context.class_indices,
        kind=FisherKind.SAMPLED,
        generator=context.streams.generator("fisher"),
        image_limit=2000,
    )
    later, decayed = importance_of(method, "site-2"), importance_of(method, "site-1")
    for name, value in fresh.items():
        torch.testing.assert_close(later[name], value)
        torch.testing.assert_close(decayed[name], 0.5 * older[name])
    assert bool(part_tensors(method.state_dict(), "ewc_anchor.site-1")) is (merging is PenaltyMerge.EXACT)


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_8_a_proximal_step_holds_at_any_strength(optimiser: str) -> None:
    """Where F > 0 the weights stay, from 1e5 to 1e6 times nearer; the loss stays finite."""
    settings = TrainingSettings(epochs=2, batch_size=8, learning_rate=5e-3, optimiser=optimiser)
    drifts = []
    for penalty in (0.0, 1e6):
        method = make(
            {
                "consolidation.penalty": penalty,
                "consolidation.mode": PenaltyMode.PROXIMAL,
                "fisher.scale": FisherScale.MAX,
                "fisher.kind": FisherKind.EXACT,
            }
        )
        learn(method, FIRST, settings=settings)
        anchor = weights(method.network)
        if penalty:
            important_masks = {n: v > 0.01 for n, v in importance_of(method, "site-1").items()}
        learn(method, FIRST, SECOND, settings=settings)
        drifts.append({n: (v[: len(anchor[n])] - anchor[n]).abs() for n, v in weights(method.network).items()})
    unconstrained, constrained = drifts
    assert sum(int(mask.sum()) for mask in important_masks.values()) > 100
    for name, mask in important_masks.items():
        if mask.any() and name.startswith("backbone"):
            assert constrained[name][mask].max() < 0.02 * unconstrained[name][mask].max()


def test_8_its_residual_is_one_over_one_plus_strength() -> None:
    network = Classifier(SPEC, seed=1, classes=2)
    anchor = weights(network)
    quadratic = QuadraticPenalty({name: torch.ones_like(value) for name, value in anchor.items()}, anchor)
    for strength, residual in ((0.0, 1.0), (1.0, 0.5), (1e5, 1e-5), (1e30, 0.0)):
        with torch.no_grad():
            for name, value in network.named_parameters():
                value.copy_(anchor[name] + 1)
        quadratic.proximal_step(network, strength)
        for name, value in network.named_parameters():
            torch.testing.assert_close(value - anchor[name], torch.full_like(value, residual), rtol=0, atol=1e-6)


def test_8_gradient_steps_of_the_same_strength_diverge() -> None:
    """Trap 2.9.5: past rate times lambda times F of 2 (1 + momentum); the loop says so."""
    settings = TrainingSettings(epochs=8, batch_size=8, learning_rate=5e-3, optimiser="sgd")
    method = make({"consolidation.penalty": 1e6, "fisher.scale": FisherScale.MAX, "fisher.kind": FisherKind.EXACT})
    learn(method, FIRST, settings=settings)
    with pytest.raises(InputError, match="the loss is not finite"):
        learn(method, FIRST, SECOND, settings=settings)


@pytest.mark.parametrize("mode", list(PenaltyMode))
def test_8_without_penalty_it_is_fine_tuning_bit_for_bit(mode: PenaltyMode) -> None:
    free, plain = (
        make({"consolidation.penalty": 0.0, "consolidation.mode": mode}),
        Finetune(FinetuneOptions(competing=SoftmaxScope.TASK), SPEC, seed=0),
    )
    for tasks in ((FIRST,), (FIRST, SECOND)):
        learn(free, *tasks)
        learn(plain, *tasks)
    state = free.network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in plain.network.state_dict().items())


@pytest.mark.parametrize(("mode", "strong"), [(PenaltyMode.EXPLICIT, 1e4), (PenaltyMode.PROXIMAL, 1e6)])
def test_a_strong_penalty_keeps_important_weights_nearer(mode: PenaltyMode, strong: float) -> None:
    """Adam rescales gradients to about the rate, so that the same lambda pulls more as a summand (trap 2.9.6)."""

    def drift(penalty: float) -> float:
        method = make({"consolidation.penalty": 1e4, "consolidation.mode": mode})
        learn(method, FIRST)
        importance, anchor = importance_of(method, "site-1"), weights(method.network)
        consolidation(method).weight = penalty
        learn(method, FIRST, SECOND)
        moved = weights(method.network)
        return sum(float((importance[n] * (moved[n][: len(v)] - v).square()).sum()) for n, v in anchor.items())

    assert drift(strong) < 0.5 * drift(1e-9)


@pytest.mark.parametrize(
    ("scale", "clip", "top"), [(FisherScale.MAX, 0.0, 1.0), (FisherScale.MEAN, 3.0, 3.0), (FisherScale.MAX, 0.1, 0.1)]
)
def test_fisher_information_is_scaled_and_clipped(
    network: Classifier, scale: FisherScale, clip: float, top: float
) -> None:
    context = context_of((FIRST,))
    data = data_of(context, bar_split(FIRST, context.labels))
    plain, scaled = FisherOptions(saliency_weight=0.0), FisherOptions(saliency_weight=0.0, scale=scale, clip=clip)
    raw, importance = (
        torch.cat([value.flatten() for value in task_fisher(options).measure(network, context, data).values()])
        for options in (plain, scaled)
    )
    unit = raw.max() if scale is FisherScale.MAX else raw[raw > 0].mean()
    assert float(importance.max()) == pytest.approx(top)
    torch.testing.assert_close(importance, (raw / unit).clamp(max=clip or torch.inf))


def test_the_decoder_is_held_only_by_the_reconstructions_fisher_information() -> None:
    for probes, is_constrained in ((0, False), (1, True)):
        method = make(
            {"consolidation.penalty": 1.0, "reconstruction.weight": 1.0, "fisher.reconstruction_probes": probes}
        )
        learn(method, FIRST)
        assert bool(importance_of(method, "site-1")["decoder.last.weight"].any()) is is_constrained


def test_the_proximal_penalty_is_logged_not_summed(network: Classifier) -> None:
    method = make({"consolidation.penalty": 50.0, "consolidation.mode": PenaltyMode.PROXIMAL})
    learn(method, FIRST)
    term, context = consolidation(method), context_of((FIRST, SECOND))
    data = data_of(context, bar_split(SECOND, context.labels))
    method.begin_task(context, data)
    assert "ewc" not in method.loss(
        next(iter(data(Split.TRAIN, TrainingPass("train")))),
        TrainingStep("train", 0, step_index=0, total_steps=12, learning_rate=1e-3),
    )
    with torch.no_grad():
        method.network.backbone.blocks[0].weight.add_(0.1)
    assert method.log_metrics()["ewc"] == 50 * term.quadratic_penalty.value(method.network) > 0


def test_batch_statistics_stay_once_there_is_another_site() -> None:
    """No penalty holds them; a network whose statistics moved is not the one whose Fisher information was measured."""
    method = EWCPrototype(
        prototype_options(ALONE), NetworkSettings(size=(16, 16), options={"width": 8, "norm": "batch"}), seed=0
    )
    statistics = []
    for tasks in ((FIRST,), (FIRST,), (FIRST, SECOND)):
        learn(method, *tasks)
        statistics.append({name: value.clone() for name, value in method.network.named_buffers()})
    first, grown, second = (sets["backbone.blocks.1.running_mean"] for sets in statistics)
    assert first.any()
    assert not torch.equal(first, grown)  # the site alone grows: as at once
    assert torch.equal(grown, second)


@pytest.mark.parametrize("saliency_target", SaliencyTarget)
def test_saliencys_fisher_information_holds_what_moves_the_maps(saliency_target: SaliencyTarget) -> None:
    """Half of F times a small change of weights squared is, on average, the cosine distance that the maps move."""
    plain, constrained = (
        make({"fisher.saliency_weight": weight, "fisher.images": 0, "saliency.target": saliency_target})
        for weight in (0.0, 2.0)
    )
    for method in (plain, constrained):
        learn(method, FIRST, count=200)
    added_importance = {
        name: importance_of(constrained, "site-1")[name] - value
        for name, value in importance_of(plain, "site-1").items()
    }
    assert added_importance["head.weight"].abs().sum() == 0  # the rows of a map are given
    network, context = constrained.network, context_of((FIRST,))
    rows = network.head.weight.detach().clone()
    if saliency_target is SaliencyTarget.CONTRAST:
        rows -= rows.mean(0)
    batches = list(data_of(context, bar_split(FIRST, context.labels, count=200))(Split.TRAIN))
    images, targets = torch.cat([b.images for b in batches]), torch.cat([b.classes for b in batches])
    name = "backbone.blocks.9.weight"  # the last convolution
    weight, moved, generator = network.get_parameter(name), [], torch.Generator().manual_seed(0)

    @torch.no_grad()
    def maps() -> torch.Tensor:
        return unit_maps(activation_maps(network.features(images), rows[targets]))

    before = maps()
    for _ in range(200):
        change = 1e-3 * torch.randn(weight.shape, generator=generator)
        with torch.no_grad():
            weight.add_(change)
            moved.append(float((maps() - before).square().sum(1).mean()))
            weight.sub_(change)
    assert 2.0 * sum(moved) / len(moved) == pytest.approx(
        1e-6 * float(added_importance[name].sum()), rel=0.3
    )  # one probe an image
