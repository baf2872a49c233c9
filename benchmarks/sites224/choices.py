"""The chosen setting of each family: one rule, on training patients alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from anamnesis.records import decode, encode_object
from benchmarks.sites224.families import FAMILIES, TrialSetting, trial_settings
from benchmarks.sites224.result import AnswerResult, SequenceRun
from benchmarks.sites224.results_file import read_results
from benchmarks.sites224.second_answer import PROTOTYPES

RESULTS_FOLDER = Path(__file__).resolve().parents[1] / "results" / "sites224"
TRIALS_FILE, CHOICES_FILE, RUNS_FILE = (RESULTS_FOLDER / name for name in ("trials.jsonl", "chosen.json", "runs.jsonl"))
RULE = (
    "The highest mean of two balanced accuracies on held-out training patients of the first two sites, after both were "
    "learned: of the row's answer where all classes compete, and where the site is known; of equals the first."
)


@dataclass(frozen=True, slots=True)
class TrialScore:
    """A trial and its two accuracies."""

    trial: TrialSetting
    class_accuracy: float
    accuracy: float

    @property
    def score(self) -> float:
        """What the rule compares."""
        return (self.class_accuracy + self.accuracy) / 2


@dataclass(frozen=True, slots=True)
class FamilyChoice:
    """The chosen trial of a family, and the scores of all."""

    chosen: TrialSetting
    trials: tuple[TrialScore, ...]


@dataclass(frozen=True, slots=True)
class FamilyChoices:
    """The file ``chosen.json``."""

    rule: str = RULE
    families: Mapping[str, FamilyChoice] = field(default_factory=dict)


def main_answer(result: SequenceRun) -> AnswerResult:
    """Returns the answer that stands for a row: by head and prototypes where there is one."""
    return result.answers.get(PROTOTYPES) or next(iter(result.answers.values()))


def choose(trials: Path = TRIALS_FILE) -> FamilyChoices:
    """Applies the rule to every family whose trials are all there."""
    results, families = read_results(trials), {}
    for name, family in FAMILIES.items():
        if len(family.trials) == 1:
            families[name] = FamilyChoice(family.trials[0], ())
            continue
        keys = [setting.key for setting in trial_settings(name)]
        if not all(key in results for key in keys):
            continue
        answers = [main_answer(results[key]) for key in keys]
        scores = tuple(
            TrialScore(trial, round(answer.class_accuracy, 4), round(answer.accuracy, 4))
            for trial, answer in zip(family.trials, answers, strict=True)
        )
        families[name] = FamilyChoice(max(scores, key=lambda item: item.score).trial, scores)
    return FamilyChoices(RULE, families)


def read_choices(path: Path = CHOICES_FILE) -> FamilyChoices:
    """Returns the choices; none before the trials."""
    return (
        decode(FamilyChoices, json.loads(path.read_text(encoding="utf-8")), str(path))
        if path.is_file()
        else FamilyChoices()
    )


def write_choices(choices: FamilyChoices, path: Path = CHOICES_FILE) -> None:
    """Writes ``chosen.json``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(encode_object(choices), indent=1) + "\n", encoding="utf-8")
