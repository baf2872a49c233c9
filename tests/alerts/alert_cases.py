"""Series at which each alert fires, and series just below its limit."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Series = Mapping[str, str]
DAY, HOUR = 1440, 60
"""In minutes."""


@dataclass(frozen=True)
class AlertCase:
    """Input series of one alert, in promtool's notation, each without its labels' common part.

    Attributes:
        alert: name of the alert.
        fires: series at which it fires in the minute ``at``.
        quiet: series at which it does not fire then; series of ``fires`` that it does not name stay.
        labels: labels of the alert, besides those of the rule.
        summary: summary of the alert.
        at: the minute in which it fires.
        pending: an earlier minute, in which it is pending and does not fire.
        step: minutes between samples.
        scraped: labels that the scrape adds to each series.
    """

    alert: str
    fires: Series
    quiet: Series
    labels: Mapping[str, str]
    summary: str
    at: int = 15
    pending: int = 9
    step: int = 1
    scraped: Mapping[str, str] = field(default_factory=lambda: {"job": "anamnesis", "instance": "pod-1"})


MODEL = {"namespace": "wards", "model": "chest"}
MODEL_SITE = {**MODEL, "site": "ulm"}
SITE = {"namespace": "wards", "site": "ulm"}
TASK = {**MODEL_SITE, "task": "lungs"}
PROCESS = {"namespace": "wards", "job": "anamnesis"}
_M, _MS, _S = (
    'namespace="wards",model="chest"',
    'namespace="wards",model="chest",site="ulm"',
    'namespace="wards",site="ulm"',
)
_T, _U = f'{_MS},task="lungs"', 'namespace="wards",model="chest",site="bonn",task="lungs"'
_REASON = f"model_condition_reason{{{_M},"
_STARTED, _DEADLINE = f"model_update_started_timestamp_seconds{{{_MS}}}", f"model_update_deadline_seconds{{{_M}}}"
_AWAITING = f"model_awaiting_approval_timestamp_seconds{{{_MS}}}"
_DUE = f"model_evaluation_due_timestamp_seconds{{{_M}}}"
_COUNT = 'operator_reconcile_duration_seconds_count{namespace="wards",kind="Site",result='

CASES = (
    AlertCase(
        "AnamnesisOldTaskAccuracyDrop",
        {f"task_forgotten_ratio{{{_T}}}": "0.06", f"task_margin_ratio{{{_T}}}": "0.05"},
        quiet={f"task_forgotten_ratio{{{_T}}}": "0.05"},
        labels=TASK,
        summary="wards/chest has forgotten part of task lungs of site ulm",
    ),
    AlertCase(
        "AnamnesisRecentAccuracyDrop",
        {f'task_score_ratio{{{_T},evaluation_set="recent"}}': "0.7", f"task_recent_floor_ratio{{{_T}}}": "0.78"},
        quiet={f'task_score_ratio{{{_T},evaluation_set="recent"}}': "0.78"},
        labels=TASK,
        summary="wards/chest scores beyond its limit on recent cases of site ulm",
    ),
    AlertCase(
        "AnamnesisTaskBelowFloor",
        {f'task_score_ratio{{{_T},evaluation_set="frozen"}}': "0.79", f"task_floor_ratio{{{_T}}}": "0.8"},
        quiet={
            f'task_score_ratio{{{_T},evaluation_set="frozen"}}': "0.8",
            f'task_score_ratio{{{_T},evaluation_set="recent"}}': "0.5",
        },
        labels=TASK,
        summary="wards/chest is beyond its limit for task lungs of site ulm",
    ),
    AlertCase(
        "AnamnesisScoreMoved",
        {f'{_REASON}type="Forgetting",reason="ScoreMoved"}}': "1"},
        quiet={
            f'{_REASON}type="Forgetting",reason="ScoreMoved"}}': "_",
            f'{_REASON}type="Forgetting",reason="X"}}': "1",
        },
        labels=MODEL,
        summary="wards/chest does not reproduce the score of its promotion",
    ),
    AlertCase(
        "AnamnesisSaliencyDrift",
        {f"task_saliency_ratio{{{_T}}}": "0.4", f"task_saliency_floor_ratio{{{_T}}}": "0.5"},
        quiet={f"task_saliency_floor_ratio{{{_T}}}": "_"},
        labels=TASK,
        summary="wards/chest looks at other regions in images of site ulm than before",
    ),
    AlertCase(
        "AnamnesisWorstSiteGap",
        {
            f'task_score_ratio{{{_T},evaluation_set="frozen"}}': "0.7",
            f'task_score_ratio{{{_U},evaluation_set="frozen"}}': "0.9",
        },
        quiet={f'task_score_ratio{{{_T},evaluation_set="frozen"}}': "0.75"},  # 0.9 - 0.75 is more than 0.15 in binary
        labels=TASK,
        summary="wards/chest performs worse at site ulm than at another site",
    ),
    AlertCase(
        "AnamnesisModelWithdrawn",
        {f'{_REASON}type="Ready",reason="Withdrawn"}}': "1"},
        quiet={
            f'{_REASON}type="Ready",reason="Withdrawn"}}': "_",
            f'{_REASON}type="Ready",reason="NoChampion"}}': "1",
        },
        labels=MODEL,
        summary="wards/chest was withdrawn: no version may be used",
        at=3,
        pending=0,
    ),
    AlertCase(
        "AnamnesisModelStalled",
        {
            f'model_site_state{{{_MS},state="OutsideChangePlan"}}': "1",
            f'{_REASON}type="Stalled",reason="OutsideChangePlan"}}': "1",
        },
        quiet={
            f'model_site_state{{{_MS},state="OutsideChangePlan"}}': "_",
            f'{_REASON}type="Stalled",reason="OutsideChangePlan"}}': "_",
            f'model_site_state{{{_MS},state="Failed"}}': "1",
            f'{_REASON}type="Stalled",reason="Failed"}}': "1",
        },
        labels={**MODEL, "reason": "OutsideChangePlan"},
        summary="wards/chest is stalled and needs a person: OutsideChangePlan",
    ),
    AlertCase(
        "AnamnesisUpdateFailing",
        {f"model_update_failures{{{_MS}}}": "2"},
        quiet={f"model_update_failures{{{_MS}}}": "0"},
        labels=MODEL_SITE,
        summary="Updates of wards/chest from site ulm fail",
        at=3,
        pending=0,
    ),
    AlertCase(
        "AnamnesisStepNotStarted",
        {f'{_REASON}type="Stalled",reason="StepNotStarted"}}': "1"},
        quiet={
            f'{_REASON}type="Stalled",reason="StepNotStarted"}}': "_",
            f'{_REASON}type="Stalled",reason="NothingToDo"}}': "1",
            f'model_site_state{{{_MS},state="Updating"}}': "1",
        },
        labels=MODEL,
        summary="A step of wards/chest does not start",
        at=3,
        pending=0,
    ),
    AlertCase(
        "AnamnesisUpdateStuck",
        {_STARTED: "0", _DEADLINE: "3600", f"model_suspended{{{_M}}}": "0"},
        quiet={_AWAITING: "0"},
        labels=MODEL_SITE,
        summary="The update of wards/chest from site ulm does not end",
        at=90,
        pending=70,
    ),
    AlertCase(
        "AnamnesisApprovalWaiting",
        {_AWAITING: "0"},
        quiet={_AWAITING: str(2 * HOUR * 60)},
        labels=MODEL_SITE,
        summary="A version of wards/chest waits for approval",
        at=DAY + 10,
        pending=DAY - 5,
        step=5,
    ),
    AlertCase(
        "AnamnesisEvaluationStale",
        {_DUE: "0"},
        quiet={_DUE: str(HOUR * 60)},
        labels=MODEL,
        summary="A scheduled evaluation of wards/chest is overdue",
        at=6 * HOUR + 15,
        pending=6 * HOUR,
    ),
    AlertCase(
        "AnamnesisSiteUnreadable",
        {f"site_ready{{{_S}}}": "0"},
        quiet={f"site_ready{{{_S}}}": "1"},
        labels=SITE,
        summary="The operator cannot read the source of site wards/ulm",
        at=20,
        pending=14,
    ),
    AlertCase(
        "AnamnesisSiteNotPolled",
        {f"site_polled_timestamp_seconds{{{_S}}}": "0", f"site_poll_interval_seconds{{{_S}}}": "60"},
        quiet={f"site_polled_timestamp_seconds{{{_S}}}": "0+60x30"},
        labels=SITE,
        summary="The operator does not poll the source of site wards/ulm",
        at=20,
        pending=12,
    ),
    AlertCase(
        "AnamnesisSiteSilent",
        {f"site_changed_timestamp_seconds{{{_S}}}": "0"},
        quiet={f"site_changed_timestamp_seconds{{{_S}}}": "86400"},
        labels=SITE,
        summary="Site wards/ulm has sent no new data",
        at=30 * DAY + 120,
        pending=30 * DAY,
        step=30,
    ),
    AlertCase(
        "AnamnesisQuarantineHigh",
        {f"model_site_quarantined_ratio{{{_MS}}}": "0.09", f"site_quarantine_limit_ratio{{{_S}}}": "0.1"},
        quiet={f"model_site_quarantined_ratio{{{_MS}}}": "0.08"},
        labels=MODEL_SITE,
        summary="Many files of site wards/ulm are quarantined",
    ),
    AlertCase(
        "AnamnesisRegistryDamaged",
        {f'{_REASON}type="Ready",reason="RegistryDamaged"}}': "1"},
        quiet={
            f'{_REASON}type="Ready",reason="RegistryDamaged"}}': "_",
            f'{_REASON}type="Ready",reason="RegistryUnreachable"}}': "1",
        },
        labels=MODEL,
        summary="The registry of wards/chest is damaged or was tampered with",
        at=3,
        pending=0,
    ),
    AlertCase(
        "AnamnesisUnverifiedPromotion",
        {f'model_condition{{{_M},type="UnverifiedPromotion",status="True"}}': "1"},
        quiet={
            f'model_condition{{{_M},type="UnverifiedPromotion",status="True"}}': "0",
            f'model_condition{{{_M},type="UnverifiedPromotion",status="Unknown"}}': "1",
        },
        labels=MODEL,
        summary="The registry log of wards/chest has an entry that nobody verified",
        at=3,
        pending=0,
    ),
    AlertCase(
        "AnamnesisRegistryLogShrank",
        {f"model_log_entries{{{_M}}}": "7x10 6x20"},
        quiet={f"model_log_entries{{{_M}}}": "7x10 7x20"},
        labels=MODEL,
        summary="The registry log of wards/chest has lost entries",
        at=15,
        pending=11,
    ),
    AlertCase(
        "AnamnesisRegistryUnreachable",
        {f'{_REASON}type="Ready",reason="RegistryUnreachable"}}': "1"},
        quiet={f'{_REASON}type="Ready",reason="RegistryUnreachable"}}': "1 1 1 1 1 _x20"},
        labels={**MODEL, "reason": "RegistryUnreachable"},
        summary="The operator cannot reach the registry of wards/chest",
    ),
    AlertCase(
        "AnamnesisBackendUnreachable",
        {f'model_condition{{{_M},type="BackendReachable",status="False"}}': "1"},
        quiet={f'model_condition{{{_M},type="BackendReachable",status="False"}}': "0"},
        labels=MODEL,
        summary="The back end that runs the pipelines of wards/chest is unreachable",
    ),
    AlertCase(
        "AnamnesisOperatorAbsent",
        {'operator_build_info{namespace="wards",version="1"}': "1x5 _x30"},
        quiet={'operator_build_info{namespace="wards",version="1"}': "1"},
        labels=PROCESS,
        summary="No Anamnesis operator is running or scraped",
        at=20,
        pending=9,
    ),
    AlertCase(
        "AnamnesisNoLeader",
        {'operator_leader{namespace="wards"}': "0", 'operator_leader{namespace="wards",pod="other"}': "0"},
        quiet={'operator_leader{namespace="wards",pod="other"}': "1"},
        labels=PROCESS,
        summary="Anamnesis operators are running, but none of them leads",
        at=10,
        pending=4,
    ),
    AlertCase(
        "AnamnesisWatchSilent",
        {'operator_watch_age_seconds{namespace="wards",kind="Site"}': "301"},
        quiet={'operator_watch_age_seconds{namespace="wards",kind="Site"}': "300"},
        labels={**PROCESS, "instance": "pod-1", "kind": "Site"},
        summary="An Anamnesis operator may miss changes of Site resources",
        at=10,
        pending=4,
    ),
    AlertCase(
        "AnamnesisResourceUnread",
        {'operator_unread_resources{namespace="wards",kind="Site"}': "2"},
        quiet={'operator_unread_resources{namespace="wards",kind="Site"}': "0"},
        labels={**PROCESS, "kind": "Site"},
        summary="The operator cannot read some Site resources",
    ),
    AlertCase(
        "AnamnesisReconcileErrors",
        {f'{_COUNT}"error"}}': "0+1x60", f'{_COUNT}"success"}}': "0+2x60"},
        quiet={f'{_COUNT}"success"}}': "0+3x60"},
        labels={**PROCESS, "kind": "Site"},
        summary="The operator fails to reconcile Site resources",
        at=30,
        pending=10,
    ),
)
