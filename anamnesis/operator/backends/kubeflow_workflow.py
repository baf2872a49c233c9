"""What the Argo Workflow of a run says beyond the tasks of the API: why a pod waits or failed, and who ended it.

Kubeflow Pipelines keeps a copy of each Workflow, also of one that is gone, and serves it under its first API. The copy
has the reasons of pods that Kubernetes gives to Argo, so nobody needs the right to read pods for them. It has no output
of a step.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_LONGEST_REASON = 300
_NO_CAUSE = ("Error (exit code 1)", "Step exceeded its deadline", "PodInitializing", "ContainerCreating")
"""Reasons that explain nothing: of a step that raised an error, of one that was ended, of a pod that is being made."""


@dataclass(frozen=True, slots=True)
class WorkflowFacts:
    """What a Workflow says about its run.

    Attributes:
        is_terminated: somebody ended the run: the server then sets the deadline of the Workflow to 0.
        waiting_reason: why a pod does not run yet; empty where none waits, or nobody says why.
        failure_reason: why a pod failed, such as ``OOMKilled (exit code 137)``; empty where that explains nothing.
    """

    is_terminated: bool = False
    waiting_reason: str = ""
    failure_reason: str = ""


def parse_workflow(response: Mapping[str, Any]) -> WorkflowFacts:
    """Returns the facts of a run as the first API has it; of one without a Workflow, none."""
    manifest = response.get("pipeline_runtime", {}).get("workflow_manifest") or "{}"
    try:
        workflow = json.loads(manifest)
    except ValueError:
        return WorkflowFacts()
    nodes = list((workflow.get("status", {}).get("nodes") or {}).values())
    return WorkflowFacts(
        is_terminated=workflow.get("spec", {}).get("activeDeadlineSeconds") == 0,
        waiting_reason=_first_reason(nodes, ("Pending",)),
        failure_reason=_first_reason(nodes, ("Failed", "Error")),
    )


def _first_reason(nodes: list[Mapping[str, Any]], phases: tuple[str, ...]) -> str:
    """The reason of the pod that began first among those in a phase."""
    pods = [node for node in nodes if node.get("type") == "Pod" and node.get("phase") in phases]
    reasons = (_shorten(node.get("message", "")) for node in sorted(pods, key=lambda node: str(node.get("startedAt"))))
    return next((reason for reason in reasons if reason), "")


def _shorten(message: str) -> str:
    """Returns the first line of a reason without the name of the container; empty where it explains nothing."""
    line = str(message).strip().partition("\n")[0].removeprefix("main: ")
    return "" if line in _NO_CAUSE else line[:_LONGEST_REASON]
