"""The places of a run's tasks: what is inside of what, and what a waiting pod belongs to. Pure.

A task of Kubeflow Pipelines is a node of an Argo Workflow. It names its children by their identifiers, but not itself.
Argo makes an identifier of the workflow's name and a hash of the node's path, such as
``WORKFLOW.root.condition-1.train.executor``, so the paths can be found again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_ROOT, _EXECUTOR, _DRIVER_SUFFIX = "root", "executor", "-driver"
_FNV_OFFSET, _FNV_PRIME = 0x811C9DC5, 0x01000193


@dataclass(frozen=True, slots=True)
class WaitingPod:
    """A pod that the server has created and that does not run yet.

    Attributes:
        step: the step that it belongs to, as the pipeline names it; of two that started at once, both; empty for the
            pod that begins the pipeline.
        since: when Argo created it. The API's creation time is that of the whole run.
    """

    step: str
    since: datetime


def failed_steps(tasks: Sequence[Any]) -> list[str]:
    """Returns the names of the failed steps, those inside of others first; never their output."""
    paths = _find_paths(tasks)
    failed_tasks = [task for task in tasks if task.state == "FAILED" and _is_step(task, tasks)]
    ordered = sorted(
        failed_tasks, key=lambda task: (-paths.get(task.display_name, "").count("."), task.end_time, task.display_name)
    )
    return list(dict.fromkeys(str(task.display_name) for task in ordered))


def waiting_pod(tasks: Sequence[Any]) -> WaitingPod | None:
    """Returns the pod that has waited longest, or none."""
    pods = [task for task in tasks if task.state == "PENDING" and _is_pod(task.display_name)]
    if not pods:
        return None
    pod = min(pods, key=lambda task: task.start_time)
    name = _without_attempt(pod.display_name)
    step = name.removesuffix(_DRIVER_SUFFIX) if name != _EXECUTOR else _steps_around(pod, tasks)
    return WaitingPod("" if step == _ROOT else step, pod.start_time)


def _steps_around(executor: Any, tasks: Sequence[Any]) -> str:
    """The running steps that began when the executor was created: a step creates its executor at once."""
    steps = [task for task in tasks if task.state == "RUNNING" and _is_step(task, tasks)]
    paths = _find_paths(tasks)
    names = {
        task.display_name: abs((task.start_time - executor.start_time).total_seconds())
        for task in steps
        if _has_child(task, f"{paths.get(task.display_name, '')}.{_EXECUTOR}", tasks)
    }
    nearest = min(names.values(), default=0.0)
    return " or ".join(sorted(name for name, seconds in names.items() if seconds == nearest)) or _EXECUTOR


def _has_child(task: Any, path: str, tasks: Sequence[Any]) -> bool:
    workflow = _workflow_name(tasks)
    children = {str(child.pod_name) for child in task.child_tasks or ()}
    return bool(children & {_node_id(workflow, path), _node_id(workflow, f"{path}(0)")})


def _find_paths(tasks: Sequence[Any]) -> dict[str, str]:
    """Returns name -> path of the tasks whose name occurs once, from the outermost to the innermost."""
    workflow = _workflow_name(tasks)
    names = [str(task.display_name) for task in tasks]
    unique_names = [name for name in names if names.count(name) == 1 and name != workflow]
    child_ids = {str(child.pod_name) for task in tasks for child in task.child_tasks or ()}
    paths, outer_paths = {}, [workflow]
    while outer_paths:
        outer_path = outer_paths.pop()
        for name in unique_names:
            path = f"{outer_path}.{name}"
            if name not in paths and _node_id(workflow, path) in child_ids:
                paths[name] = path
                outer_paths.append(path)
    return paths


def _workflow_name(tasks: Sequence[Any]) -> str:
    """The workflow is the task whose name begins the identifiers of all nodes."""
    children = [str(child.pod_name) for task in tasks for child in task.child_tasks or ()]
    names = (str(task.display_name) for task in tasks)
    return next((name for name in names if any(child.startswith(f"{name}-") for child in children)), "")


def _node_id(workflow: str, path: str) -> str:
    """The identifier that Argo gives a node: the 32-bit FNV-1a hash of its path, after the workflow's name."""
    value = _FNV_OFFSET
    for byte in path.encode():
        value = ((value ^ byte) * _FNV_PRIME) & 0xFFFFFFFF
    return f"{workflow}-{value}"


def _is_step(task: Any, tasks: Sequence[Any]) -> bool:
    """Whether the task is a step or a condition, not the workflow, its graph, or a pod of a step."""
    name = str(task.display_name)
    return name not in (_ROOT, _workflow_name(tasks)) and _without_attempt(name) != _EXECUTOR


def _is_pod(name: str) -> bool:
    return _without_attempt(name) == _EXECUTOR or _without_attempt(name).endswith(_DRIVER_SUFFIX)


def _without_attempt(name: str) -> str:
    """Returns the name of a pod; of one that Argo repeats, without its number: executor(0)."""
    return name.partition("(")[0]
