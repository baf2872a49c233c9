"""Results in JSON-lines files: one run a line, sorted by its key."""

import json
from pathlib import Path

from anamnesis.records import decode, encode_object
from benchmarks.scoreboard.results_file import lock_folder
from benchmarks.sites224.result import SequenceRun


def read_results(path: Path) -> dict[str, SequenceRun]:
    """Returns the results of a file by key; none where there is no file."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    results = [decode(SequenceRun, json.loads(line), f"{path}:{number}") for number, line in enumerate(lines, start=1)]
    return {result.setting.key: result for result in results}


def write_result(result: SequenceRun, path: Path) -> None:
    """Adds a result to the file, or replaces that of the same key; writers wait for each other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock_folder(path.parent):
        results = read_results(path) | {result.setting.key: result}
        partial = path.with_suffix(".part")
        lines = [json.dumps(encode_object(results[key])) + "\n" for key in sorted(results)]
        partial.write_text("".join(lines), encoding="utf-8")
        partial.replace(path)


def describe(result: SequenceRun) -> str:
    """Returns a result as lines of text."""
    lines = [f"{result.setting.key}: {sum(result.seconds):.0f} s of learning"]
    for name, answer in result.answers.items():
        by_site = " ".join("-" if score is None else f"{score:.3f}" for score in answer.task_incremental[-1])
        forgetting = "-" if answer.forgetting is None else f"{answer.forgetting:+.3f}"
        lines.append(
            f"  {name:20} {answer.accuracy:.3f} ({by_site}), all classes compete {answer.class_accuracy:.3f}, "
            f"forgetting {forgetting}"
        )
    return "\n".join(lines)
