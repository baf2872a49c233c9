"""Builders of small records."""

from dataclasses import dataclass
from decimal import Decimal

import pytest

from anamnesis.records import (
    Decision,
    EntryKind,
    Evaluation,
    LogEntry,
    Metric,
    PairedDifference,
    Task,
    TaskType,
    UpdateCost,
    UpdateRecord,
    Verdict,
    Version,
    digest_bytes,
)
from anamnesis.registry import RequiredTestSet, write_version
from anamnesis.storage import Store


@dataclass(frozen=True)
class RecordBuilder:
    """Makes records from short names."""

    def digest(self, name: str) -> str:
        return digest_bytes(name.encode())

    def version(self, name: str = "a", base: str | None = None) -> Version:
        parts = {"backbone": self.digest(f"{name} backbone"), "method": self.digest(f"{name} method")}
        return Version(
            base=base,
            snapshot=self.digest(f"{name} snapshot"),
            site="guangzhou",
            configuration={"method": "finetune", "rate": 1e-3},
            parts=parts,
        )

    def blobs(self, name: str = "a") -> dict[str, bytes]:
        return {"backbone": f"{name} backbone".encode(), "method": f"{name} method".encode()}

    def stored(self, store: Store, name: str = "a", base: str | None = None) -> str:
        return write_version(store, self.version(name, base), self.blobs(name))

    def task(self, name: str = "pneumonia", metric: str = "AUROC") -> Task:
        return Task(name, TaskType.CLASSIFICATION, ("no", "yes"), metric)

    def test(self, site: str = "guangzhou", new: bool = False, task: str = "pneumonia") -> RequiredTestSet:
        return RequiredTestSet(site, self.task(task), self.digest(f"{site} test"), new)

    def evaluation(
        self, version: str, value: str, site: str = "guangzhou", name: str = "forgetting", **changes: str
    ) -> Evaluation:
        metric, score, width = "AUROC" if name == "forgetting" else "IoU", Decimal(value), Decimal("0.03")
        return Evaluation(
            version=version,
            site=site,
            task=changes.get("task", "pneumonia"),
            test_set=self.digest(f"{site} test"),
            evaluator=self.digest(changes.get("evaluator", name)),
            name=name,
            metrics={metric: Metric(score, 100, score - width, min(score + width, Decimal(1)), 100)},
        )

    def difference(self, reference: str, drop: str) -> PairedDifference:
        return PairedDifference(reference, "AUROC", Decimal(drop), Decimal("0.005"), Decimal(100), 100)

    def decision(self, candidate: str, base: str | None, verdict: Verdict = Verdict.PROMOTE) -> Decision:
        return Decision(
            verdict=verdict,
            candidate=candidate,
            base=base,
            champion=base,
            criteria=(),
            evaluations=(),
            reason="passed",
        )

    def update_record(self, name: str, version: str, opened_snapshots: tuple[str, ...] = ()) -> UpdateRecord:
        return UpdateRecord(
            input_digest=self.digest(name),
            version=version,
            environment={"torch": "2"},
            cost=UpdateCost(seconds=1.5, peak_memory_bytes=2, stored_bytes=3),
            opened_snapshots=opened_snapshots,
        )

    def entry(self, kind: EntryKind, subject: str, decision: Decision | None = None, number: int = 1) -> LogEntry:
        return LogEntry(
            number=number,
            previous_digest="",
            nonce="nonce",
            kind=kind,
            subject=subject,
            author="dr",
            reason="why",
            time="2026-01-01T00:00:00Z",
            decision=decision,
        )


@pytest.fixture(scope="session")
def build() -> RecordBuilder:
    return RecordBuilder()
