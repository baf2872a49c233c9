"""promtool runs each rule: the alert fires at its limit and not below, and a wrong rule does not pass."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from alerts.alert_cases import CASES, AlertCase, Series
from alerts.rules import FILES, ROOT, TUNING, promtool, rule_file_of, rules

from anamnesis.operator.api import condition_types
from anamnesis.operator.metrics import METRIC_DEFINITIONS

RUNBOOKS = ROOT / "docs" / "runbooks"
NAMES = sorted(rules())
each_case = pytest.mark.parametrize("alert_case", CASES, ids=[alert_case.alert for alert_case in CASES])


def test_promtool_accepts_the_rules() -> None:
    result = promtool("check", "rules", *FILES)
    assert result.returncode == 0, result.stderr + result.stdout


def test_exactly_the_alerts_have_a_case_and_a_runbook() -> None:
    assert sorted(case.alert for case in CASES) == NAMES
    assert sorted(path.stem for path in RUNBOOKS.glob("*.md")) == NAMES
    assert len(NAMES) == sum(len(yaml.safe_load(file.read_text())["groups"][0]["rules"]) for file in FILES)


@each_case
def test_an_alert_is_pending_and_then_fires(alert_case: AlertCase, tmp_path: Path) -> None:
    assert promtool_agrees(tmp_path, alert_case, fires=True)
    assert not promtool_agrees(tmp_path, alert_case, fires=True, expr="vector(0) > 1"), (
        "a rule that never fires must not pass"
    )


@each_case
def test_an_alert_does_not_fire_within_its_limit(alert_case: AlertCase, tmp_path: Path) -> None:
    assert promtool_agrees(tmp_path, alert_case, fires=False)
    assert not promtool_agrees(tmp_path, alert_case, fires=False, expr="vector(1)"), (
        "a rule that always fires must not pass"
    )


def test_a_suspended_model_has_no_stuck_update(tmp_path: Path) -> None:
    (stuck,) = (case for case in CASES if case.alert == "AnamnesisUpdateStuck")
    quiet = {'model_suspended{namespace="wards",model="chest"}': "1"}
    assert promtool_agrees(tmp_path, AlertCase(**{**case_fields(stuck), "quiet": quiet}), fires=False)


def test_an_operator_that_was_never_scraped_is_absent(tmp_path: Path) -> None:
    (absent,) = (case for case in CASES if case.alert == "AnamnesisOperatorAbsent")
    nothing = {"fires": {"other": "1"}, "quiet": {}, "labels": {}, "pending": 3}
    assert promtool_agrees(tmp_path, AlertCase(**{**case_fields(absent), **nothing}), fires=True)


def test_a_new_leader_does_not_restart_an_alert(tmp_path: Path) -> None:
    """The exporting pod changes; the alert goes on."""
    (drop,) = (case for case in CASES if case.alert == "AnamnesisOldTaskAccuracyDrop")
    moved = {name.replace("}", ',pod="two"}'): f"_x8 {value}x30" for name, value in drop.fires.items()}
    first = {name.replace("}", ',pod="one"}'): f"{value}x7 stale" for name, value in drop.fires.items()}
    assert promtool_agrees(
        tmp_path, AlertCase(**{**case_fields(drop), "fires": {**first, **moved}, "at": 12}), fires=True
    )


def test_an_alert_keeps_firing_for_a_while_when_its_cause_flaps(tmp_path: Path) -> None:
    (drop,) = (case for case in CASES if case.alert == "AnamnesisOldTaskAccuracyDrop")
    flapping = {name: ("0.06x12 0x30" if "forgotten" in name else value) for name, value in drop.fires.items()}
    assert promtool_agrees(tmp_path, AlertCase(**{**case_fields(drop), "fires": flapping}), fires=True)
    assert not promtool_agrees(
        tmp_path, AlertCase(**{**case_fields(drop), "fires": flapping}), fires=True, keep_firing_for="0s"
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_has_all_labels_and_annotations(name: str) -> None:
    rule, (case,) = rules()[name], (case for case in CASES if case.alert == name)
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert rule["labels"].keys() == {"severity", "component"}
    assert {"for", "keep_firing_for"} <= rule.keys()
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"].endswith(f"/docs/runbooks/{name}.md")
    used = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
    assert used <= case.labels.keys(), "an annotation names a label that the alert does not have"


@pytest.mark.parametrize("name", NAMES)
def test_expressions_query_existing_metrics(name: str) -> None:
    exported_names = {definition.name for definition in METRIC_DEFINITIONS}
    queried_names = set(re.findall(r"anamnesis_\w+", rules()[name]["expr"]))
    assert queried_names
    assert {metric.removesuffix("_count") for metric in queried_names} <= exported_names


def test_expressions_name_existing_condition_types() -> None:
    known_types = {value for name, value in vars(condition_types).items() if name.isupper()}
    queried_types = {match for rule in rules().values() for match in re.findall(r'type="(\w+)"', rule["expr"])}
    assert queried_types
    assert queried_types <= known_types


def test_a_threshold_is_once_in_its_expression() -> None:
    tuning: dict[str, dict[str, str]] = yaml.safe_load(TUNING.read_text())
    for name, entry in tuning.items():
        assert entry.keys() == {"threshold", "meaning"}
        assert rules()[name]["expr"].count(entry["threshold"]) == 1, name


def case_fields(case: AlertCase) -> dict[str, Any]:
    return {name: getattr(case, name) for name in case.__dataclass_fields__}


def promtool_agrees(folder: Path, case: AlertCase, fires: bool, **changes: Any) -> bool:
    """Whether promtool confirms the case for the rule with these changes."""
    rule = rules()[case.alert]
    annotations = {"summary": rule["annotations"]["summary"]}
    (folder / "rules.yaml").write_text(yaml.safe_dump(rule_file_of([case.alert], annotations=annotations, **changes)))
    fired = {"exp_labels": {**case.labels, **rule["labels"]}, "exp_annotations": {"summary": case.summary}}
    checks = [(case.pending, []), (case.at, [fired])] if fires else [(case.at, [])]
    test = {
        "interval": f"{case.step}m",
        "input_series": list(series(case, case.fires if fires else {**case.fires, **case.quiet})),
        "alert_rule_test": [
            {"eval_time": f"{at}m", "alertname": case.alert, "exp_alerts": expected_alerts}
            for at, expected_alerts in checks
        ],
    }
    test_file = {"rule_files": ["rules.yaml"], "evaluation_interval": f"{case.step}m", "tests": [test]}
    (folder / "test.yaml").write_text(yaml.safe_dump(test_file))
    result = promtool("test", "rules", folder / "test.yaml")
    assert result.returncode == 0 or "FAILED" in result.stderr, result.stderr
    return result.returncode == 0


def series(case: AlertCase, input_series: Series) -> Any:
    scraped = ",".join(f'{name}="{value}"' for name, value in case.scraped.items())
    for name, values in input_series.items():
        labelled = name.replace("}", f",{scraped}}}") if "{" in name else name
        constant = f"{values}x{case.at // case.step + 10}"
        yield {"series": f"anamnesis_{labelled}", "values": values if "x" in values else constant}
