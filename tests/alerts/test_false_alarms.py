"""False alarms and missed alarms: situations without a fault, and situations beside a fault."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml
from alerts.alert_cases import CASES, MODEL, MODEL_SITE, AlertCase, Series
from alerts.rules import FILES, ROOT, promtool, rules
from alerts.test_rules import promtool_agrees
from chart.conftest import find_object, objects_of

BY_NAME = {case.alert: case for case in CASES}
_M, _MS, _S = (",".join(f'{name}="{value}"' for name, value in labels.items()) for labels in (
    MODEL, MODEL_SITE, {"namespace": "wards", "site": "ulm"}))  # fmt: skip
_UNREADABLE, _SITE_THERE = f'model_site_state{{{_MS},state="Unreadable"}}', f"site_poll_interval_seconds{{{_S}}}"
_POLLED = f"site_polled_timestamp_seconds{{{_S}}}"
_LEADER, _BUILD = "operator_leader", "operator_build_info"


@dataclass(frozen=True)
class Situation:
    """Series of a situation, and whether the alert fires."""

    alert: str
    series: Series
    fires: bool
    labels: Series | None = None
    summary: str = ""
    scraped: Series | None = None


SITUATIONS = {
    "a model names a Site that is not there": Situation(
        "AnamnesisModelStalled",
        {_UNREADABLE: "1", f'model_condition_reason{{{_M},type="Stalled",reason="Unreadable"}}': "1"},
        fires=True,
        labels={**MODEL, "reason": "Unreadable"},
        summary="wards/chest is stalled and needs a person: Unreadable",
    ),
    "a Site is there and cannot be read: it has its own alert": Situation(
        "AnamnesisModelStalled",
        {
            _UNREADABLE: "1",
            _SITE_THERE: "60",
            f'model_condition_reason{{{_M},type="Stalled",reason="Unreadable"}}': "1",
        },
        False,
    ),
    "a site is outside the change plan while another failed": Situation(
        "AnamnesisModelStalled",
        {
            f'model_condition_reason{{{_M},type="Stalled",reason="Failed"}}': "1",
            f'model_site_state{{{_MS},state="OutsideChangePlan"}}': "1",
        },
        fires=True,
        labels={**MODEL, "reason": "Failed"},
        summary="wards/chest is stalled and needs a person: Failed",
    ),
    "one site waits for a node while the update of another one failed": Situation(
        "AnamnesisStepNotStarted",
        {
            f'model_condition_reason{{{_M},type="Stalled",reason="Failed"}}': "1",
            f'model_site_state{{{_MS},state="StepNotStarted"}}': "1",
        },
        True,
    ),
    "the store of a learned site is away": Situation(
        "AnamnesisModelStalled",
        {f'model_condition_reason{{{_M},type="Stalled",reason="StoreUnreadable"}}': "1"},
        fires=True,
        labels={**MODEL, "reason": "StoreUnreadable"},
        summary="wards/chest is stalled and needs a person: StoreUnreadable",
    ),
    "a model without a champion, as on the first day": Situation(
        "AnamnesisModelStalled", {f'model_condition_reason{{{_M},type="Ready",reason="NoChampion"}}': "1"}, False
    ),
    "a Site that was deleted": Situation(
        "AnamnesisSiteNotPolled", {_POLLED: "0x8 stale", _SITE_THERE: "60x8 stale"}, False
    ),
    "an operator that was away for 6 minutes": Situation(
        "AnamnesisSiteNotPolled", {_POLLED: "0 0 _x6 480+60x20", _SITE_THERE: "60 60 _x6 60x20"}, False
    ),
    "the operator's resources count only once": Situation(
        "AnamnesisResourceUnread",
        {
            'operator_unread_resources{kind="Site",pod="one"}': "2",
            'operator_unread_resources{kind="Site",pod="two"}': "2",
        },
        True,
        {"job": "plain", "kind": "Site"},
        scraped={"job": "plain"},
    ),
    "a plain scrape of another name, without a namespace": Situation(
        "AnamnesisNoLeader",
        {f'{_LEADER}{{instance="one"}}': "0", f'{_LEADER}{{instance="two"}}': "0"},
        True,
        {"job": "plain"},
        scraped={"job": "plain"},
    ),
    "one of two operators in namespaces of their own has no leader": Situation(
        "AnamnesisNoLeader", {f'{_LEADER}{{namespace="a"}}': "0", f'{_LEADER}{{namespace="wards"}}': "1"}, True,
        {"namespace": "a", "job": "anamnesis"},
    ),
    "one of two operators is gone": Situation(
        "AnamnesisOperatorAbsent",
        {f'{_BUILD}{{namespace="a"}}': "1x3 _x40", f'{_BUILD}{{namespace="wards"}}': "1"},
        True,
        {"namespace": "a", "job": "anamnesis"},
    ),
    "a replica is gone and another is there": Situation(
        "AnamnesisOperatorAbsent",
        {f'{_BUILD}{{namespace="wards",pod="one"}}': "1x3 _x40", f'{_BUILD}{{namespace="wards",pod="two"}}': "1"},
        False,
    ),
    "an operator restarts, and its counters too": Situation(
        "AnamnesisReconcileErrors",
        {
            'operator_reconcile_duration_seconds_count{kind="Site",result="success"}': "0+9x10 0+9x40",
            'operator_reconcile_duration_seconds_count{kind="Site",result="error"}': "9x10 0x40",
        },
        False,
    ),
    "an approval was given": Situation(
        "AnamnesisApprovalWaiting", {f"model_awaiting_approval_timestamp_seconds{{{_MS}}}": "-90000x8 stale"}, False
    ),
    "an approval waits while the operator restarts": Situation(
        "AnamnesisApprovalWaiting", {f"model_awaiting_approval_timestamp_seconds{{{_MS}}}": "-90000x9 _x2 -90000x9"},
        True,
    ),
    "a champion's log in the first minutes after a restart": Situation(
        "AnamnesisRegistryLogShrank", {f"model_log_entries{{{_M}}}": "7x6 _x3 7x30"}, False
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_situation(name: str, tmp_path: Path) -> None:
    situation = SITUATIONS[name]
    assert promtool_agrees(tmp_path, case_of_situation(situation), situation.fires)
    assert not promtool_agrees(
        tmp_path,
        case_of_situation(situation),
        situation.fires,
        expr="vector(0) > 1" if situation.fires else "vector(1)",
    )


def case_of_situation(situation: Situation) -> AlertCase:
    case = BY_NAME[situation.alert]
    at, pending = (15, 0) if situation.alert == "AnamnesisApprovalWaiting" else (case.at, min(case.pending, 4))
    return replace(
        case,
        fires=situation.series,
        quiet={},
        labels=case.labels if situation.labels is None else situation.labels,
        summary=situation.summary or case.summary,
        scraped=case.scraped if situation.scraped is None else situation.scraped,
        at=at,
        pending=pending,
        step=1,
    )


def test_a_scrape_s_age_is_no_silence_of_the_operator(tmp_path: Path) -> None:
    """A Site that is polled every 5 seconds, written every 20 seconds and scraped every two minutes."""
    polled = " ".join(f"{60 * minute - 20} _" for minute in range(0, 30, 2)) + "x0"
    quick = case_of_situation(Situation("AnamnesisSiteNotPolled", {_POLLED: polled, _SITE_THERE: "5"}, False))
    expr = rules()["AnamnesisSiteNotPolled"]["expr"]
    assert promtool_agrees(tmp_path, quick, False, **{"for": "0s"})
    by_the_clock = expr.replace("timestamp(anamnesis_site_polled_timestamp_seconds)", "time()")
    assert not promtool_agrees(tmp_path, quick, False, **{"for": "0s", "expr": by_the_clock})


def test_the_page_s_scrape_is_one_that_prometheus_takes(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "alerts.md").read_text()
    config = yaml.safe_load(page.split("```yaml\n")[1].partition("```")[0])
    (job,) = config["scrape_configs"]
    assert job.pop("kubernetes_sd_configs")[0]["role"] == "pod"  # Debian's Prometheus is built without Kubernetes
    name, port = next(relabelling["regex"] for relabelling in job["relabel_configs"] if "regex" in relabelling).split(
        ";"
    )
    pod = find_object(objects_of({}), "Deployment")["spec"]["template"]
    assert pod["metadata"]["labels"]["app.kubernetes.io/name"] == name
    assert {"name": port, "containerPort": 8080} in pod["spec"]["containers"][0]["ports"]
    config["rule_files"] = [str(file) for file in FILES]
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config))
    result = promtool("check", "config", tmp_path / "prometheus.yaml")
    assert (result.returncode, job["honor_labels"]) == (0, True), result.stdout + result.stderr
