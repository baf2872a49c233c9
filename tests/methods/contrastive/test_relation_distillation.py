"""Both distillations against naive double loops, where they are 0, what they are blind to, and alpha."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from anamnesis.methods.contrastive import (
    Cosines,
    RelationOptions,
    instance_relations,
    prototype_relations,
    relation_balance,
)
from anamnesis.methods.contrastive.relation_distillation import BalanceSchedule
from anamnesis.networks.class_prototypes import simplex_frame
from anamnesis.records import InputError

EQUAL = RelationOptions(teacher_temperature=0.2)
"""Equal temperatures of student and teacher."""
FRAME = simplex_frame(8, 9, torch.Generator().manual_seed(1))
OLD = torch.arange(8) < 3


def unit(seed: int, count: int = 7) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(count, 9, dtype=torch.float64, generator=generator), dim=1)


def instances(student: Tensor, teacher: Tensor, options: RelationOptions = EQUAL) -> Tensor:
    return instance_relations(Cosines.of(student, FRAME), Cosines.of(teacher, FRAME), options)


def to_prototypes(
    student: Tensor, teacher: Tensor, options: RelationOptions = EQUAL, is_related: Tensor = OLD, frame: Tensor = FRAME
) -> Tensor:
    return prototype_relations(Cosines.of(student, frame), Cosines.of(teacher, frame), is_related, options)


def naive_divergence(student: list[float], teacher: list[float]) -> float:
    """KL between the softmax of two rows of logits."""

    def chances(row: list[float]) -> list[float]:
        return [math.exp(value) / sum(map(math.exp, row)) for value in row]

    return sum(p * math.log(p / q) for p, q in zip(chances(teacher), chances(student), strict=True))


def test_both_are_the_formulas_of_double_loops() -> None:
    student, teacher = unit(0), unit(1)
    options = RelationOptions(0.7, 0.2, 0.1, prototype_temperature=0.3, prototype_teacher_temperature=0.15)
    by_sample, by_prototype = [], []
    for i in range(7):
        rows = [
            [float(z[i] @ z[j]) / kappa for j in range(7) if j != i] for z, kappa in ((student, 0.2), (teacher, 0.1))
        ]
        by_sample.append(naive_divergence(*rows))
        rows = [[float(z[i] @ FRAME[k]) / kappa for k in range(3)] for z, kappa in ((student, 0.3), (teacher, 0.15))]
        by_prototype.append(naive_divergence(*rows))
    assert instances(student, teacher, options).item() == pytest.approx(sum(by_sample) / 7, rel=1e-12)
    assert to_prototypes(student, teacher, options).item() == pytest.approx(sum(by_prototype) / 7, rel=1e-12)


@pytest.mark.parametrize("relation", [instances, to_prototypes])
def test_their_gradients_are_those_of_finite_differences(relation) -> None:  # type: ignore[no-untyped-def]
    assert torch.autograd.gradcheck(lambda z: relation(z, unit(1)), unit(0).requires_grad_())


@pytest.mark.parametrize("relation", [instances, to_prototypes])
def test_they_are_0_where_student_and_teacher_agree_at_equal_temperatures_alone(relation) -> None:  # type: ignore[no-untyped-def]
    sharper = replace(EQUAL, teacher_temperature=0.01, prototype_teacher_temperature=0.01)
    for options, is_zero in ((EQUAL, True), (sharper, False)):
        student = unit(0).requires_grad_()
        value = relation(student, unit(0), options)
        value.backward()
        assert (value.abs() < 1e-12) == is_zero
        assert (student.grad.norm() < 1e-12) == is_zero


def test_a_rotation_of_the_student_is_invisible_to_samples_and_visible_to_prototypes() -> None:
    rotation = torch.linalg.qr(torch.randn(9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(3))).Q
    student, teacher = unit(0), unit(1)
    torch.testing.assert_close(instances(student @ rotation, teacher), instances(student, teacher))
    assert not torch.allclose(to_prototypes(student @ rotation, teacher), to_prototypes(student, teacher), rtol=0.01)


def test_identical_embeddings_at_a_sharp_temperature_stay_finite() -> None:
    student = torch.full((64, 9), 1 / 3, requires_grad=True)
    teacher = unit(1, 64).float()
    sharp = RelationOptions(temperature=0.01, teacher_temperature=0.01)
    value = instances(student, teacher, sharp)
    value.backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()
    logits = (teacher @ teacher.T / 0.01).fill_diagonal_(-1e9)
    entropy = -(logits.softmax(1) * logits.log_softmax(1)).sum(1).mean()
    assert (value + entropy).item() == pytest.approx(math.log(63), rel=1e-4)  # the cross-entropy


def test_less_than_two_prototypes_and_a_single_sample_have_no_relation() -> None:
    for is_related in (torch.arange(8) < 1, torch.zeros(8, dtype=torch.bool)):
        student = unit(0).requires_grad_()
        value = to_prototypes(student, unit(1), is_related=is_related)
        value.backward()
        assert value == 0
        assert not student.grad.any()  # type: ignore[union-attr]
    assert instances(unit(0, 1), unit(1, 1)) == 0


def test_masked_prototypes_are_as_if_they_were_cut_off() -> None:
    sliced = to_prototypes(unit(0), unit(1), is_related=OLD[:3], frame=FRAME[:3])
    torch.testing.assert_close(to_prototypes(unit(0), unit(1)), sliced, rtol=1e-14, atol=0)


@pytest.mark.parametrize("schedule", [BalanceSchedule.LINEAR, BalanceSchedule.COSINE])
def test_alpha_falls_from_1_at_the_first_step_to_0_at_the_last(schedule: BalanceSchedule) -> None:
    options = RelationOptions(schedule=schedule)
    alphas = [relation_balance(options, step / 9, task_number=2) for step in range(10)]
    assert alphas[0] == 1
    assert alphas[-1] == 0
    assert alphas == sorted(set(alphas), reverse=True)


def test_alpha_over_tasks_and_as_a_constant() -> None:
    options = RelationOptions(schedule=BalanceSchedule.TASKS, tasks=5)
    assert [relation_balance(options, 0.3, task) for task in range(1, 7)] == [1, 0.75, 0.5, 0.25, 0, 0]
    options = RelationOptions(schedule=BalanceSchedule.CONSTANT, balance=0.3)
    assert [relation_balance(options, progress, 2) for progress in (0, 1)] == [0.3, 0.3]
    with pytest.raises(
        InputError, match=r"fnc2\.distillation\.tasks: the schedule over tasks needs 2 or more, found 0"
    ):
        RelationOptions(schedule=BalanceSchedule.TASKS)
