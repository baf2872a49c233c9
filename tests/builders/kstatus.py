"""The rules by which Flux and others read the state of any resource: kstatus of sigs.k8s.io/cli-utils, both versions.

The older rules know nothing of ``Ready``; the newer ones ask for it last. A resource must give the same answer by both.
"""

from collections.abc import Mapping
from typing import Any

from anamnesis.operator.api.api_model import Resource

TERMINATING, IN_PROGRESS, FAILED, CURRENT = "Terminating", "InProgress", "Failed", "Current"


def kstatus(resource: Resource) -> str:
    """Returns the state that tools see in a resource."""
    return kstatus_of_document(resource.model_dump(mode="json", by_alias=True, exclude_none=True))


def kstatus_of_document(document: Mapping[str, Any]) -> str:
    """Returns the state that tools see in a JSON document; fails where their versions disagree."""
    status = document.get("status", {})
    conditions = status.get("conditions", [])
    answer = _generic_answer(document["metadata"], status, conditions)
    if answer:
        return answer
    ready = next((condition["status"] for condition in conditions if condition["type"] == "Ready"), "True")
    assert ready == "True", "the older rules say Current, the newer ones InProgress"
    return CURRENT


def _generic_answer(metadata: Mapping[str, Any], status: Mapping[str, Any], conditions: list[Any]) -> str:
    if metadata.get("deletionTimestamp"):
        return TERMINATING
    if "observedGeneration" in status and status["observedGeneration"] != metadata["generation"]:
        return IN_PROGRESS
    answers = {"Reconciling": IN_PROGRESS, "Stalled": FAILED}
    true_types = [condition["type"] for condition in conditions if condition["status"] == "True"]
    given_answers = [answers[condition_type] for condition_type in true_types if condition_type in answers]
    assert len(given_answers) < 2, "the order of the conditions would decide"
    return given_answers[0] if given_answers else ""
