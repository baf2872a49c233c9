"""Each alert fires when it should and not otherwise, as promtool runs it; and a rule that is wrong does not pass."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from alerts.cases import CASES, Case, Series
from alerts.rules import FILES, ROOT, TUNING, copy_of, promtool, rules

from anamnesis.operator.metrics import DEFINITIONS

RUNBOOKS = ROOT / "docs" / "runbooks"
NAMES = sorted(rules())
case = pytest.mark.parametrize("one", CASES, ids=[one.alert for one in CASES])


def test_promtool_accepts_the_rules() -> None:
    done = promtool("check", "rules", *FILES)
    assert done.returncode == 0, done.stderr + done.stdout


def test_every_alert_has_a_case_and_a_page_and_no_other_has() -> None:
    assert sorted(one.alert for one in CASES) == NAMES
    assert sorted(path.stem for path in RUNBOOKS.glob("*.md")) == NAMES
    assert len(NAMES) == sum(len(yaml.safe_load(file.read_text())["groups"][0]["rules"]) for file in FILES)


@case
def test_it_waits_and_fires(one: Case, tmp_path: Path) -> None:
    assert passes(tmp_path, one, fires=True)
    assert not passes(tmp_path, one, fires=True, expr="vector(0) > 1"), "a rule that never fires must not pass"


@case
def test_it_stays_quiet(one: Case, tmp_path: Path) -> None:
    assert passes(tmp_path, one, fires=False)
    assert not passes(tmp_path, one, fires=False, expr="vector(1)"), "a rule that always fires must not pass"


def test_a_suspended_model_has_no_stuck_update(tmp_path: Path) -> None:
    (stuck,) = (one for one in CASES if one.alert == "AnamnesisUpdateStuck")
    quiet = {'model_suspended{namespace="wards",model="chest"}': "1"}
    assert passes(tmp_path, Case(**{**fields(stuck), "quiet": quiet}), fires=False)


def test_an_operator_that_never_was_is_absent(tmp_path: Path) -> None:
    (absent,) = (one for one in CASES if one.alert == "AnamnesisOperatorAbsent")
    nothing = {"fires": {"other": "1"}, "quiet": {}, "labels": {}, "pending": 3}
    assert passes(tmp_path, Case(**{**fields(absent), **nothing}), fires=True)


def test_a_new_leader_is_no_new_alert(tmp_path: Path) -> None:
    """The pod that exports changes; the alert goes on."""
    (drop,) = (one for one in CASES if one.alert == "AnamnesisOldTaskAccuracyDrop")
    moved = {name.replace("}", ',pod="two"}'): f"_x8 {value}x30" for name, value in drop.fires.items()}
    first = {name.replace("}", ',pod="one"}'): f"{value}x7 stale" for name, value in drop.fires.items()}
    assert passes(tmp_path, Case(**{**fields(drop), "fires": {**first, **moved}, "at": 12}), fires=True)


def test_an_alert_goes_on_for_a_while_when_its_cause_comes_and_goes(tmp_path: Path) -> None:
    (drop,) = (one for one in CASES if one.alert == "AnamnesisOldTaskAccuracyDrop")
    flapping = {name: ("0.06x12 0x30" if "forgotten" in name else value) for name, value in drop.fires.items()}
    assert passes(tmp_path, Case(**{**fields(drop), "fires": flapping}), fires=True)
    assert not passes(tmp_path, Case(**{**fields(drop), "fires": flapping}), fires=True, keep_firing_for="0s")


@pytest.mark.parametrize("name", NAMES)
def test_it_says_all_that_somebody_on_call_needs(name: str) -> None:
    rule, (one,) = rules()[name], (one for one in CASES if one.alert == name)
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert rule["labels"].keys() == {"severity", "component"}
    assert {"for", "keep_firing_for"} <= rule.keys()
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"].endswith(f"/docs/runbooks/{name}.md")
    used = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
    assert used <= one.labels.keys(), "an annotation names a label that the alert does not have"


@pytest.mark.parametrize("name", NAMES)
def test_it_asks_for_metrics_that_there_are(name: str) -> None:
    known = {definition.name for definition in DEFINITIONS}
    asked = set(re.findall(r"anamnesis_\w+", rules()[name]["expr"]))
    assert asked
    assert {metric.removesuffix("_count") for metric in asked} <= known


def test_a_threshold_stands_once_in_its_expression() -> None:
    tuning: dict[str, dict[str, str]] = yaml.safe_load(TUNING.read_text())
    for name, one in tuning.items():
        assert one.keys() == {"threshold", "meaning"}
        assert rules()[name]["expr"].count(one["threshold"]) == 1, name


def fields(one: Case) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__dataclass_fields__}


def passes(folder: Path, one: Case, fires: bool, **changes: Any) -> bool:
    """Whether promtool finds that the alert, changed so, does what the case says."""
    rule = rules()[one.alert]
    annotations = {"summary": rule["annotations"]["summary"]}
    (folder / "rules.yaml").write_text(yaml.safe_dump(copy_of([one.alert], annotations=annotations, **changes)))
    fired = {"exp_labels": {**one.labels, **rule["labels"]}, "exp_annotations": {"summary": one.summary}}
    checks = [(one.pending, []), (one.at, [fired])] if fires else [(one.at, [])]
    test = {
        "interval": f"{one.step}m",
        "input_series": list(series(one, one.fires if fires else {**one.fires, **one.quiet})),
        "alert_rule_test": [{"eval_time": f"{at}m", "alertname": one.alert, "exp_alerts": all_} for at, all_ in checks],
    }
    whole = {"rule_files": ["rules.yaml"], "evaluation_interval": f"{one.step}m", "tests": [test]}
    (folder / "test.yaml").write_text(yaml.safe_dump(whole))
    done = promtool("test", "rules", folder / "test.yaml")
    assert done.returncode == 0 or "FAILED" in done.stderr, done.stderr
    return done.returncode == 0


def series(one: Case, wanted: Series) -> Any:
    scraped = ",".join(f'{name}="{value}"' for name, value in one.scraped.items())
    for name, values in wanted.items():
        labelled = name.replace("}", f",{scraped}}}") if "{" in name else name
        constant = f"{values}x{one.at // one.step + 10}"
        yield {"series": f"anamnesis_{labelled}", "values": values if "x" in values else constant}
