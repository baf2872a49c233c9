import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from builders.resource_documents import REQUEST_DOCUMENT, document
from conftest import missing
from prometheus_client.parser import text_string_to_metric_families

from anamnesis.operator.api import ContinualModel, Site, UpdateApproval, reasons
from anamnesis.operator.api.api_model import Resource
from anamnesis.operator.api.condition_types import AWAITING_APPROVAL, DECIDED, READY, RECORDED
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.controllers.continualmodel.conditions.task_scores import drifting_condition
from anamnesis.operator.metrics import METRIC_DEFINITIONS, OperatorMetrics, ResourceCollector

DIGEST = "sha256:" + "4f1c" * 16
NOON = "2026-11-21T12:00:00Z"
NOON_SECONDS = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
STATUS: dict[str, Any] = {
    "champion": DIGEST,
    "promotionTime": NOON,
    "logHead": {"number": 7, "digest": DIGEST},
    "update": "chest-2",
    "conditions": [
        {"type": READY, "status": "False", "reason": "AwaitingApproval"},
        {"type": AWAITING_APPROVAL, "status": "True", "reason": "Gate", "lastTransitionTime": NOON},
    ],
    "sites": [
        {
            "name": "guangzhou",
            "state": "AwaitingApproval",
            "samples": 90,
            "quarantinedFiles": 10,
            "lastLearnedTime": NOON,
        }
    ],
    "tasks": [
        {
            "site": "guangzhou",
            "task": "pneumonia",
            "metric": "AUROC",
            "frozenScore": {"value": "0.86", "low": "0.81", "high": "0.90", "cases": 120},
            "recentScore": {"value": "0.80", "cases": 31, "patients": 25},
            "firstScore": "0.91",
            "floor": "0.80",
            "margin": "0.05",
            "evaluationTime": NOON,
        }
    ],
    "decisions": {"promoted": 3, "rejected": 1},
    "evaluation": {"lastCompletionTime": NOON, "nextDueTime": NOON},
}


def model(status: dict[str, Any], name: str = "chest") -> ContinualModel:
    spec = {
        "method": {"name": "EWCPrototype"},
        "sites": [{"name": "guangzhou"}],
        "gate": {"floor": "0.80", "margin": "0.05"},
        "registry": {"url": "s3://models/chest"},
    }
    return ContinualModel.model_validate(resource_document("ContinualModel", name, spec, status))


def site(status: dict[str, Any]) -> Site:
    task = {"name": "t", "type": "Classification", "classes": ["a", "b"], "primaryMetric": "AUROC"}
    source = {"type": "S3", "s3": {"url": "s3://bucket/x"}, "pollInterval": "2m"}
    spec = {"source": source, "modalities": ["DX"], "task": task, "store": "s3://images/guangzhou"}
    return Site.model_validate(resource_document("Site", "guangzhou", spec, status))


def update(name: str, minute: int, status: dict[str, Any]) -> ModelUpdate:
    spec = {
        "model": "chest",
        "site": "guangzhou",
        "claim": DIGEST,
        "sourceFingerprint": DIGEST,
        "request": REQUEST_DOCUMENT,
    }
    manifest = resource_document("ModelUpdate", name, spec, status)
    manifest["metadata"]["creationTimestamp"] = f"2026-11-21T11:{minute:02}:00Z"
    return ModelUpdate.model_validate(manifest)


def decided_status(reason: str) -> dict[str, Any]:
    return {"conditions": [{"type": DECIDED, "status": "True", "reason": reason}]}


def approval(update_name: str, recorded_status: str) -> UpdateApproval:
    spec = {"update": update_name, "version": DIGEST, "decision": "Approve", "approver": "rossi", "reason": "seen"}
    conditions = [{"type": RECORDED, "status": recorded_status, "reason": "X"}] if recorded_status else []
    return UpdateApproval.model_validate(resource_document("UpdateApproval", "a", spec, {"conditions": conditions}))


def resource_document(kind: str, name: str, spec: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    return document(kind, name, spec, {"namespace": "wards"}) | {"status": status}


def series(text: bytes) -> dict[tuple[str, frozenset[str]], float]:
    """Returns name and label values (without namespace and model) -> value."""
    return {
        (sample.name.removeprefix("anamnesis_"), frozenset(sample.labels.values()) - {"wards", "chest"}): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def exported_series(*resources: Resource) -> dict[tuple[str, frozenset[str]], float]:
    return series(ResourceCollector(lambda: resources).render())


def test_the_status_of_a_model_becomes_series() -> None:
    samples = exported_series(model(STATUS))
    task = {"guangzhou", "pneumonia"}
    expected = {
        ("model_info", frozenset({"4f1c4f1c4f1c", "EWCPrototype"})): 1,
        ("model_condition", frozenset({"Ready", "False"})): 1,
        ("model_condition", frozenset({"Ready", "True"})): 0,
        ("model_condition_reason", frozenset({"AwaitingApproval", "Gate"})): 1,
        ("model_update_deadline_seconds", frozenset()): 86400,
        ("model_suspended", frozenset()): 0,
        ("model_champion_promoted_timestamp_seconds", frozenset()): NOON_SECONDS,
        ("model_log_entries", frozenset()): 7,
        ("model_decisions_total", frozenset({"promoted"})): 3,
        ("model_evaluation_due_timestamp_seconds", frozenset()): NOON_SECONDS,
        ("model_site_state", frozenset({"guangzhou", "AwaitingApproval"})): 1,
        ("model_site_quarantined_ratio", frozenset({"guangzhou"})): 0.1,
        ("task_score_ratio", frozenset({*task, "frozen"})): 0.86,
        ("task_score_low_ratio", frozenset({*task, "frozen"})): 0.81,
        ("task_cases", frozenset({*task, "recent"})): 31,
        ("task_patients", frozenset({*task, "recent"})): 25,
        ("task_floor_ratio", frozenset(task)): 0.8,
    }
    assert {key: samples.get(key) for key in expected} == expected


DISTANCE = {
    "site": "guangzhou",
    "task": "pneumonia",
    "metric": "SurfaceDistance",
    "frozenScore": {"value": "2.5", "cases": 120},
    "recentScore": {"value": "4", "cases": 31},
    "firstScore": "2",
    "ceiling": "5",
    "margin": "1",
}


def test_where_lower_is_better_a_higher_score_is_forgetting() -> None:
    samples, task = exported_series(model({**STATUS, "tasks": [DISTANCE]})), frozenset({"guangzhou", "pneumonia"})
    assert samples["task_forgotten_ratio", task] == 0.5
    assert (samples["task_ceiling_ratio", task], samples.get(("task_floor_ratio", task))) == (5, None)
    assert samples["task_info", task | {"SurfaceDistance", "lower", "input pixels"}] == 1


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({}, (False, False, False)),
        ({"frozenScore": {"value": "3.1"}}, (True, False, False)),
        ({"frozenScore": {"value": "1"}}, (False, False, False)),
        ({"frozenScore": {"value": "5.1"}, "margin": "9"}, (False, True, False)),
        ({"recentScore": {"value": "5.1"}}, (False, False, True)),
        ({"recentScore": {"value": "0"}}, (False, False, False)),
    ],
)
def test_a_distance_is_a_problem_above_its_limits(changes: dict[str, Any], problems: tuple[bool, ...]) -> None:
    (task,) = model({**STATUS, "tasks": [{**DISTANCE, **changes}]}).status.tasks
    assert (task.is_forgotten, task.is_beyond_limit, task.is_drifting) == problems
    condition = drifting_condition([task])
    assert condition.status == str(task.is_drifting)
    if task.is_drifting:
        assert "SurfaceDistance 5.1 (n=0) on recent cases is above the ceiling 5 input pixels" in condition.message


def test_forgetting_is_computed_in_decimals() -> None:
    forgotten = exported_series(model(STATUS))["task_forgotten_ratio", frozenset({"guangzhou", "pneumonia"})]
    assert forgotten == 0.05  # 0.91 - 0.86 in binary is above a margin of 0.05
    assert 0.91 - 0.86 != 0.05


def test_unknown_values_have_no_series() -> None:
    names = {name for name, _ in exported_series(model({}))}
    spec_metrics = {"model_info", "model_suspended", "model_update_deadline_seconds"}
    assert names == spec_metrics | {"model_decisions_total", "model_approvals"}
    recent_bounds = ("task_score_low_ratio", frozenset({"guangzhou", "pneumonia", "recent"}))
    assert recent_bounds not in exported_series(model(STATUS))


def test_the_status_of_a_site_becomes_series() -> None:
    source = {"fingerprint": DIGEST, "files": 12, "patients": 4, "lastChangeTime": NOON}
    readable = {"type": READY, "status": "False", "reason": reasons.UNREACHABLE}
    samples = exported_series(site({"source": source, "conditions": [readable]}))
    site_labels = frozenset({"guangzhou"})
    assert (samples["site_ready", site_labels], samples["site_files", site_labels]) == (0, 12)
    assert samples["site_poll_interval_seconds", site_labels] == 120
    assert ("site_polled_timestamp_seconds", site_labels) not in samples


def test_updates_are_counted_and_failures_since_the_last_success() -> None:
    updates = [
        update("chest-5", 5, {}),
        update("chest-4", 4, decided_status("RunFailed")),
        update("chest-3", 3, decided_status("RunFailed")),
        update("chest-1", 1, decided_status("RunFailed")),
        update("chest-2", 2, decided_status("Promoted")),
    ]
    samples = exported_series(model({}), *updates)
    assert samples["model_updates", frozenset({"guangzhou", "RunFailed"})] == 3
    assert samples["model_updates", frozenset({"guangzhou", "Waiting"})] == 1
    assert samples["model_update_failures", frozenset({"guangzhou"})] == 2


def test_failures_of_a_site_that_left_the_model_are_forgotten() -> None:
    failed = update("chest-1", 1, decided_status("RunFailed"))
    departed = failed.model_copy(update={"spec": failed.spec.model_copy(update={"site": "left"})})
    assert [site for name, site in exported_series(model({}), failed, departed) if name == "model_update_failures"] == [
        frozenset({"guangzhou"})
    ]


def test_the_duration_is_that_of_the_last_completed_run() -> None:
    run = {"name": "chest-2-1", "id": "x", "attempt": 1, "state": "Succeeded", "startTime": NOON}
    finished_run = {**run, "completionTime": "2026-11-21T12:10:00Z"}
    samples = exported_series(
        model({}), update("chest-1", 1, {"run": finished_run}), update("chest-2", 2, {"run": run})
    )
    assert samples["model_update_duration_seconds", frozenset({"guangzhou"})] == 600


def test_the_update_in_flight_has_its_start_and_since_when_it_waits() -> None:
    run = {"name": "chest-2-1", "id": "x", "attempt": 2, "state": "Succeeded", "startTime": NOON}
    samples = exported_series(model(STATUS), update("chest-2", 2, {"run": run}), update("chest-1", 1, {"run": run}))
    site_labels = frozenset({"guangzhou"})
    assert samples["model_update_started_timestamp_seconds", site_labels] == NOON_SECONDS
    assert samples["model_update_attempt", site_labels] == 2
    assert samples["model_awaiting_approval_timestamp_seconds", site_labels] == NOON_SECONDS


def test_approvals_belong_to_the_model_of_their_update() -> None:
    samples = exported_series(
        model({}), update("chest-2", 2, {}), approval("chest-2", "False"), approval("chest-2", "")
    )
    assert samples["model_approvals", frozenset({"refused"})] == 1
    assert samples["model_approvals", frozenset({"pending"})] == 1
    assert exported_series(model({}), approval("of-another", "False"))["model_approvals", frozenset({"refused"})] == 0


def test_series_end_with_their_resource_and_with_leadership() -> None:
    resources: list[Resource] = [model(STATUS)]
    metrics = OperatorMetrics(lambda: resources, "1.2.3")
    assert b"anamnesis_model_info{" not in metrics.collect()  # a standby does not export them
    metrics.set_leading(True)
    assert b'anamnesis_model_info{champion="4f1c4f1c4f1c"' in metrics.collect()
    resources.clear()
    assert b"anamnesis_model_info{" not in metrics.collect()
    assert series(metrics.collect())["operator_leader", frozenset()] == 1


def test_the_process_is_measured() -> None:
    clock_time = [90.0]
    metrics = OperatorMetrics(lambda: (), "1.2.3", monotonic=lambda: clock_time[0], clock=lambda: 5.0)
    clock_time[0] = 100.0
    metrics.record_reconcile("Site", "error", 0.2)
    metrics.set_queue_depth(3)
    metrics.set_unreadable_counts({"ContinualModel": 0, "Site": 2})
    metrics.record_watch_alive("Site")
    clock_time[0] = 130.0
    samples = series(metrics.collect())
    assert samples["operator_reconcile_duration_seconds_count", frozenset({"Site", "error"})] == 1
    assert samples["operator_queue_depth", frozenset()] == 3
    assert samples["operator_unread_resources", frozenset({"Site"})] == 2
    assert samples["operator_watch_age_seconds", frozenset({"Site"})] == 30
    assert samples["operator_watch_age_seconds", frozenset({"ModelUpdate"})] == 40, "a watch that never started"
    assert samples["operator_build_info", frozenset({"1.2.3"})] == 1
    assert samples["operator_started_timestamp_seconds", frozenset()] == 5


def healthy_status(sites: int) -> dict[str, Any]:
    """Of a model with a champion that learned all its sites, with nothing to do."""
    statuses = {"Ready": "True", "Progressing": "False", "Stalled": "False", "BackendReachable": "True"}
    statuses |= {"AwaitingApproval": "False", "Forgetting": "False", "Drifting": "False"}
    conditions = [{"type": name, "status": status, "reason": "X"} for name, status in statuses.items()]
    names = [f"site-{number}" for number in range(sites)]
    scores = {key: STATUS["tasks"][0][key] for key in ("task", "metric", "firstScore", "floor", "evaluationTime")}
    scores |= {"frozenScore": {"value": "0.90", "low": "0.85", "high": "0.95", "cases": 120}, "margin": "0.05"}
    return {
        **STATUS,
        "update": None,
        "conditions": conditions,
        "sites": [{"name": name, "state": "Learned", "samples": 90, "lastLearnedTime": NOON} for name in names],
        "tasks": [{"site": name, **scores} for name in names],
    }


def names_of(status: dict[str, Any], models_with_all_series: int) -> list[str]:
    text = ResourceCollector(lambda: [model(status)], models_with_all_series=models_with_all_series).render().decode()
    return [line.partition("{")[0] for line in text.splitlines() if not line.startswith("#")]


def test_of_many_models_each_has_at_most_20_series_where_nothing_is_wrong() -> None:
    assert len(names_of(healthy_status(5), models_with_all_series=0)) <= 20
    assert len(names_of(healthy_status(5), models_with_all_series=1)) > 100


def test_of_many_models_a_problem_has_the_series_of_its_alert() -> None:
    status = healthy_status(5)
    status["tasks"][1] = {**status["tasks"][1], "firstScore": "0.99"}
    status["conditions"][3] |= {"status": "False", "reason": "Unreachable"}
    names = names_of(status, models_with_all_series=0)
    assert names.count("anamnesis_task_forgotten_ratio") == names.count("anamnesis_task_margin_ratio") == 1
    assert names.count("anamnesis_model_condition") == 1


def test_a_scrape_reads_only_what_changed_and_follows_each_change() -> None:
    resources: list[Resource] = [model(healthy_status(1)), model(healthy_status(1), "hand")]
    collector = ResourceCollector(lambda: resources)
    first = collector.render()
    assert collector.render() == first
    resources[1] = model({}, "hand")
    assert collector.render() == ResourceCollector(lambda: resources).render() != first
    resources.append(approval("chest-2", "True"))
    resources.append(update("chest-2", 2, {}))
    assert b'anamnesis_model_approvals{model="chest",namespace="wards",result="recorded"} 1.0' in collector.render()


def test_each_label_is_a_name_or_a_word_of_a_list() -> None:
    names = {"namespace", "model", "site", "task"}
    words = {
        "type",
        "status",
        "result",
        "state",
        "evaluation_set",
        "metric",
        "better",
        "unit",
        "reason",
        "method",
        "kind",
        "version",
        "champion",
    }
    assert {label for definition in METRIC_DEFINITIONS for label in definition.labels} == names | words
    assert [definition.name for definition in METRIC_DEFINITIONS if "champion" in definition.labels] == [
        "anamnesis_model_info"
    ]
    assert [definition.name for definition in METRIC_DEFINITIONS if "version" in definition.labels] == [
        "anamnesis_operator_build_info"
    ]


def collect_everything() -> bytes:
    resources = [model(STATUS), site({"lastPollTime": NOON}), update("chest-2", 2, {}), approval("chest-2", "True")]
    metrics = OperatorMetrics(lambda: resources, "1.2.3")
    metrics.set_leading(True)
    metrics.record_reconcile("Site", "success", 0.2)
    return metrics.collect()


def test_exactly_the_metrics_of_the_table_are_exported() -> None:
    exported_names = [
        line.split()[2] for line in collect_everything().decode().splitlines() if line.startswith("# TYPE")
    ]
    assert sorted(name for name in exported_names if not name.startswith("process_")) == sorted(
        definition.name for definition in METRIC_DEFINITIONS
    )


@pytest.mark.parametrize("invalid_text", ["", "# TYPE anamnesis_seconds_total gauge\nanamnesis_seconds_total 1\n"])
def test_promtool_accepts_the_exposition(invalid_text: str) -> None:
    promtool = shutil.which("promtool")
    if not promtool:
        missing("no promtool: install prometheus")
    result = subprocess.run(
        [promtool, "check", "metrics"], input=collect_everything() + invalid_text.encode(), capture_output=True
    )
    assert (result.returncode == 0, result.stderr == b"") == (not invalid_text, not invalid_text)


def test_the_page_follows_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from anamnesis.operator.metrics import metrics_page

    assert metrics_page.main(check=True) == 0
    monkeypatch.setattr(metrics_page, "PAGE_FILE", tmp_path / "metrics.md")
    assert metrics_page.main(check=True) == 1
    assert (metrics_page.main(check=False), metrics_page.main(check=True)) == (0, 0)
