"""The small version of the scoreboard: a minute, one seed; fails when an ordering that the page claims is lost."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from anamnesis.records import InputError
from benchmarks.scoreboard.result import Result, Setting
from benchmarks.scoreboard.rows import FAMILIES
from benchmarks.scoreboard.run import run
from benchmarks.scoreboard.sequences import PHANTOM
from benchmarks.scoreboard.sites import data_folder
from benchmarks.scoreboard.summary import summary

REAL = "modality"
EPOCHS = 6
FAMILIES_RUN: Mapping[str, Mapping[str, object]] = {
    "finetune": {},
    "joint": {},
    "ewc": {"penalty": 3000.0},
    "acil, random": {},
}


@dataclass(frozen=True, slots=True)
class Ordering:
    """One row above another.

    Attributes:
        better: family whose value must be higher.
        worse: family whose value must be lower.
        name: of the value, as in ``summary``.
    """

    better: str
    worse: str
    name: str


ORDERINGS = (
    Ordering("finetune", "ewc", "forgetting"),
    Ordering("joint", "finetune", "class-incremental"),
    Ordering("acil, random", "finetune", "class-incremental"),
)


@dataclass(frozen=True, slots=True)
class Found:
    """What the small runs said of an ordering."""

    ordering: Ordering
    better: float
    worse: float

    @property
    def holds(self) -> bool:
        """Whether it is there."""
        return self.better > self.worse


def quick_sequence() -> str:
    """Returns *modality* where there are real images, else *phantom*."""
    try:
        data_folder()
    except InputError:
        return PHANTOM
    return REAL


def quick_runs(sequence: str, seed: int) -> dict[str, Result]:
    """Runs the families that the orderings name, small."""
    found = {}
    for family, options in FAMILIES_RUN.items():
        wanted = FAMILIES[family]
        epochs = 2 * EPOCHS if family == "joint" else EPOCHS
        every = {**wanted.base, **options}
        found[family] = run(Setting(sequence, wanted.method, every, family, seed, epochs=epochs, quick=True))
    return found


def check(sequence: str = "", seed: int = 0, say: Callable[[str], None] = print) -> list[Found]:
    """Returns every ordering with its two numbers, and says each."""
    values = {name: summary(result).values for name, result in quick_runs(sequence or quick_sequence(), seed).items()}
    listed = []
    for each in ORDERINGS:
        better, worse = values[each.better][each.name], values[each.worse][each.name]
        assert better is not None
        assert worse is not None
        listed.append(Found(each, better, worse))
        mark = "holds" if listed[-1].holds else "LOST"
        say(f"{mark}: {each.name} of {each.better} {better:.1f} above {each.worse} {worse:.1f}")
    return listed
