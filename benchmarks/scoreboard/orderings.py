"""The small version of the scoreboard: a minute, one seed; it fails when a claimed ordering does not hold."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from anamnesis.records import InputError
from benchmarks.scoreboard.options import nest_options
from benchmarks.scoreboard.result import RunSetting
from benchmarks.scoreboard.rows import FAMILIES
from benchmarks.scoreboard.run import run_setting
from benchmarks.scoreboard.sequences import PHANTOM
from benchmarks.scoreboard.sites import data_folder
from benchmarks.scoreboard.summary import summarise

REAL_SEQUENCE = "modality"
EPOCHS = 6
OPTIONS: Mapping[str, Mapping[str, object]] = {
    "finetune": {"competing": "task"},
    "joint": {},
    "ewc": {"penalty": 1e4},
    "frozen_ridge, random": {},
}


@dataclass(frozen=True, slots=True)
class Ordering:
    """One family above another; each held with five seeds before it was added here.

    Attributes:
        higher: family whose value must be higher.
        lower: family whose value must be lower.
        value_name: of the value, as in ``summary``.
        holds_on_real_images: whether it is robust on a small part of real images too, not on phantoms alone.
    """

    higher: str
    lower: str
    value_name: str
    holds_on_real_images: bool = True


ORDERINGS = (
    Ordering("finetune", "ewc", "forgetting", holds_on_real_images=False),
    Ordering("joint", "finetune", "class-incremental"),
    Ordering("frozen_ridge, random", "finetune", "class-incremental"),
)


@dataclass(frozen=True, slots=True)
class OrderingCheck:
    """The values of an ordering in the small runs, in points."""

    ordering: Ordering
    higher: float
    lower: float

    @property
    def holds(self) -> bool:
        """Whether the ordering holds."""
        return self.higher > self.lower

    def __str__(self) -> str:
        ordering, verdict = self.ordering, "holds" if self.holds else "LOST"
        higher, lower = f"{ordering.higher} {self.higher:.1f}", f"{ordering.lower} {self.lower:.1f}"
        return f"{verdict}: {ordering.value_name} of {higher} above {lower}"


def check_sequence(sequence: str, seed: int = 0) -> list[OrderingCheck]:
    """Runs the families of the orderings small, and returns each ordering with its two numbers."""
    orderings = [ordering for ordering in ORDERINGS if ordering.holds_on_real_images or sequence == PHANTOM]
    families = sorted({name for ordering in orderings for name in (ordering.higher, ordering.lower)})
    values = {family: _run_small(sequence, family, seed) for family in families}
    return [
        OrderingCheck(
            ordering, values[ordering.higher][ordering.value_name], values[ordering.lower][ordering.value_name]
        )
        for ordering in orderings
    ]


def check_orderings(print_line: Callable[[str], None]) -> bool:
    """Checks the orderings on phantoms and, if there are real images, on some of them; returns whether all hold."""
    sequences = [PHANTOM]
    try:
        data_folder()
        sequences.append(REAL_SEQUENCE)
    except InputError as error:
        print_line(f"phantoms alone: {error}")
    checks = [(sequence, ordering_check) for sequence in sequences for ordering_check in check_sequence(sequence)]
    for sequence, ordering_check in checks:
        print_line(f"{sequence}: {ordering_check}")
    return all(ordering_check.holds for _, ordering_check in checks)


def _run_small(sequence: str, family: str, seed: int) -> dict[str, float]:
    family_spec = FAMILIES[family]
    options = nest_options({**family_spec.base, **OPTIONS[family]})
    setting = RunSetting(
        sequence=sequence, method=family_spec.method, options=options, row=family, seed=seed, epochs=EPOCHS, quick=True
    )
    result = run_setting(setting)
    return {name: value for name, value in summarise(result).values.items() if value is not None}
