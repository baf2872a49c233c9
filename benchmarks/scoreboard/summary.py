"""The summary of one run: the numbers of the page."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from anamnesis.evaluation.accuracy_matrix import backward_transfer, final_average, forgetting, learning_accuracy
from anamnesis.records import digest_json
from benchmarks.scoreboard.result import RunResult, RunSetting


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Percentages, each none where it was not measured.

    Attributes:
        values: by name, in the order of printing.
    """

    values: Mapping[str, float | None]


def summarise(result: RunResult) -> RunSummary:
    """Returns averages over sites, from 0 to 100; saliency from 0 to 1."""
    by_class, by_task = result.matrix(task_incremental=False), result.matrix(task_incremental=True)
    percentages = {
        "class-incremental": final_average(by_class),
        "task-incremental": final_average(by_task),
        "site inferred": _mean([score for score in result.site_inference[-1] if score is not None]),
        "learning accuracy": learning_accuracy(by_task),
        "forgetting": forgetting(by_task),
        "forgetting, class-incremental": forgetting(by_class),
        "backward transfer": backward_transfer(by_task),
    }
    if len(result.class_incremental) == 1:  # learned all sites at once: there is no earlier task
        percentages |= dict.fromkeys(
            ("learning accuracy", "forgetting", "forgetting, class-incremental", "backward transfer")
        )
    retentions = [site.retention for site in result.saliency.values() if site.retention]
    return RunSummary(
        {name: None if value is None else 100 * value for name, value in percentages.items()}
        | {
            "saliency IoU": _mean([retention["IoU"] for retention in retentions]),
            "saliency SSIM": _mean([retention["SSIM"] for retention in retentions]),
            "seconds": sum(result.seconds),
            "state kB": result.state_bytes[-1] / 1000,
        }
    )


def describe_result(result: RunResult) -> str:
    """Returns the summary as lines of text."""
    setting, values = result.setting, summarise(result).values
    header = f"{setting.row} on {setting.sequence}, order {setting.order}, seed {setting.seed}: {dict(setting.options)}"
    lines = [f"  {name:32} {'-' if value is None else f'{value:.3f}'}" for name, value in values.items()]
    rows = [
        " ".join("    -" if score is None else f"{100 * score:5.1f}" for score in row)
        for row in result.class_incremental
    ]
    tasks = [
        " ".join("    -" if score is None else f"{100 * score:5.1f}" for score in row)
        for row in result.task_incremental
    ]
    table = [f"  {class_row}   |   {task_row}" for class_row, task_row in zip(rows, tasks, strict=True)]
    return "\n".join([header, *lines, "  class-incremental | task-incremental, by update", *table])


def run_key(setting: RunSetting) -> str:
    """Returns the key of a run in its file: its row, the digest of its options, order and seed."""
    name = re.sub(r"[^a-z0-9]+", "-", (setting.row or setting.method).lower()).strip("-")
    setting_digest = digest_json(
        {"method": setting.method, "options": dict(setting.options), **_budget_document(setting)}
    )
    return f"{name}-{setting_digest.removeprefix('sha256:')[:8]}-order{setting.order}-seed{setting.seed}"


def _budget_document(setting: RunSetting) -> dict[str, object]:
    return {"epochs": setting.epochs, "learning_rate": str(setting.learning_rate), "quick": setting.quick}


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
