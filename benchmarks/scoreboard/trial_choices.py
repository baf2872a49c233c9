"""Hyperparameters: one rule chooses the best settings of each family on the development sequence."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from anamnesis.records import decode, encode_object
from benchmarks.scoreboard.options import flatten_options, nest_options
from benchmarks.scoreboard.result import RESULTS_FOLDER, RunResult, RunSetting
from benchmarks.scoreboard.results_file import read_results
from benchmarks.scoreboard.rows import FAMILIES, MethodRow
from benchmarks.scoreboard.summary import run_key, summarise

CHOICES_FILE = RESULTS_FOLDER / "chosen.json"
TRIALS_FILE = Path("build/scoreboard/trials.jsonl")
"""Results of the trials; ``chosen.json`` keeps only their numbers."""
RULE = (
    "The highest mean of class- and task-incremental final average on the validation patients of the sequence "
    "'development' (seed 0, order 0); of equals the first."
)


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting and its scores, in per cent."""

    options: Mapping[str, object]
    epochs: int
    class_incremental: float
    task_incremental: float
    learning_accuracy: float | None
    saliency_iou: float | None
    seconds: float

    @property
    def score(self) -> float:
        """The number that the rule compares."""
        return (self.class_incremental + self.task_incremental) / 2


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen trial of a family, and all its trials."""

    chosen: Trial
    trials: tuple[Trial, ...]
    code: str


@dataclass(frozen=True, slots=True)
class Choices:
    """The file ``chosen.json``."""

    rule: str = RULE
    families: Mapping[str, Choice] = field(default_factory=dict)


def trial_settings(family: str) -> list[RunSetting]:
    """Returns the runs that a family's choice needs."""
    family_spec = FAMILIES[family]
    return [
        RunSetting(
            sequence="development",
            method=family_spec.method,
            options=nest_options({**family_spec.base, **trial}),
            row=f"trial {family}",
            epochs=epochs,
        )
        for trial in family_spec.trials
        for epochs in family_spec.epochs
    ]


def choose_settings(families: Iterable[str]) -> Choices:
    """Applies the rule to every family with all its trials, and keeps the earlier choices of the others."""
    family_choices, trial_results = dict(read_choices().families), read_results(TRIALS_FILE)
    for family in families:
        keys = [run_key(setting) for setting in trial_settings(family)]
        if all(key in trial_results for key in keys):
            results = [trial_results[key] for key in keys]
            trials = tuple(map(_make_trial, results))
            family_choices[family] = Choice(max(trials, key=lambda trial: trial.score), trials, results[0].code)
    return Choices(RULE, family_choices)


def read_choices(path: Path = CHOICES_FILE) -> Choices:
    """Returns the choices so far."""
    return decode(Choices, json.loads(path.read_text(encoding="utf-8")), str(path)) if path.is_file() else Choices()


def write_choices(new_choices: Choices, path: Path = CHOICES_FILE) -> None:
    """Writes ``chosen.json``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(encode_object(new_choices), indent=1) + "\n", encoding="utf-8")


def setting_of(row: MethodRow, sequence: str, seed: int, order: int, current_choices: Choices) -> RunSetting:
    """Returns a run of a row; a family without a choice takes its base options and the method's defaults."""
    family = FAMILIES[row.family]
    choice = current_choices.families.get(row.family)
    options = {**(flatten_options(choice.chosen.options) if choice else family.base), **row.options}
    return RunSetting(
        sequence=sequence,
        method=family.method,
        options=nest_options(options),
        row=row.label,
        seed=seed,
        order=order,
        epochs=choice.chosen.epochs if choice else family.epochs[-1],
    )


def _make_trial(result: RunResult) -> Trial:
    values = summarise(result).values
    numbers = {name: None if value is None else round(value, 3) for name, value in values.items()}
    return Trial(
        options=result.setting.options,
        epochs=result.setting.epochs,
        class_incremental=numbers["class-incremental"] or 0.0,
        task_incremental=numbers["task-incremental"] or 0.0,
        learning_accuracy=numbers["learning accuracy"],
        saliency_iou=numbers["saliency IoU"],
        seconds=numbers["seconds"] or 0.0,
    )
