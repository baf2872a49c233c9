"""Resources whose statuses make each alert fire, and resources just within the limit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from builders.resource_documents import NOTHING, REQUEST_DOCUMENT, Json, document, model_spec, site_spec

from anamnesis.operator.api import condition_types, reasons

CANARY = "Erika Mustermann"
"""Part of every message of every status: no notification may contain it."""


@dataclass(frozen=True)
class ResourceNames:
    """Names of the resources of one model."""

    model: str
    site: str
    task: str

    @property
    def update(self) -> str:
        return f"{self.model}-0123456789"


Documents = Callable[[ResourceNames], tuple[Json, ...]]


@dataclass(frozen=True)
class ProvokedAlert:
    """One alert.

    Attributes:
        alert: name of the alert.
        over_limit: resources at which it fires.
        within_limit: the same resources just within their limit.
        other_limit: resources with another limit, within it, at which it does not fire.
        labels: labels of the alert, out of model, site and task.
        extra_labels: further labels.
        value: part of the alert's description with the value; empty where the description has none.
    """

    alert: str
    over_limit: Documents
    within_limit: Documents
    other_limit: Documents
    labels: tuple[str, ...]
    extra_labels: tuple[tuple[str, str], ...] = ()
    value: str = ""

    def names(self, position: int) -> ResourceNames:
        stem = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in self.alert[9:]).strip("-")
        first = ResourceNames(f"{stem}-lung", f"{stem}-ulm", "nodules")
        return (first, ResourceNames(f"{stem}-skin", f"{stem}-bonn", "melanoma"))[position]


def ago(**age: float) -> str:
    return (datetime.now(UTC) - timedelta(**age)).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(condition_type: str, status: str, reason: str, since: str = "") -> Json:
    return {
        "type": condition_type,
        "status": status,
        "reason": reason,
        "message": CANARY,
        "lastTransitionTime": since or ago(hours=0),
    }


def score(value: str) -> Json:
    return {"value": value, "cases": 40}


def model(spec: Mapping[str, Any] = NOTHING, **status: Any) -> Documents:
    return lambda names: (
        document("ContinualModel", names.model, model_spec((names.site,), spec)) | {"status": status},
    )


def model_with_condition(condition_type: str, status: str, reason: str) -> Documents:
    """A model with one condition."""
    return lambda names: model(conditions=[condition(condition_type, status, reason)])(names)


def model_with_task(**fields: Any) -> Documents:
    """A model with one task."""

    def build(names: ResourceNames) -> tuple[Json, ...]:
        return model(tasks=[{"site": names.site, "task": names.task, "metric": "AUROC", **fields}])(names)

    return build


def model_with_site_gap(best_score: str, own_score: str, other_task: str = "") -> Documents:
    """A model of two sites, both with the same task unless ``other_task`` is given."""

    def build(names: ResourceNames) -> tuple[Json, ...]:
        tasks = [
            {"site": names.site, "task": names.task, "metric": "AUROC", "frozenScore": score(own_score)},
            {"site": "gent", "task": other_task or names.task, "metric": "AUROC", "frozenScore": score(best_score)},
        ]
        return model(tasks=tasks)(names)

    return build


def model_with_ended_updates(*states: str) -> Documents:
    """A model, and updates that ended in these states, oldest first."""

    def build(names: ResourceNames) -> tuple[Json, ...]:
        statuses = [{"conditions": [condition(condition_types.DECIDED, "True", state)]} for state in states]
        updates = (
            update(names, f"{names.update[:-1]}{number}") | {"status": status} for number, status in enumerate(statuses)
        )
        return (*model()(names), *updates)

    return build


def update(names: ResourceNames, name: str) -> Json:
    digest = f"sha256:{'1' * 64}"
    spec = {"model": names.model, "site": names.site, "claim": digest, "sourceFingerprint": digest, "patients": 9}
    return document("ModelUpdate", name, {**spec, "request": {**REQUEST_DOCUMENT, "author": CANARY}})


def model_with_update_in_flight(
    running_for: timedelta, deadline: str = "1d", awaiting: timedelta | None = None
) -> Documents:
    """A model with an update in flight, which waits for an approval since ``awaiting``."""

    def build(names: ResourceNames) -> tuple[Json, ...]:
        started = ago(seconds=running_for.total_seconds())
        run = {"name": f"{names.update}-1", "id": "1", "attempt": 1, "state": "Running", "startTime": started}
        awaiting_condition = (
            condition(
                condition_types.AWAITING_APPROVAL,
                "True",
                reasons.WAITS_FOR_A_PERSON,
                ago(seconds=awaiting.total_seconds()),
            )
            if awaiting
            else {}
        )
        spec = {"backend": {"type": "Local", "runDeadline": deadline}}
        model_documents = model(
            spec, update=names.update, conditions=[awaiting_condition] if awaiting_condition else []
        )(names)
        return (*model_documents, update(names, names.update) | {"status": {"run": run, "conditions": []}})

    return build


def site(spec: Mapping[str, Any] = NOTHING, interval: str = "1m", **status: Any) -> Documents:
    def build(names: ResourceNames) -> tuple[Json, ...]:
        source = {"type": "Folder", "folder": {"path": "/data"}, "pollInterval": interval}
        spec_fields = {**site_spec(source, "file:///store"), **spec}
        return (document("Site", names.site, spec_fields) | {"status": status},)

    return build


def source_state(changed: str) -> Json:
    return {"fingerprint": f"sha256:{'2' * 64}", "files": 9, "lastChangeTime": changed}


def site_with_quarantined_files(files: int, total: int, limit: str) -> Documents:
    """A site with a limit, and the result of a model's last ingest there."""

    def build(names: ResourceNames) -> tuple[Json, ...]:
        state = {
            "name": names.site,
            "state": "Learned",
            "quarantinedFiles": files,
            "samples": total - files,
            "message": CANARY,
        }
        return (*model(sites=[state])(names), *site({"maximumQuarantineShare": limit})(names))

    return build


def site_with_readable_condition(status: str, reason: str) -> Documents:
    return lambda names: site(conditions=[condition(condition_types.READY, status, reason)])(names)


HOURS, MINUTES = timedelta(hours=1), timedelta(minutes=1)
MODEL, MODEL_SITE, SITE, TASK = ("model",), ("model", "site"), ("site",), ("model", "site", "task")
IN_USE, NO_CHAMPION = (
    model_with_condition(condition_types.READY, "True", reasons.CHAMPION_IN_USE),
    model_with_condition(condition_types.READY, "False", reasons.NO_CHAMPION),
)
HEAD = f"sha256:{'3' * 64}"

TUNED_THRESHOLDS = {
    "AnamnesisWorstSiteGap": "0.05",
    "AnamnesisUpdateFailing": "1",
    "AnamnesisApprovalWaiting": "3600",
    "AnamnesisSiteSilent": "86400",
    "AnamnesisWatchSilent": "10",
    "AnamnesisReconcileErrors": "0.1",
}
"""Thresholds in the values of the test: with the default ones, some alerts below would not fire, and one more would."""

PROVOKED_ALERTS = (
    ProvokedAlert(
        "AnamnesisOldTaskAccuracyDrop",
        model_with_task(firstScore="0.9", frozenScore=score("0.849"), margin="0.05"),
        within_limit=model_with_task(firstScore="0.9", frozenScore=score("0.850"), margin="0.05"),
        other_limit=model_with_task(firstScore="0.9", frozenScore=score("0.6"), margin="0.3"),
        labels=TASK,
        value="0.051",
    ),
    ProvokedAlert(
        "AnamnesisRecentAccuracyDrop",
        model_with_task(recentScore=score("0.77"), recentFloor="0.78"),
        within_limit=model_with_task(recentScore=score("0.78"), recentFloor="0.78"),
        other_limit=model_with_task(recentScore=score("0.6"), recentFloor="0.55"),
        labels=TASK,
        value="0.770",
    ),
    ProvokedAlert(
        "AnamnesisTaskBelowFloor",
        model_with_task(frozenScore=score("0.79"), floor="0.8"),
        within_limit=model_with_task(frozenScore=score("0.80"), floor="0.8"),
        other_limit=model_with_task(frozenScore=score("0.5"), floor="0.45"),
        labels=TASK,
        value="0.790",
    ),
    ProvokedAlert(
        "AnamnesisScoreMoved",
        model_with_condition(condition_types.FORGETTING, "True", reasons.SCORE_MOVED),
        within_limit=model_with_condition(condition_types.FORGETTING, "False", reasons.WITHIN_MARGIN),
        other_limit=model_with_condition(condition_types.FORGETTING, "True", reasons.SCORE_FELL),
        labels=MODEL,
    ),
    ProvokedAlert(
        "AnamnesisSaliencyDrift",
        model_with_task(saliency="0.49", saliencyFloor="0.5"),
        within_limit=model_with_task(saliency="0.50", saliencyFloor="0.5"),
        other_limit=model_with_task(saliency="0.3", saliencyFloor="0.25"),
        labels=TASK,
        value="0.490",
    ),
    ProvokedAlert(
        "AnamnesisWorstSiteGap",
        model_with_site_gap("0.9", "0.84"),
        within_limit=model_with_site_gap("0.9", "0.85"),
        other_limit=model_with_site_gap("0.9", "0.5", "x"),
        labels=TASK,
        value="0.060",
    ),
    ProvokedAlert(
        "AnamnesisModelWithdrawn",
        model_with_condition(condition_types.READY, "False", reasons.WITHDRAWN),
        within_limit=IN_USE,
        other_limit=NO_CHAMPION,
        labels=MODEL,
    ),
    ProvokedAlert(
        "AnamnesisModelStalled",
        model_with_condition(condition_types.READY, "False", reasons.INVALID_SPEC),
        within_limit=IN_USE,
        other_limit=NO_CHAMPION,
        labels=MODEL,
        extra_labels=(("reason", reasons.INVALID_SPEC),),
    ),
    ProvokedAlert(
        "AnamnesisUpdateFailing",
        model_with_ended_updates("RunFailed", "RunFailed"),
        within_limit=model_with_ended_updates("RunFailed", "TooFewPatients"),
        other_limit=model_with_ended_updates("NoChange", "RunFailed"),
        labels=MODEL_SITE,
        value="2 of",
    ),
    ProvokedAlert(
        "AnamnesisStepNotStarted",
        model_with_condition(condition_types.STALLED, "True", "StepNotStarted"),
        within_limit=model_with_condition(condition_types.STALLED, "False", reasons.NOTHING_TO_DO),
        other_limit=model_with_condition(condition_types.PROGRESSING, "True", "Running"),
        labels=MODEL,
    ),
    ProvokedAlert(
        "AnamnesisUpdateStuck",
        model_with_update_in_flight(2 * HOURS, "1h"),
        within_limit=model_with_update_in_flight(HOURS, "1h"),
        other_limit=model_with_update_in_flight(2 * HOURS, "2h"),
        labels=MODEL_SITE,
        value="2 times",
    ),
    ProvokedAlert(
        "AnamnesisApprovalWaiting",
        model_with_update_in_flight(2 * HOURS, awaiting=2 * HOURS),
        within_limit=model_with_update_in_flight(2 * HOURS),
        other_limit=model_with_update_in_flight(2 * HOURS, awaiting=50 * MINUTES),
        labels=MODEL_SITE,
        value="2h 0m",
    ),
    ProvokedAlert(
        "AnamnesisEvaluationStale",
        lambda names: model(evaluation={"nextDueTime": ago(hours=7)})(names),
        within_limit=lambda names: model(evaluation={"nextDueTime": ago(hours=-1)})(names),
        other_limit=lambda names: model(evaluation={"nextDueTime": ago(hours=5)})(names),
        labels=MODEL,
        value="7h 0m",
    ),
    ProvokedAlert(
        "AnamnesisSiteUnreadable",
        site_with_readable_condition("False", reasons.UNREACHABLE),
        within_limit=site_with_readable_condition("True", reasons.READABLE),
        other_limit=site(),
        labels=SITE,
    ),
    ProvokedAlert(
        "AnamnesisSiteNotPolled",
        lambda names: site(lastPollTime=ago(minutes=6))(names),
        within_limit=lambda names: site(lastPollTime=ago(minutes=0))(names),
        other_limit=lambda names: site(interval="1h", lastPollTime=ago(minutes=6))(names),
        labels=SITE,
        value="6.",
    ),
    ProvokedAlert(
        "AnamnesisSiteSilent",
        lambda names: site(source=source_state(ago(days=2)))(names),
        within_limit=lambda names: site(source=source_state(ago(hours=1)))(names),
        other_limit=lambda names: site(source=source_state(ago(hours=23)))(names),
        labels=SITE,
        value="2d 0h",
    ),
    ProvokedAlert(
        "AnamnesisQuarantineHigh",
        site_with_quarantined_files(9, 100, "0.1"),
        within_limit=site_with_quarantined_files(8, 100, "0.1"),
        other_limit=site_with_quarantined_files(30, 100, "0.5"),
        labels=MODEL_SITE,
        value="9%",
    ),
    ProvokedAlert(
        "AnamnesisRegistryDamaged",
        model_with_condition(condition_types.READY, "False", "RegistryDamaged"),
        within_limit=IN_USE,
        other_limit=NO_CHAMPION,
        labels=MODEL,
    ),
    ProvokedAlert(
        "AnamnesisUnverifiedPromotion",
        model_with_condition(condition_types.UNVERIFIED_PROMOTION, "True", reasons.ENTRY_UNVERIFIED),
        within_limit=model_with_condition(condition_types.UNVERIFIED_PROMOTION, "False", reasons.ENTRIES_VERIFIED),
        other_limit=model_with_condition(condition_types.UNVERIFIED_PROMOTION, "Unknown", reasons.RECORDS_UNSIGNED),
        labels=MODEL,
    ),
    ProvokedAlert(
        "AnamnesisRegistryLogShrank",
        model(logHead={"number": 6, "digest": HEAD}),
        within_limit=model(logHead={"number": 7, "digest": HEAD}),
        other_limit=model(logHead={"number": 3, "digest": HEAD}),
        labels=MODEL,
        value="entry 6,",
    ),
    ProvokedAlert(
        "AnamnesisRegistryUnreachable",
        model_with_condition(condition_types.READY, "False", reasons.REFUSED),
        within_limit=IN_USE,
        other_limit=NO_CHAMPION,
        labels=MODEL,
        extra_labels=(("reason", reasons.REFUSED),),
    ),
    ProvokedAlert(
        "AnamnesisBackendUnreachable",
        model_with_condition(condition_types.BACKEND_REACHABLE, "False", reasons.UNREACHABLE),
        within_limit=model_with_condition(condition_types.BACKEND_REACHABLE, "True", reasons.REACHABLE),
        other_limit=model_with_condition(condition_types.BACKEND_REACHABLE, "Unknown", "NotAsked"),
        labels=MODEL,
    ),
)
