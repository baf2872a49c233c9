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


def test_promtool_accepts_the_rules() -> None:
    result = promtool("check", "rules", *FILES)
    assert result.returncode == 0, result.stderr + result.stdout


def test_exactly_the_alerts_have_a_case_and_a_runbook() -> None:
    assert sorted(case.alert for case in CASES) == NAMES
    assert sorted(path.stem for path in RUNBOOKS.glob("*.md")) == NAMES
    assert len(NAMES) == sum(len(yaml.safe_load(file.read_text())["groups"][0]["rules"]) for file in FILES)


def test_an_alert_fires_after_it_was_pending_and_not_within_its_limit(tmp_path: Path) -> None:
    """A rule that never fires does not pass, nor one that always fires."""
    names = (f"{case.alert} {rule}" for case in CASES for rule in ("fires", "never", "quiet", "always"))
    files = {name: tmp_path / name for name in names}
    for case in CASES:
        for rule, fires, changes in (
            ("fires", True, {}),
            ("never", True, {"expr": "vector(0) > 1"}),
            ("quiet", False, {}),
            ("always", False, {"expr": "vector(1)"}),
        ):
            write_test(files[f"{case.alert} {rule}"], case, fires, **changes)
    agreed = agreeing_tests(*files.values())
    assert {name for name, file in files.items() if file in agreed} == {
        name for name in files if name.endswith((" fires", " quiet"))
    }


@pytest.mark.parametrize(
    ("alert", "evaluation_set"), [("AnamnesisTaskBelowFloor", "frozen"), ("AnamnesisRecentAccuracyDrop", "recent")]
)
def test_where_lower_is_better_an_alert_fires_above_the_ceiling(
    alert: str, evaluation_set: str, tmp_path: Path
) -> None:
    (case,) = (case for case in CASES if case.alert == alert)
    labels = 'namespace="wards",model="chest",site="ulm",task="lungs"'
    score = f'task_score_ratio{{{labels},evaluation_set="{evaluation_set}"}}'
    series = {"fires": {score: "6", f"task_ceiling_ratio{{{labels}}}": "5"}, "quiet": {score: "5"}}
    distance = AlertCase(**{**case_fields(case), **series})
    assert promtool_agrees(tmp_path, distance, fires=True)
    assert promtool_agrees(tmp_path, distance, fires=False)


def test_sites_of_a_task_where_lower_is_better_have_no_gap(tmp_path: Path) -> None:
    (gap,) = (case for case in CASES if case.alert == "AnamnesisWorstSiteGap")
    labels = 'namespace="wards",model="chest",site="ulm",task="lungs"'
    quiet = {f'task_info{{{labels},metric="IntegratedBrierScore",better="lower",unit=""}}': "1"}
    assert promtool_agrees(tmp_path, AlertCase(**{**case_fields(gap), "quiet": quiet}), fires=False)


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
    write_test(folder / case.alert, case, fires, **changes)
    return bool(agreeing_tests(folder / case.alert))


def agreeing_tests(*folders: Path) -> set[Path]:
    """Runs the tests of these folders in one process of promtool; returns those that it confirms."""
    result = promtool("test", "rules", *(folder / "test.yaml" for folder in folders))
    outcomes = re.findall(r"Unit Testing: +(.*)/test\.yaml\n( +SUCCESS)?", result.stdout)
    assert [Path(folder) for folder, _ in outcomes] == list(folders), result.stderr
    assert result.stderr.count("FAILED") == sum(not success for _, success in outcomes), result.stderr
    return {Path(folder) for folder, success in outcomes if success}


def write_test(folder: Path, case: AlertCase, fires: bool, **changes: Any) -> None:
    """Writes the test of a case, for the rule with these changes."""
    rule = rules()[case.alert]
    annotations = {"summary": rule["annotations"]["summary"]}
    folder.mkdir(exist_ok=True)
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


def series(case: AlertCase, input_series: Series) -> Any:
    scraped = ",".join(f'{name}="{value}"' for name, value in case.scraped.items())
    for name, values in input_series.items():
        labelled = name.replace("}", f",{scraped}}}") if "{" in name else name
        constant = f"{values}x{case.at // case.step + 10}"
        yield {"series": f"anamnesis_{labelled}", "values": values if "x" in values else constant}
