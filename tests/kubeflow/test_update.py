"""Updates whose every step is a pod, on Kubeflow Pipelines' real back end."""

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from anamnesis.operator.backends.base import Job, RunState
from anamnesis.pipelines.training.continual_update import compiled_pipeline, pipeline_arguments
from anamnesis.records import (
    Configuration,
    Enforcement,
    NetworkSpec,
    SiteConfig,
    SiteRef,
    Task,
    TaskType,
    TrainingSettings,
    encode_object,
)
from anamnesis.registry import Approval, GatePolicy, History, Log, fold, open_store, read_version, verify
from anamnesis.snapshots import testsets
from anamnesis.updates import UpdateRequest

if TYPE_CHECKING:
    from conftest import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

CLASSES = ("top", "middle", "bottom")
TASK = Task("rows", TaskType.CLASSIFICATION, CLASSES, "Accuracy")
POLICY = GatePolicy(
    floor=Decimal("0.2"), margin=Decimal("1"), approval=Approval.AUTOMATIC, enforcement=Enforcement.ENFORCED
)


def request(lab: "Lab", site: str, base: str, known: tuple[SiteRef, ...]) -> UpdateRequest:
    training = TrainingSettings(epochs=2, batch_size=8, learning_rate=5e-3)
    return UpdateRequest(
        model="chest",
        registry=f"{lab.bucket}/registry",
        site=SiteConfig(site, lab.bring(site, CLASSES), ("OT",), TASK),
        store=f"{lab.bucket}/stores/{site}",
        configuration=Configuration("ewc_prototype", {}, NetworkSpec(size=(32, 32), width=8), training),
        split_key="env:ANAMNESIS_SPLIT_KEY",
        base=base,
        sites=known,
        gate=POLICY,
    )


def history(lab: "Lab") -> History:
    return fold(Log(open_store(f"{lab.bucket}/registry")).entries())


def test_two_sites_become_two_champions(lab: "Lab") -> None:
    base, known = "", tuple[SiteRef, ...]()
    for number, site in enumerate(("north", "east")):
        asked = request(lab, site, base, known)
        arguments = pipeline_arguments(encode_object(asked))
        run = lab.backend.submit(Job(f"chest-{site}-1", compiled_pipeline("ewc_prototype"), arguments))
        ended = lab.ended(run)
        assert ended.state is RunState.SUCCEEDED, ended.message
        champion = history(lab).champion
        assert champion
        assert champion != base
        registry = open_store(asked.registry)
        version = read_version(registry, champion)
        assert (version.site, version.base or "") == (site, base)
        assert not verify(registry)
        assert len(history(lab).lineage) == number + 1
        base = champion
        test_set = testsets.test_sets(open_store(asked.store))[-1].digest
        known = (*known, SiteRef(site, asked.store, TASK, test_set, "OT"))
