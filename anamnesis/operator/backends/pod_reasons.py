"""Says why a pod of a run does not start, or why it ended, in words of Kubernetes. Pure.

A message names images, Secrets, quotas and nodes. It never has the value of a variable or the output of a container.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from anamnesis.operator.backends.base import QUEUED

JsonDocument = Mapping[str, Any]
NODE_NAME_ANNOTATION = "workflows.argoproj.io/node-name"
"""Argo's name of a pod: the path of tasks, for example ``<workflow>.root.learn.train-ewc.executor``."""
_DETAIL_LIMIT = 300
_IMAGE_REASONS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError")
_MEMORY_FIELD = "spec.backend.kubeflow.resources"
_REFUSED_POD = re.compile(r"pods? \"[^\"]*\" is forbidden: (.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class PodReason:
    """Why a step waits or failed.

    Attributes:
        step: name of the step, as Kubeflow has it.
        text: the reason, and what to do.
        since: when the pod was created, UTC; none where there is no pod.
        is_failure: the pod ended; else it waits.
    """

    step: str
    text: str
    since: datetime | None = None
    is_failure: bool = False


def describe_pod(pod: JsonDocument, events: Iterable[JsonDocument] = ()) -> PodReason | None:
    """Returns why a pod waits or failed; none for one that runs, has succeeded, or is only a moment old.

    Args:
        pod: as the API server has it.
        events: warnings about it, newest last; needed for volumes that cannot be mounted.
    """
    status, step = pod.get("status", {}), step_of(pod)
    since = _parse_time(pod["metadata"].get("creationTimestamp"))
    if status.get("phase") == "Failed":
        text = _describe_end(pod)
        return PodReason(step, text, since, is_failure=True) if text else None
    if status.get("phase") != "Pending":
        return None
    text = _describe_scheduling(status) or _describe_containers(pod) or _describe_mount(events)
    return PodReason(step, text, since) if text else None


def describe_workflow(workflow: JsonDocument) -> PodReason | None:
    """Returns why the API server refuses a pod of a run, for example because of a quota; none where it does not."""
    for node in (workflow.get("status", {}).get("nodes") or {}).values():
        match = _REFUSED_POD.search(str(node.get("message") or ""))
        if match and node.get("type") == "Pod":
            detail = _shorten(match[1])
            text = f"the namespace of the runs refuses the pod: {detail}; {_refusal_hint(detail)}"
            is_failure = node.get("phase") in ("Error", "Failed")
            return PodReason(step_name(str(node.get("name", ""))), text, _parse_time(node.get("startedAt")), is_failure)
    return None


def step_of(pod: JsonDocument) -> str:
    """Returns the name of the step that a pod works for."""
    annotations = pod["metadata"].get("annotations") or {}
    return step_name(str(annotations.get(NODE_NAME_ANNOTATION, "")))


def step_name(node_name: str) -> str:
    """Returns the step in Argo's name of a node: its last task that is not a part of Kubeflow's own machinery."""
    tasks = [task for task in node_name.split(".")[1:] if task not in ("root", "executor")]
    return tasks[-1].removesuffix("-driver") if tasks else "root"


def needs_events(pod: JsonDocument) -> bool:
    """Returns whether only events can say why a pod waits: its node has it, and no container was created."""
    reasons = {str(waiting.get("reason")) for waiting in _waiting_states(pod)}
    is_scheduled = bool(pod.get("spec", {}).get("nodeName"))
    return pod.get("status", {}).get("phase") == "Pending" and is_scheduled and reasons <= _CREATION_REASONS


_CREATION_REASONS = {"ContainerCreating", "PodInitializing"}


def _describe_scheduling(status: JsonDocument) -> str:
    for condition in status.get("conditions") or ():
        if condition.get("type") != "PodScheduled" or condition.get("status") != "False":
            continue
        if condition.get("reason") == QUEUED:
            return f"its pod waits for its turn in a queue ({QUEUED}), which is normal"
        return (
            f"no node takes its pod ({condition.get('reason')}): {_shorten(condition.get('message'))}; free or add "
            "nodes, or correct resources, nodeSelector, tolerations or volumes in spec.backend.kubeflow"
        )
    return ""


def _describe_containers(pod: JsonDocument) -> str:
    for waiting in _waiting_states(pod):
        reason, detail = str(waiting.get("reason")), _shorten(waiting.get("message"))
        if reason in _IMAGE_REASONS:
            return (
                f"the image cannot be pulled ({reason}): {detail}; correct spec.backend.kubeflow.image or "
                "imagePullSecrets, or put the image into the registry"
            )
        if reason == "CreateContainerConfigError":
            return (
                f"the container cannot be configured ({reason}): {detail}; create or complete the named object in the "
                "namespace of the runs"
            )
        if reason not in _CREATION_REASONS:
            return f"the container does not start ({reason}); see it with: kubectl describe pod -n " + _pod_name(pod)
    return ""


def _describe_mount(events: Iterable[JsonDocument]) -> str:
    for event in reversed(list(events)):
        if str(event.get("reason")) in ("FailedMount", "FailedAttachVolume", "FailedMapVolume"):
            return (
                f"a volume cannot be mounted ({event['reason']}): {_shorten(event.get('message'))}; create the Secret "
                "or claim in the namespace of the runs"
            )
    return ""


def _describe_end(pod: JsonDocument) -> str:
    status = pod["status"]
    if status.get("reason") in ("Evicted", "DeadlineExceeded", "Preempting", "NodeShutdown", "Terminated"):
        return f"its pod was ended ({status['reason']}): {_shorten(status.get('message'))}"
    for name, terminated in _terminated_states(pod):
        if terminated.get("reason") == "OOMKilled":
            return (
                f"out of memory (OOMKilled): the memory limit of its pod is {_memory_limit(pod, name)}; "
                f"raise it in {_MEMORY_FIELD}"
            )
    return ""


def _terminated_states(pod: JsonDocument) -> Iterator[tuple[str, JsonDocument]]:
    for container in _container_statuses(pod):
        for state in (container.get("state") or {}, container.get("lastState") or {}):
            if state.get("terminated"):
                yield str(container.get("name")), state["terminated"]


def _waiting_states(pod: JsonDocument) -> Iterator[JsonDocument]:
    for container in _container_statuses(pod):
        if waiting := (container.get("state") or {}).get("waiting"):
            yield waiting


def _container_statuses(pod: JsonDocument) -> list[JsonDocument]:
    status = pod.get("status", {})
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _memory_limit(pod: JsonDocument, name: str) -> str:
    containers: Iterable[JsonDocument] = pod.get("spec", {}).get("containers") or ()
    for container in containers:
        if container["name"] == name:
            return str(container.get("resources", {}).get("limits", {}).get("memory", "that of the node"))
    return "that of the node"


def _refusal_hint(detail: str) -> str:
    if "exceeded quota" in detail:
        return "it starts when other pods have ended, or raise the quota"
    if "must specify" in detail:
        return f"set requests and limits in {_MEMORY_FIELD}, or a LimitRange in that namespace"
    return "correct the policy of that namespace or spec.backend.kubeflow"


def _pod_name(pod: JsonDocument) -> str:
    metadata = pod["metadata"]
    return f"{metadata.get('namespace')} {metadata.get('name')}"


def _shorten(text: object) -> str:
    words = " ".join(str(text or "no detail").split())
    return words if len(words) <= _DETAIL_LIMIT else f"{words[:_DETAIL_LIMIT]}…"


def _parse_time(text: object) -> datetime | None:
    return datetime.fromisoformat(str(text)) if text else None
