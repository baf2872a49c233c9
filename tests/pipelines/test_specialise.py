"""A specialised pipeline is what ``kfp.kubernetes`` itself would have compiled, each name written once."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import dsl, kubernetes
from kfp.components import load_component_from_text

from anamnesis.components.image import component
from anamnesis.pipelines.compile import compile_pipeline
from anamnesis.pipelines.evaluation.scheduled_evaluation import compiled_pipeline as scheduled_evaluation_pipeline
from anamnesis.pipelines.runtime import (
    ComputeResources,
    ConfigMapEnv,
    ConfigMapFiles,
    NodeAffinity,
    NodeCondition,
    Runtime,
    SecretEnv,
    SecretFiles,
    Toleration,
    Volume,
)
from anamnesis.pipelines.specialise import PipelineIR, load_ir, specialise
from anamnesis.pipelines.training.continual_update import compiled_pipeline
from anamnesis.records import InputError

FULL = Runtime(
    image="hospital/anamnesis@sha256:" + "a" * 64,
    accelerators=2,
    tolerations=(Toleration("gpu", "Equal", "yes", "NoSchedule"), Toleration(key="spot", operator="Exists")),
    node_selector={"zone": "radiology", "disk": "ssd"},
    secrets=(SecretEnv("bucket", {"id": "AWS_ACCESS_KEY_ID", "key": "AWS_SECRET_ACCESS_KEY"}),),
    queue="research",
    pull_secrets=("mirror", "spare"),
    shared_memory="2Gi",
    volumes=(Volume("scans", "/data/scans"), Volume("cache", "/cache")),
    environment={"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": ".svc"},
    secret_files=(SecretFiles("authorities", "/etc/trust"),),
    config_maps=(ConfigMapEnv("site", {"region": "REGION"}),),
    config_map_files=(ConfigMapFiles("protocols", "/protocols"),),
    node_affinity=(
        NodeAffinity((NodeCondition("gpu", "In", ("L4", "L40S")), NodeCondition("spot", "DoesNotExist"))),
        NodeAffinity((NodeCondition("disk", "Gt", ("100",)),), weight=50),
    ),
    resources={
        "Train": ComputeResources("1500m", "4", "4Gi", "24G"),
        "Ingest": ComputeResources(memory_limit="1500Mi"),
        "Evaluate": ComputeResources(cpu_request="0.25", memory_request="1Ti"),
        "Decide": ComputeResources("100m", "1", "500M", "2T"),
    },
)


@component
def train_it(text: str) -> None:
    print(text)


@component
def ingest_it(text: str) -> None:
    print(text)


@component
def evaluate_it(text: str) -> None:
    print(text)


@component
def promote_it(text: str) -> None:
    print(text)


STEPS = {"Ingest": ingest_it, "Train": train_it, "Evaluate": evaluate_it, "Decide": promote_it}


def set_resources(task: dsl.PipelineTask, resources: ComputeResources) -> None:
    """Sets CPU and memory with kfp's own calls."""
    if resources.cpu_request:
        task.set_cpu_request(resources.cpu_request)
    if resources.cpu_limit:
        task.set_cpu_limit(resources.cpu_limit)
    if resources.memory_request:
        task.set_memory_request(resources.memory_request)
    if resources.memory_limit:
        task.set_memory_limit(resources.memory_limit)


def by_kubeflow(runtime: Runtime) -> bytes:
    """The pipeline with every setting made by kfp's own calls; without settings for an empty ``Runtime``."""

    @dsl.pipeline(name="four")
    def four(text: str) -> None:
        for kind, step in STEPS.items():
            task, training = step(text=text), kind == "Train"
            set_resources(task, runtime.resources.get(kind, ComputeResources()))
            if runtime.image:
                task.set_container_image(runtime.image)
            if training and runtime.accelerators:
                task.set_accelerator_type(runtime.accelerator_type).set_accelerator_limit(runtime.accelerators)
            for toleration in runtime.tolerations:
                kubernetes.add_toleration(
                    task,
                    toleration.key or None,
                    toleration.operator or None,
                    toleration.value or None,
                    toleration.effect or None,
                )
            for key, value in runtime.node_selector.items():
                kubernetes.add_node_selector(task, key, value)
            for affinity in runtime.node_affinity:
                expressions = [
                    {"key": condition.key, "operator": condition.operator, "values": list(condition.values)}
                    for condition in affinity.conditions
                ]
                kubernetes.add_node_affinity(task, expressions, weight=affinity.weight)
            for config_map in runtime.config_maps:
                kubernetes.use_config_map_as_env(task, config_map.name, dict(config_map.variables))
            for config_map_files in runtime.config_map_files:
                kubernetes.use_config_map_as_volume(task, config_map_files.name, config_map_files.path)
            for secret in runtime.secrets:
                kubernetes.use_secret_as_env(task, secret.name, dict(secret.variables))
            if runtime.queue:
                kubernetes.add_pod_label(task, "kueue.x-k8s.io/queue-name", runtime.queue)
            if runtime.pull_secrets:
                kubernetes.set_image_pull_secrets(task, list(runtime.pull_secrets))
            for volume in runtime.volumes:
                kubernetes.mount_pvc(task, volume.claim, volume.path)
            for name, value in runtime.environment.items():
                task.set_env_variable(name, value)
            for secret_file in runtime.secret_files:
                kubernetes.use_secret_as_volume(task, secret_file.name, secret_file.path)
            if training and runtime.shared_memory:
                kubernetes.empty_dir_mount(task, "shared-memory", "/dev/shm", "Memory", runtime.shared_memory)

    return compile_pipeline(four)


def parsed(data: bytes) -> PipelineIR:
    pipeline, *platform = yaml.safe_load_all(data)
    return PipelineIR(pipeline, *(without_repetition(document) for document in platform))


def without_repetition(value: object) -> object:
    """Leaves out what back ends before 2.5 refuse: a constant said again as a parameter, and a default."""
    if isinstance(value, list):
        return [without_repetition(item) for item in value]
    if not isinstance(value, dict):
        return value
    repeated = {"secretNameParameter", "pvcNameParameter", "configMapNameParameter"} & set(value)
    for name in repeated:
        assert value[name]["runtimeValue"]["constant"] in value.values()
    skipped = repeated | ({"optional"} if value.get("optional") is False else set())
    return {name: without_repetition(item) for name, item in value.items() if name not in skipped}


@pytest.mark.parametrize(
    "runtime",
    [
        FULL,
        Runtime(image="other:1"),
        Runtime(accelerators=1, accelerator_type="amd.com/gpu"),
        Runtime(shared_memory="1Gi"),
        Runtime(queue="q"),
        Runtime(resources={"Evaluate": ComputeResources(cpu_limit="500m")}),
    ],
)
def test_equals_what_kubeflow_compiles(runtime: Runtime) -> None:
    bare, expected = parsed(by_kubeflow(Runtime())), parsed(by_kubeflow(runtime))
    assert specialise(bare, runtime) == expected
    assert bare != expected
    assert bare == parsed(by_kubeflow(Runtime())), "the input must not change"


@pytest.fixture
def joint_pipeline() -> PipelineIR:
    return load_ir(compiled_pipeline("joint"))


def test_an_empty_runtime_changes_nothing(joint_pipeline: PipelineIR) -> None:
    assert specialise(joint_pipeline, Runtime()) == joint_pipeline


def executors_of(pipeline: PipelineIR) -> dict[str, dict[str, Any]]:
    executors = specialise(pipeline, FULL).pipeline["deploymentSpec"]["executors"]
    return {name: executor["container"] for name, executor in executors.items()}


def test_only_training_gets_accelerators(joint_pipeline: PipelineIR) -> None:
    containers = executors_of(joint_pipeline)
    accelerated = [name for name, container in containers.items() if "accelerator" in container["resources"]]
    assert accelerated == ["exec-train-joint"]
    assert {container["image"] for container in containers.values()} == {FULL.image}


def test_every_step_gets_the_resources_of_its_kind(joint_pipeline: PipelineIR) -> None:
    evaluation = load_ir(scheduled_evaluation_pipeline())
    containers = executors_of(joint_pipeline) | executors_of(evaluation)
    requests = {name: container["resources"].get("resourceMemoryRequest") for name, container in containers.items()}
    assert requests == {
        "exec-ingest-site": None,
        "exec-train-joint": "4Gi",
        "exec-evaluate-forgetting": "1Ti",
        "exec-evaluate-saliency": "1Ti",
        "exec-evaluate-scheduled": "1Ti",
        "exec-promote-model": "500M",
    }
    assert containers["exec-evaluate-scheduled"]["resources"]["accelerator"]["resourceCount"] == "2"


def test_the_text_can_be_loaded_by_kubeflow(joint_pipeline: PipelineIR) -> None:
    special = specialise(joint_pipeline, FULL)
    loaded = load_component_from_text(special.to_yaml())
    assert "kubernetes" in loaded.platform_spec.platforms
    assert PipelineIR(*yaml.safe_load_all(special.to_yaml())) == special


def test_the_version_name_follows_the_content(joint_pipeline: PipelineIR) -> None:
    names = {
        specialise(joint_pipeline, runtime).version_name for runtime in (Runtime(), FULL, replace(FULL, queue="other"))
    }
    assert len(names) == 3
    assert all(name.startswith("continual-update-joint-") for name in names)
    assert specialise(joint_pipeline, FULL).version_name == specialise(joint_pipeline, FULL).version_name


def test_specialising_twice_takes_the_later_value(joint_pipeline: PipelineIR) -> None:
    assert specialise(specialise(joint_pipeline, FULL), replace(FULL, queue="b")) == specialise(
        joint_pipeline, replace(FULL, queue="b")
    )


def test_errors_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: 1")
    with pytest.raises(InputError, match=r"x\.yaml: not a compiled pipeline"):
        load_ir(tmp_path / "x.yaml")
    with pytest.raises(InputError, match="the file does not exist"):
        load_ir(tmp_path / "missing.yaml")
    with pytest.raises(InputError, match="accelerators: expected 0 or more"):
        Runtime(accelerators=-1)
