"""Fisher information and the quadratic penalty against loops, closed forms and known traps."""

import pytest
import torch
from torch import nn
from toys.learning import FIRST, SECOND, SPEC, bars, context_of, data_of

from anamnesis.methods.base import Batch
from anamnesis.methods.ewc_prototype import EWCPrototype, EWCPrototypeOptions
from anamnesis.methods.finetune import Finetune, FinetuneOptions
from anamnesis.methods.terms.fisher import FisherKind, fisher_diagonal
from anamnesis.methods.terms.quadratic import grow_rows, quadratic_penalty
from anamnesis.networks import Classifier
from anamnesis.records import Configuration, InputError, NetworkSpec, Split
from anamnesis.training import numerics_for, train

NUMERICS = numerics_for(Configuration("finetune"), "cpu")


def batch_of(images: torch.Tensor, targets: torch.Tensor) -> Batch:
    return Batch((images,), targets, torch.arange(len(images)))


@pytest.fixture
def network() -> Classifier:
    return Classifier(SPEC, seed=1, classes=0)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(6, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def grown(network: Classifier, classes: int) -> Classifier:
    network.head.grow(classes, torch.Generator().manual_seed(2))
    return network


def looped(network: nn.Module, images: torch.Tensor, columns: list[int]) -> dict[str, torch.Tensor]:
    """The exact Fisher information, one image and one class at a time."""
    total = {name: torch.zeros_like(value) for name, value in network.named_parameters()}
    for image in images:
        logs = network(image[None])[0, columns].log_softmax(0)
        for log in logs:
            network.zero_grad()
            log.backward(retain_graph=True)
            for name, value in network.named_parameters():
                total[name] += log.exp().detach() * value.grad.square() / len(images)
    return total


def test_exact_equals_a_loop_over_images_and_classes(network: Classifier, images: torch.Tensor) -> None:
    grown(network, 3)
    found = fisher_diagonal(network, [batch_of(images, torch.zeros(6))], (0, 1, 2), FisherKind.EXACT, torch.Generator())
    for name, value in looped(network, images, [0, 1, 2]).items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-9)


def test_it_does_not_depend_on_how_images_are_batched(network: Classifier, images: torch.Tensor) -> None:
    grown(network, 2)
    targets = torch.tensor([0, 1, 0, 1, 0, 1])
    whole, parts = (
        fisher_diagonal(network, batches, (0, 1), FisherKind.EMPIRICAL, torch.Generator())
        for batches in (
            [batch_of(images, targets)],
            [batch_of(images[:2], targets[:2]), batch_of(images[2:], targets[2:])],
        )
    )
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value)
    mean_gradient = torch.autograd.grad(nn.functional.cross_entropy(network(images), targets), network.head.weight)[0]
    assert whole["head.weight"].sum() > 2 * mean_gradient.square().sum()  # the batched square is another quantity


def test_sampled_comes_near_exact(network: Classifier, images: torch.Tensor) -> None:
    grown(network, 3)
    once, generator = [batch_of(images, torch.zeros(6))], torch.Generator().manual_seed(0)
    exact = fisher_diagonal(network, once, (0, 1, 2), FisherKind.EXACT, generator)
    sampled = fisher_diagonal(network, once * 100, (0, 1, 2), FisherKind.SAMPLED, generator)
    total = {
        name: sum(float(value.sum()) for value in found.values()) for name, found in (("e", exact), ("s", sampled))
    }
    assert total["s"] == pytest.approx(total["e"], rel=0.15)


def test_rows_outside_the_task_have_none(network: Classifier, images: torch.Tensor) -> None:
    grown(network, 4)
    found = fisher_diagonal(
        network, [batch_of(images, torch.full((6,), 2))], (2, 3), FisherKind.SAMPLED, torch.Generator().manual_seed(0)
    )
    assert found["head.weight"][:2].abs().sum() == 0
    assert found["head.weight"][2:].abs().sum() > 0
    assert all((value >= 0).all() for value in found.values())


def test_it_leaves_batch_normalisation_alone(images: torch.Tensor) -> None:
    network = Classifier(NetworkSpec(size=(16, 16), width=8, norm="batch"), seed=0, classes=0)
    grown(network, 2)
    before = {name: value.clone() for name, value in network.named_buffers()}
    fisher_diagonal(network, [batch_of(images, torch.zeros(6))], (0, 1), FisherKind.EXACT, torch.Generator())
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())


def test_the_limit_counts_images(network: Classifier, images: torch.Tensor) -> None:
    grown(network, 2)
    batches = [batch_of(images[:4], torch.zeros(4)), batch_of(images[4:], torch.zeros(2))]
    limited = fisher_diagonal(network, batches, (0, 1), FisherKind.EXACT, torch.Generator(), limit=3)
    first = fisher_diagonal(
        network, [batch_of(images[:3], torch.zeros(3))], (0, 1), FisherKind.EXACT, torch.Generator()
    )
    for name, value in first.items():
        torch.testing.assert_close(limited[name], value)


def test_the_penalty_is_the_formula_and_zero_at_the_anchor(network: Classifier) -> None:
    grown(network, 2)
    anchor = {name: value.detach().clone() for name, value in network.named_parameters()}
    importance = {name: torch.rand_like(value) for name, value in anchor.items()}
    quadratic_penalty(network, 7.0, importance, anchor).backward()
    assert all(value.grad.abs().sum() == 0 for value in network.parameters())
    network.zero_grad()
    with torch.no_grad():
        for value in network.parameters():
            value.add_(0.1 * torch.randn_like(value))
    penalty = quadratic_penalty(network, 7.0, importance, anchor)
    (3 * penalty).backward()
    expected = 0.0
    for name, value in network.named_parameters():
        torch.testing.assert_close(value.grad, 3 * 7.0 * importance[name] * (value - anchor[name]).detach())
        moved = (value - anchor[name]).detach()
        expected += 3.5 * float((importance[name] * moved.square()).sum())
    assert penalty.item() == pytest.approx(expected, rel=1e-4)


def test_new_rows_are_not_held(network: Classifier) -> None:
    grown(network, 2)
    importance = {name: torch.ones_like(value) for name, value in network.named_parameters()}
    grown(network, 5)
    wider = grow_rows(importance, network)
    assert wider["head.weight"].shape == network.head.weight.shape
    assert wider["head.weight"][2:].sum() == 0
    assert wider["head.weight"][:2].min() == 1


def learn_two(penalty: float, decay: float = 1.0) -> EWCPrototype:
    method = EWCPrototype(EWCPrototypeOptions(penalty=penalty, decay=decay), SPEC, seed=0)
    for tasks in ((FIRST,), (FIRST, SECOND)):
        context = context_of(tasks)
        train(method, context, data_of(context, bars(tasks[-1], context.labels)), NUMERICS)
    return method


def test_without_penalty_it_is_fine_tuning_bit_for_bit() -> None:
    from anamnesis.methods.classification import Competing

    free = learn_two(penalty=0.0)
    plain = Finetune(FinetuneOptions(competing=Competing.TASK), SPEC, seed=0)
    for tasks in ((FIRST,), (FIRST, SECOND)):
        context = context_of(tasks)
        train(plain, context, data_of(context, bars(tasks[-1], context.labels)), NUMERICS)
    for name, value in plain.network.state_dict().items():
        assert torch.equal(value, free.network.state_dict()[name])


def test_fisher_information_of_two_tasks_adds_up() -> None:
    method = EWCPrototype(EWCPrototypeOptions(penalty=10.0, decay=0.5), SPEC, seed=0)
    context = context_of((FIRST,))
    train(method, context, data_of(context, bars(FIRST, context.labels)), NUMERICS)
    first = {name: value.clone() for name, value in method._fisher.items()}
    context = context_of((FIRST, SECOND))
    data = data_of(context, bars(SECOND, context.labels))
    train(method, context, data, NUMERICS)
    second = fisher_diagonal(
        method.network,
        data(Split.TRAIN),
        context.columns,
        FisherKind.SAMPLED,
        context.streams.generator("fisher"),
        2000,
    )
    for name, value in grow_rows(first, method.network).items():
        torch.testing.assert_close(method._fisher[name], second[name] + 0.5 * value)


def test_a_strong_penalty_keeps_important_weights_nearer() -> None:
    def drift(penalty: float) -> float:
        method = EWCPrototype(EWCPrototypeOptions(penalty=penalty), SPEC, seed=0)
        context = context_of((FIRST,))
        train(method, context, data_of(context, bars(FIRST, context.labels)), NUMERICS)
        anchor, fisher = method._anchor, method._fisher
        context = context_of((FIRST, SECOND))
        train(method, context, data_of(context, bars(SECOND, context.labels)), NUMERICS)
        moved = dict(method.network.named_parameters())
        return sum((fisher[n] * (moved[n][: len(v)] - v).square()).sum().item() for n, v in anchor.items())

    assert drift(1e4) < 0.5 * drift(0.0)


def test_bad_options_are_refused() -> None:
    with pytest.raises(InputError, match="penalty of 0 or more"):
        EWCPrototypeOptions(penalty=-1.0)


def test_batch_statistics_stay_from_the_second_task_on() -> None:
    """No penalty holds them; a network whose statistics moved is not the one whose Fisher information was measured."""
    method = EWCPrototype(EWCPrototypeOptions(), NetworkSpec(size=(16, 16), width=8, norm="batch"), seed=0)
    statistics = []
    for tasks in ((FIRST,), (FIRST, SECOND)):
        context = context_of(tasks)
        train(method, context, data_of(context, bars(tasks[-1], context.labels)), NUMERICS)
        statistics.append({name: value.clone() for name, value in method.network.named_buffers()})
    assert statistics[0]["backbone.blocks.1.running_mean"].any()  # the first task did move them
    assert all(torch.equal(value, statistics[1][name]) for name, value in statistics[0].items())
