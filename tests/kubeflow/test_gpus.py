"""One accelerator and two models: the pods that train take turns."""

import pytest
from images.pods import kubectl
from kubeflow.house import PIPELINES, House, Json, container, model, site

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

LONG = {"epochs": 150, "batchSize": 8, "learningRate": "0.005"}
AUTOMATIC = {"floor": "0", "margin": "1", "approval": "Automatic"}
MODELS = ("lung", "skin")


def test_models_that_learn_at_once_take_turns(house: House) -> None:
    for name in MODELS:
        house.drop(name)
    pairs = [(site(name), model(name, (name,), training=LONG, gate=AUTOMATIC)) for name in MODELS]
    house.apply(*(document for pair in pairs for document in pair))
    for name in MODELS:
        house.wait(name, **{name: "Learned"})
    steps = [house.steps(run) for name in MODELS for run in house.runs(name)]
    assert len(steps) == 2
    asked = [{name: gpus(pod) for name, pod in found.items()} for found in steps]
    assert asked == [{**dict.fromkeys(found), "train-finetune": "1"} for found in steps]
    first, second = sorted((found["train-finetune"] for found in steps), key=span)
    assert span(first)[1] <= span(second)[0]
    of_second = f"--field-selector=reason=FailedScheduling,involvedObject.name={second['metadata']['name']}"
    assert "Insufficient nvidia.com/gpu" in kubectl("get", "events", f"--namespace={PIPELINES}", of_second)


def gpus(pod: Json) -> str | None:
    found: str | None = container(pod)["resources"].get("limits", {}).get("nvidia.com/gpu")
    return found


def span(pod: Json) -> tuple[str, str]:
    """When a step's container began and ended."""
    (found,) = [one for one in pod["status"]["containerStatuses"] if one["name"] == "main"]
    ended = found["state"]["terminated"]
    return ended["startedAt"], ended["finishedAt"]
