"""The small version of the scoreboard: a minute, one seed; fails when an ordering that the page claims is lost."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from anamnesis.records import InputError
from benchmarks.scoreboard.result import Setting
from benchmarks.scoreboard.rows import FAMILIES
from benchmarks.scoreboard.run import run
from benchmarks.scoreboard.sequences import PHANTOM
from benchmarks.scoreboard.sites import data_folder
from benchmarks.scoreboard.summary import summary

REAL = "modality"
EPOCHS = 6
OPTIONS: Mapping[str, Mapping[str, object]] = {
    "finetune": {"competing": "task"},
    "joint": {},
    "ewc": {"penalty": 1e4},
    "acil, random": {},
}


@dataclass(frozen=True, slots=True)
class Ordering:
    """One family above another; each was seen with five seeds before it was written here.

    Attributes:
        higher: family whose value must be higher.
        lower: family whose value must be lower.
        name: of the value, as in ``summary``.
        real: whether it is robust on a small part of real images too, not on phantoms alone.
    """

    higher: str
    lower: str
    name: str
    real: bool = True


ORDERINGS = (
    Ordering("finetune", "ewc", "forgetting", real=False),
    Ordering("joint", "finetune", "class-incremental"),
    Ordering("acil, random", "finetune", "class-incremental"),
)


@dataclass(frozen=True, slots=True)
class Found:
    """What the small runs said of an ordering, in points."""

    ordering: Ordering
    higher: float
    lower: float

    @property
    def holds(self) -> bool:
        """Whether it is there."""
        return self.higher > self.lower

    def __str__(self) -> str:
        order, verdict = self.ordering, "holds" if self.holds else "LOST"
        return f"{verdict}: {order.name} of {order.higher} {self.higher:.1f} above {order.lower} {self.lower:.1f}"


def check(sequence: str, seed: int = 0) -> list[Found]:
    """Runs small what the orderings name, and returns each ordering with its two numbers."""
    orderings = [each for each in ORDERINGS if each.real or sequence == PHANTOM]
    families = sorted({name for each in orderings for name in (each.higher, each.lower)})
    values = {family: _values(sequence, family, seed) for family in families}
    return [Found(each, values[each.higher][each.name], values[each.lower][each.name]) for each in orderings]


def check_all(say: Callable[[str], None]) -> bool:
    """Checks the orderings on phantoms and, where there are real images, on a part of them; tells whether all hold."""
    sequences = [PHANTOM]
    try:
        data_folder()
        sequences.append(REAL)
    except InputError as error:
        say(f"phantoms alone: {error}")
    found = [(sequence, each) for sequence in sequences for each in check(sequence)]
    for sequence, each in found:
        say(f"{sequence}: {each}")
    return all(each.holds for _, each in found)


def _values(sequence: str, family: str, seed: int) -> dict[str, float]:
    wanted = FAMILIES[family]
    options = {**wanted.base, **OPTIONS[family]}
    result = run(Setting(sequence, wanted.method, options, family, seed, epochs=EPOCHS, quick=True))
    return {name: value for name, value in summary(result).values.items() if value is not None}
