"""HSD: hardness-softness distillation of relations (Dang et al., WACV 2025), a reconstruction.

    q_ij = softmax_{j != i} (z_i . z_j / kappa)      o_il = softmax_l (z_i . p_l / kappa')
    HSD  = alpha KL(q* || q) + (1 - alpha) KL(o* || o),   means over the samples, * of the teacher

The first is instance relation distillation (Co2L, Cha et al., ICCV 2021, equations 11 to 13): no rotation of the
embeddings changes it. The second holds them in place, relative to prototypes that do not move. The published forms are
cross-entropies: their gradient is that of the divergences, which are 0 where nothing moved.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from torch import Tensor

from anamnesis.methods.contrastive.cosines import NEVER, Cosines
from anamnesis.records import InputError
from anamnesis.records.option_checks import check_bounds, not_negative, positive, share


class BalanceSchedule(StrEnum):
    """How alpha goes from 1, the relations of samples alone, to 0, those to prototypes alone."""

    LINEAR = "linear"
    """A straight line over the steps of each task."""
    COSINE = "cosine"
    """Half a cosine over the steps of each task."""
    TASKS = "tasks"
    """1 - (t - 1) / (T - 1) all through task t of T."""
    CONSTANT = "constant"
    """``balance`` at every step."""


class RelatedPrototypes(StrEnum):
    """The prototypes that samples are related to."""

    OLD = "old"
    """Those of other sites' classes."""
    ALL = "all"
    """Those of all classes so far."""


class TeacherStatistics(StrEnum):
    """The statistics of the teacher's batch normalisations."""

    STORED = "stored"
    """Those of the base version."""
    BATCH = "batch"
    """Those of the batch, as in Co2L's published code, which copies the network in training mode."""


@dataclass(frozen=True, slots=True)
class RelationOptions:
    """Options of the distillation.

    Where both temperatures of a relation are equal, its loss is 0 and has no gradient where student and teacher agree.
    A lower temperature of the teacher sharpens the relations instead: then there is a gradient also where they agree.

    Attributes:
        weight: lambda; 0 switches the distillation off.
        temperature: kappa, of the relations between samples.
        teacher_temperature: of the same relations of the teacher.
        prototype_temperature: kappa', of the relations to prototypes.
        prototype_teacher_temperature: of the same relations of the teacher.
        schedule: how alpha changes.
        balance: alpha of the constant schedule: 1 is the relations of samples alone, 0 those to prototypes alone.
        tasks: T, the expected number of tasks, of the schedule over tasks.
        prototypes: which prototypes samples are related to.
        teacher_statistics: of the teacher's batch normalisations.
    """

    weight: float = not_negative(1.0)
    temperature: float = positive(0.2)
    teacher_temperature: float = positive(0.01)
    prototype_temperature: float = positive(0.2)
    prototype_teacher_temperature: float = positive(0.2)
    schedule: BalanceSchedule = BalanceSchedule.LINEAR
    balance: float = share(0.5)
    tasks: int = not_negative(0)
    prototypes: RelatedPrototypes = RelatedPrototypes.OLD
    teacher_statistics: TeacherStatistics = TeacherStatistics.STORED

    def __post_init__(self) -> None:
        check_bounds("fnc2.distillation", self)
        if self.schedule is BalanceSchedule.TASKS and self.tasks < 2:
            raise InputError(
                f"fnc2.distillation.tasks: the schedule over tasks needs 2 or more, found {self.tasks}; set the "
                "expected number of tasks, or another schedule"
            )


def instance_relations(student: Cosines, teacher: Cosines, options: RelationOptions) -> Tensor:
    """Returns the mean divergence of the relations between samples, a scalar; 0 for one sample."""
    return _mean_divergence(
        teacher.samples / options.teacher_temperature, student.samples / options.temperature, student.is_other
    )


def prototype_relations(student: Cosines, teacher: Cosines, is_related: Tensor, options: RelationOptions) -> Tensor:
    """Returns the mean divergence of the relations to the prototypes in ``is_related`` [K]; 0 for less than two."""
    return _mean_divergence(
        teacher.prototypes / options.prototype_teacher_temperature,
        student.prototypes / options.prototype_temperature,
        is_related.expand_as(student.prototypes),
    )


def relation_balance(options: RelationOptions, progress: float, task_number: int) -> float:
    """Returns alpha.

    Args:
        options: the schedule.
        progress: from 0 at the first step of the task to 1 at its last.
        task_number: t, from 1.
    """
    if options.schedule is BalanceSchedule.CONSTANT:
        return options.balance
    if options.schedule is BalanceSchedule.TASKS:
        return max(0.0, 1 - (task_number - 1) / (options.tasks - 1))
    return 1 - progress if options.schedule is BalanceSchedule.LINEAR else 0.5 * (1 + math.cos(math.pi * progress))


def _mean_divergence(teacher_logits: Tensor, student_logits: Tensor, competes: Tensor) -> Tensor:
    """Returns the mean of KL(teacher || student) over the rows of logits [n, m], among the columns that compete."""
    teacher_log_probs, student_log_probs = (
        logits.masked_fill(~competes, NEVER).log_softmax(1) for logits in (teacher_logits, student_logits)
    )
    differences = (teacher_log_probs - student_log_probs).masked_fill(~competes, 0.0)
    return (teacher_log_probs.exp() * differences).sum(1).mean()
