"""An update whose every step is a pod, without an operator, on Kubeflow Pipelines' real back end."""

from typing import TYPE_CHECKING

import pytest
from builders.gates import OPEN_POLICY

from anamnesis.operator.backends.base import PipelineJob, RunState
from anamnesis.pipelines.training.continual_update import compiled_pipeline, pipeline_arguments
from anamnesis.records import (
    Configuration,
    NetworkSettings,
    SiteConfig,
    Task,
    TaskType,
    TrainingSettings,
    encode_object,
)
from anamnesis.registry import Log, build_history, read_version, verify_log
from anamnesis.storage import open_store
from anamnesis.updates import UpdateRequest

if TYPE_CHECKING:
    from kubeflow.conftest import PipelinesTestbed

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

CLASSES = ("top", "middle", "bottom")
TASK = Task("rows", TaskType.CLASSIFICATION, CLASSES, "Accuracy")


def test_a_run_that_nobody_asked_for_promotes_by_itself(testbed: "PipelinesTestbed") -> None:
    training = TrainingSettings(epochs=2, batch_size=8, learning_rate=5e-3)
    request = UpdateRequest(
        model="chest",
        registry=f"{testbed.bucket}/registry",
        site=SiteConfig("north", testbed.upload_site("north", CLASSES), ("OT",), TASK),
        store=f"{testbed.bucket}/stores/north",
        configuration=Configuration(
            "ewc_prototype", {}, NetworkSettings(size=(32, 32), options={"width": 8, "norm": "group"}), training
        ),
        split_key="env:ANAMNESIS_SPLIT_KEY",
        gate=OPEN_POLICY,
        minimum_patients=1,
    )
    arguments = pipeline_arguments(encode_object(request))
    run = testbed.backend.submit(PipelineJob("chest-north-1", compiled_pipeline("ewc_prototype"), arguments))
    finished_run = testbed.wait_for_end(run)
    assert finished_run.state is RunState.SUCCEEDED, finished_run.message
    registry = open_store(request.registry)
    champion = build_history(Log(registry).entries()).champion
    assert champion
    assert read_version(registry, champion).site == "north"
    assert not verify_log(registry)
