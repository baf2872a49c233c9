"""Hyperparameters: every family tries its settings on the development sequence, and the best is kept by one rule."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from anamnesis.records import decode, encode_object
from benchmarks.scoreboard.result import RESULTS_FOLDER, RunResult, RunSetting, read_result
from benchmarks.scoreboard.rows import FAMILIES, MethodRow
from benchmarks.scoreboard.summary import slug, summarise

CHOICES_FILE = RESULTS_FOLDER / "chosen.json"
TRIALS_FOLDER = Path("build/scoreboard/trials")
RULE = (
    "The highest mean of class- and task-incremental final average on the validation patients of the sequence "
    "'development' (seed 0, order 0); of equals the first."
)


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting tried; its scores are percentages."""

    options: Mapping[str, object]
    epochs: int
    class_incremental: float
    task_incremental: float
    learning_accuracy: float | None
    saliency_iou: float | None
    seconds: float

    @property
    def score(self) -> float:
        """What the rule compares."""
        return (self.class_incremental + self.task_incremental) / 2


@dataclass(frozen=True, slots=True)
class Choice:
    """What a family settled on, and all that it tried."""

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
        RunSetting("development", family_spec.method, {**family_spec.base, **trial}, f"trial {family}", epochs=epochs)
        for trial in family_spec.trials
        for epochs in family_spec.epochs
    ]


def trial_path(setting: RunSetting) -> Path:
    """Returns where a trial's result lies; only its numbers are kept, in ``chosen.json``."""
    return TRIALS_FOLDER / f"{slug(setting)}.json"


def choose_settings(families: Iterable[str]) -> Choices:
    """Applies the rule to every family whose trials are all there, and keeps earlier choices of the others."""
    family_choices = dict(read_choices().families)
    for family in families:
        paths = [trial_path(setting) for setting in trial_settings(family)]
        if all(path.is_file() for path in paths):
            results = [read_result(path) for path in paths]
            trials = tuple(map(_make_trial, results))
            family_choices[family] = Choice(max(trials, key=lambda trial: trial.score), trials, results[0].code)
    return Choices(RULE, family_choices)


def read_choices(path: Path = CHOICES_FILE) -> Choices:
    """Returns what was chosen so far."""
    return decode(Choices, json.loads(path.read_text(encoding="utf-8")), str(path)) if path.is_file() else Choices()


def write_choices(new_choices: Choices, path: Path = CHOICES_FILE) -> None:
    """Writes ``chosen.json``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(encode_object(new_choices), indent=1) + "\n", encoding="utf-8")


def setting_of(row: MethodRow, sequence: str, seed: int, order: int, current_choices: Choices) -> RunSetting:
    """Returns a run of a row; a family that has not chosen yet takes its base options and the method's defaults."""
    family = FAMILIES[row.family]
    choice = current_choices.families.get(row.family)
    options = {**(choice.chosen.options if choice else family.base), **row.options}
    epochs = choice.chosen.epochs if choice else family.epochs[-1]
    return RunSetting(sequence, family.method, options, row.label, seed, order, epochs)


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
