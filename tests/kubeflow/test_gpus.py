"""One accelerator and two models: the pods that train take turns."""

import pytest
from builders.gates import OPEN_GATE
from images.node_pods import kubectl
from kubeflow.hospital_release import PIPELINES_NAMESPACE, HospitalRelease, Json, main_container, model, site

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

LONG = {"epochs": 150, "batchSize": 8, "learningRate": "0.005"}
MODELS = ("lung", "skin")


def test_models_that_learn_at_once_take_turns(hospital_release: HospitalRelease) -> None:
    for name in MODELS:
        hospital_release.upload_images(name)
    pairs = [(site(name), model(name, (name,), training=LONG, gate=OPEN_GATE)) for name in MODELS]
    hospital_release.apply(*(document for pair in pairs for document in pair))
    for name in MODELS:
        hospital_release.wait_for_states(name, **{name: "Learned"})
    steps = [hospital_release.step_pods(run) for name in MODELS for run in hospital_release.runs(name)]
    assert len(steps) == 2
    gpu_limits = [{name: gpu_limit(pod) for name, pod in pods.items()} for pods in steps]
    assert gpu_limits == [{**dict.fromkeys(pods), "train-finetune": "1"} for pods in steps]
    first, second = sorted((pods["train-finetune"] for pods in steps), key=container_times)
    assert container_times(first)[1] <= container_times(second)[0]
    second_selector = f"--field-selector=reason=FailedScheduling,involvedObject.name={second['metadata']['name']}"
    assert "Insufficient nvidia.com/gpu" in kubectl(
        "get", "events", f"--namespace={PIPELINES_NAMESPACE}", second_selector
    )


def gpu_limit(pod: Json) -> str | None:
    limit: str | None = main_container(pod)["resources"].get("limits", {}).get("nvidia.com/gpu")
    return limit


def container_times(pod: Json) -> tuple[str, str]:
    """When a step's container began and ended."""
    (status,) = [entry for entry in pod["status"]["containerStatuses"] if entry["name"] == "main"]
    termination = status["state"]["terminated"]
    return termination["startedAt"], termination["finishedAt"]
