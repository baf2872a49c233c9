"""What a person reads before a decision, on this machine; and what the log then holds."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from anamnesis.cli.candidate_report import report_lines
from anamnesis.operator.api.candidate_report import CandidateReport

Call = Callable[..., Any]
DIGEST = "sha256:" + "4f1c" * 16
SCORE = {"value": "0.912", "low": "0.881", "high": "0.940", "cases": 120}
TASK = {
    "site": "guangzhou", "task": "pneumonia", "metric": "AUROC", "testSet": DIGEST, "role": "Earlier", "patients": 90,
    "before": SCORE, "after": {**SCORE, "value": "0.850"}, "firstScore": "0.920", "forgetting": "0.070",
    "recalls": [{"label": "normal", "before": SCORE, "after": SCORE}], "classesWithoutRecall": 1,
}  # fmt: skip
CRITERION = {"name": "forgetting", "site": "guangzhou", "task": "pneumonia", "limit": "0.05"}


def version(call: Call, file: Path) -> str:
    return str(json.loads(call("registry", "list", "-f", file, "--json").out)[0]["version"])


def last_entry(file: Path) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(max((file.parent / "registry" / "log").iterdir()).read_bytes())
    return entry


@pytest.mark.parametrize("options", [(), ("--yes",)])
def test_reject_prints_the_report_and_the_log_has_its_digest(
    call: Call, model_file: Path, options: tuple[str, ...]
) -> None:
    digest = version(call, model_file)
    result = call("reject", "-f", model_file, digest, "--reason", "blurred", *options, "--json")
    assert result.code == 0, result.err
    assert f"candidate {digest}" in result.err
    assert re.search(r"floor +xray/phantom +AUROC +\S+ +at least 0.000 .*not judged", result.err)
    assert re.fullmatch(r"blurred \[report sha256:[0-9a-f]{64}\]", last_entry(model_file)["reason"])
    json.loads(result.out)  # the report is not on standard output


def test_approve_prints_the_report_too(call: Call, model_file: Path) -> None:
    result = call("approve", "-f", model_file, version(call, model_file), "--reason", "seen")
    assert (result.code, "base      none: this is the first version" in result.err) == (0, True)


def test_status_shows_the_report_of_a_version_that_waits(call: Call, model_file: Path) -> None:
    shown = call("status", "-f", model_file).out
    assert f"candidate {version(call, model_file)}" in shown
    assert f"anamnesis approve -f {model_file} --model chest sha256:" in shown
    assert json.loads(call("status", "-f", model_file, "--json").out)[0]["reports"]["xray"]["tasks"][0]["metric"]


def test_an_unreadable_run_record_does_not_end_status(call: Call, model_file: Path) -> None:
    old = model_file.parent / ".anamnesis" / "chest" / "runs" / "0000-old"
    old.mkdir()
    (old / "run.json").write_text('{"schema": 1}')
    result = call("status", "-f", model_file)
    assert (result.code, "chest: champion" in result.out) == (0, True)
    assert re.search(r"unreadable run record: .*0000-old/run.json: expected schema 2", result.out)


def test_a_person_who_says_why_is_told_the_option(call: Call, model_file: Path) -> None:
    result = call("approve", "-f", model_file, DIGEST, "--why", "seen")
    assert (result.code, "--reason" in result.err) == (2, True)


def test_a_model_without_the_site_of_the_version_can_still_reject_it(call: Call, model_file: Path) -> None:
    site, model = yaml.safe_load_all(model_file.read_text())
    site["metadata"]["name"] = "another"
    model["spec"]["sites"] = [{"name": "another"}]
    digest = version(call, model_file)
    model_file.write_text(yaml.safe_dump_all([site, model]))
    assert call("reject", "-f", model_file, digest, "--reason", "blurred").code == 0


def lines(**changes: object) -> str:
    fields = {
        "version": DIGEST,
        "base": DIGEST,
        "tasks": [{**TASK, **changes}],
        "criteria": [
            {**CRITERION, "value": "0.070", "result": "Failed"},
            {**CRITERION, "name": "saliency", "result": "NotApplicable"},
        ],
    }
    return "\n".join(report_lines(CandidateReport.model_validate(fields)))


def test_the_lines_have_scores_recalls_and_criteria() -> None:
    text = lines()
    assert re.search(r"guangzhou/pneumonia +AUROC +0.912 \[0.881, 0.940\] n=120 +0.850 .* 0.920 +0.070 +90", text)
    assert re.search(r"guangzhou/pneumonia +normal +0.912 .* 0.912", text)
    assert re.search(r"forgetting +guangzhou/pneumonia +0.070 +at most 0.050 +FAILED", text)
    assert re.search(r"saliency .* not judged", text)
    assert "1 more classes, which lost less" in text


def test_the_lines_say_why_a_number_is_missing() -> None:
    assert "a class has fewer than 10 test patients" in lines(detail="Rounded", recalls=[])
    assert "no scores are shown, because the test set has fewer than 10 patients" in lines(detail="Hidden", patients=0)
