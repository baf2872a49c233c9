"""What is written into which resource so that an alert fires: in one model over its bound, in another one not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from toys.documents import NOTHING, Json, document, model_spec, site_spec

CANARY = "Erika Mustermann"
"""Stands in every sentence of every status: it must reach nobody."""


@dataclass(frozen=True)
class Names:
    """Of one of the two."""

    model: str
    site: str
    task: str

    @property
    def update(self) -> str:
        return f"{self.model}-0123456789"


Documents = Callable[[Names], tuple[Json, ...]]


@dataclass(frozen=True)
class Provoked:
    """One alert.

    Attributes:
        alert: its name.
        over: resources at which it fires.
        within: the same resources just within their bound.
        other: resources with a bound of their own, within it, at which it does not fire.
        labels: that it fires with, of model, site and task.
        more: further labels.
        value: as its description has it; empty where it has none.
    """

    alert: str
    over: Documents
    within: Documents
    other: Documents
    labels: tuple[str, ...]
    more: tuple[tuple[str, str], ...] = ()
    value: str = ""

    def names(self, which: int) -> Names:
        stem = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in self.alert[9:]).strip("-")
        first = Names(f"{stem}-lung", f"{stem}-ulm", "nodules")
        return (first, Names(f"{stem}-skin", f"{stem}-bonn", "melanoma"))[which]


def ago(**age: float) -> str:
    return (datetime.now(UTC) - timedelta(**age)).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(kind: str, status: str, reason: str, since: str = "") -> Json:
    return {
        "type": kind,
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


def told(kind: str, status: str, reason: str) -> Documents:
    """A model with one condition."""
    return lambda names: model(conditions=[condition(kind, status, reason)])(names)


def task(**facts: Any) -> Documents:
    """A model that knows one task."""

    def made(names: Names) -> tuple[Json, ...]:
        return model(tasks=[{"site": names.site, "task": names.task, "metric": "AUROC", **facts}])(names)

    return made


def gap(best: str, own: str, other_task: str = "") -> Documents:
    """A model of two sites, with the same task where none is given."""

    def made(names: Names) -> tuple[Json, ...]:
        tasks = [
            {"site": names.site, "task": names.task, "metric": "AUROC", "frozen": score(own)},
            {"site": "gent", "task": other_task or names.task, "metric": "AUROC", "frozen": score(best)},
        ]
        return model(tasks=tasks)(names)

    return made


def ended(*states: str) -> Documents:
    """A model, and updates that ended so, oldest first."""

    def made(names: Names) -> tuple[Json, ...]:
        decided = [{"conditions": [condition("Decided", "True", state)]} for state in states]
        updates = (
            update(names, f"{names.update[:-1]}{number}") | {"status": one} for number, one in enumerate(decided)
        )
        return (*model()(names), *updates)

    return made


def update(names: Names, name: str) -> Json:
    digest = f"sha256:{'1' * 64}"
    spec = {"model": names.model, "site": names.site, "claim": digest, "source": digest, "patients": 9}
    return document("ModelUpdate", name, {**spec, "request": f'{{"note": "{CANARY}"}}'})


def in_flight(began: timedelta, deadline: str = "1d", awaiting: timedelta | None = None) -> Documents:
    """A model with an update in flight, which waits for a person where that is given."""

    def made(names: Names) -> tuple[Json, ...]:
        started = ago(seconds=began.total_seconds())
        run = {"name": f"{names.update}-1", "id": "1", "attempt": 1, "state": "Running", "started": started}
        waits = (
            condition("AwaitingApproval", "True", "WaitsForAPerson", ago(seconds=awaiting.total_seconds()))
            if awaiting
            else {}
        )
        spec = {"backend": {"type": "Local", "deadline": deadline}}
        found = model(spec, update=names.update, conditions=[waits] if waits else [])(names)
        return (*found, update(names, names.update) | {"status": {"run": run, "conditions": []}})

    return made


def site(spec: Mapping[str, Any] = NOTHING, interval: str = "1m", **status: Any) -> Documents:
    def made(names: Names) -> tuple[Json, ...]:
        source = {"type": "Folder", "folder": {"path": "/data"}, "pollInterval": interval}
        whole = {**site_spec(source, "file:///store"), **spec}
        return (document("Site", names.site, whole) | {"status": status},)

    return made


def listed(changed: str) -> Json:
    return {"fingerprint": f"sha256:{'2' * 64}", "files": 9, "changed": changed}


def put_aside(files: int, of: int, limit: str) -> Documents:
    """A site with a limit, and what the last ingest of a model found there."""

    def made(names: Names) -> tuple[Json, ...]:
        state = {"name": names.site, "state": "Learned", "quarantined": files, "samples": of - files, "message": CANARY}
        return (*model(sites=[state])(names), *site({"maximumQuarantineShare": limit})(names))

    return made


def readable(status: str, reason: str) -> Documents:
    return lambda names: site(conditions=[condition("Readable", status, reason)])(names)


HOURS, MINUTES = timedelta(hours=1), timedelta(minutes=1)
MODEL, MODEL_SITE, SITE, TASK = ("model",), ("model", "site"), ("site",), ("model", "site", "task")
IN_USE, NO_CHAMPION = told("Ready", "True", "ChampionInUse"), told("Ready", "False", "NoChampion")
HEAD = f"sha256:{'3' * 64}"

TUNED = {
    "AnamnesisWorstSiteGap": "0.05",
    "AnamnesisUpdateFailing": "1",
    "AnamnesisApprovalWaiting": "3600",
    "AnamnesisSiteSilent": "86400",
    "AnamnesisWatchSilent": "10",
    "AnamnesisReconcileErrors": "0.1",
}
"""Thresholds that the test's values set: with the shipped ones, some below would not fire, and one more would."""

PROVOKED = (
    Provoked(
        "AnamnesisOldTaskAccuracyDrop",
        task(best="0.9", frozen=score("0.849"), margin="0.05"),
        task(best="0.9", frozen=score("0.850"), margin="0.05"),
        task(best="0.9", frozen=score("0.6"), margin="0.3"),
        TASK,
        value="0.051",
    ),
    Provoked(
        "AnamnesisRecentAccuracyDrop",
        task(recent=score("0.77"), recentFloor="0.78"),
        task(recent=score("0.78"), recentFloor="0.78"),
        task(recent=score("0.6"), recentFloor="0.55"),
        TASK,
        value="0.770",
    ),
    Provoked(
        "AnamnesisTaskBelowFloor",
        task(frozen=score("0.79"), floor="0.8"),
        task(frozen=score("0.80"), floor="0.8"),
        task(frozen=score("0.5"), floor="0.45"),
        TASK,
        value="0.790",
    ),
    Provoked(
        "AnamnesisScoreMoved",
        told("Forgetting", "True", "ScoreMoved"),
        told("Forgetting", "False", "WithinMargin"),
        told("Forgetting", "True", "ScoreFell"),
        MODEL,
    ),
    Provoked(
        "AnamnesisSaliencyDrift",
        task(saliency="0.49", saliencyFloor="0.5"),
        task(saliency="0.50", saliencyFloor="0.5"),
        task(saliency="0.3", saliencyFloor="0.25"),
        TASK,
        value="0.490",
    ),
    Provoked(
        "AnamnesisWorstSiteGap", gap("0.9", "0.84"), gap("0.9", "0.85"), gap("0.9", "0.5", "x"), TASK, value="0.060"
    ),
    Provoked(
        "AnamnesisModelStalled",
        told("Ready", "False", "InvalidSpec"),
        IN_USE,
        NO_CHAMPION,
        MODEL,
        (("reason", "InvalidSpec"),),
    ),
    Provoked(
        "AnamnesisUpdateFailing",
        ended("RunFailed", "RunFailed"),
        ended("RunFailed", "TooFewPatients"),
        ended("NoChange", "RunFailed"),
        MODEL_SITE,
        value="2 of",
    ),
    Provoked(
        "AnamnesisUpdateStuck",
        in_flight(2 * HOURS, "1h"),
        in_flight(HOURS, "1h"),
        in_flight(2 * HOURS, "2h"),
        MODEL_SITE,
        value="2 times",
    ),
    Provoked(
        "AnamnesisApprovalWaiting",
        in_flight(2 * HOURS, awaiting=2 * HOURS),
        in_flight(2 * HOURS),
        in_flight(2 * HOURS, awaiting=50 * MINUTES),
        MODEL_SITE,
        value="2h 0m",
    ),
    Provoked(
        "AnamnesisEvaluationStale",
        lambda names: model(evaluation={"next": ago(hours=7)})(names),
        lambda names: model(evaluation={"next": ago(hours=-1)})(names),
        lambda names: model(evaluation={"next": ago(hours=5)})(names),
        MODEL,
        value="7h 0m",
    ),
    Provoked(
        "AnamnesisSiteUnreadable",
        readable("False", "Unreachable"),
        readable("True", "Readable"),
        site(),
        SITE,
    ),
    Provoked(
        "AnamnesisSiteNotPolled",
        lambda names: site(polled=ago(minutes=6))(names),
        lambda names: site(polled=ago(minutes=0))(names),
        lambda names: site(interval="1h", polled=ago(minutes=6))(names),
        SITE,
        value="6.",
    ),
    Provoked(
        "AnamnesisSiteSilent",
        lambda names: site(source=listed(ago(days=2)))(names),
        lambda names: site(source=listed(ago(hours=1)))(names),
        lambda names: site(source=listed(ago(hours=23)))(names),
        SITE,
        value="2d 0h",
    ),
    Provoked(
        "AnamnesisQuarantineHigh",
        put_aside(9, 100, "0.1"),
        put_aside(8, 100, "0.1"),
        put_aside(30, 100, "0.5"),
        MODEL_SITE,
        value="9%",
    ),
    Provoked("AnamnesisRegistryDamaged", told("Ready", "False", "RegistryDamaged"), IN_USE, NO_CHAMPION, MODEL),
    Provoked(
        "AnamnesisRegistryLogShrank",
        model(head={"number": 6, "digest": HEAD}),
        model(head={"number": 7, "digest": HEAD}),
        model(head={"number": 3, "digest": HEAD}),
        MODEL,
        value="entry 6,",
    ),
    Provoked(
        "AnamnesisRegistryUnreachable",
        told("Ready", "False", "Refused"),
        IN_USE,
        NO_CHAMPION,
        MODEL,
        (("reason", "Refused"),),
    ),
    Provoked(
        "AnamnesisBackendUnreachable",
        told("BackendReachable", "False", "Unreachable"),
        told("BackendReachable", "True", "Reachable"),
        told("BackendReachable", "Unknown", "NotAsked"),
        MODEL,
    ),
)
