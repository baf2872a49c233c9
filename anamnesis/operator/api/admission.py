"""Who may speak for whom: the admission policy that ties an approval to its author, and whether it is in force.

The API server alone knows who sends a request. Approvals count only where this policy stood guard when they were made.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

POLICY_NAME = "anamnesis-approvals"
VALIDATION_EXPRESSION = (
    "object.spec.approver == request.userInfo.username"
    " || (request.operation == 'UPDATE' && object.spec == oldObject.spec)"
)
"""Labels, owners and finalizers may be changed by others, and by Kubernetes itself; what was said may not."""
_MESSAGE_EXPRESSION = (
    "'spec.approver: you are ' + request.userInfo.username + ' and cannot speak for ' + object.spec.approver"
    " + '; write your own name'"
)
_RESOURCE_RULE = {
    "apiGroups": ["anamnesis.dev"],
    "apiVersions": ["*"],
    "operations": ["CREATE", "UPDATE"],
    "resources": ["updateapprovals"],
    "scope": "*",
}
_NARROWING_FIELDS = ("namespaceSelector", "objectSelector", "excludeResourceRules")

POLICY: Mapping[str, Any] = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicy",
    "metadata": {"name": POLICY_NAME},
    "spec": {
        "failurePolicy": "Fail",
        "matchConstraints": {"matchPolicy": "Equivalent", "resourceRules": [_RESOURCE_RULE]},
        "validations": [
            {"expression": VALIDATION_EXPRESSION, "messageExpression": _MESSAGE_EXPRESSION, "reason": "Forbidden"}
        ],
    },
}
BINDING: Mapping[str, Any] = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicyBinding",
    "metadata": {"name": POLICY_NAME},
    "spec": {"policyName": POLICY_NAME, "validationActions": ["Deny"]},
}


def policy_in_force_since(policy: Mapping[str, Any] | None, binding: Mapping[str, Any] | None) -> datetime | None:
    """Returns since when every approval bears the name of its author; none where that is not sure.

    An approval that was made at that very second or before does not count.

    Args:
        policy: the ValidatingAdmissionPolicy ``anamnesis-approvals`` as the API server gives it, with its managed
            fields; none where there is no such object.
        binding: the ValidatingAdmissionPolicyBinding of the same name.
    """
    if (
        policy is None
        or binding is None
        or not _denies_other_authors(policy["spec"])
        or not _binds_everywhere(binding["spec"])
    ):
        return None
    times = _unchanged_since(policy["metadata"]), _unchanged_since(binding["metadata"])
    return max(time for time in times if time) if all(times) else None


def _denies_other_authors(spec: Mapping[str, Any]) -> bool:
    constraints = dict(spec.get("matchConstraints") or {})
    matches_everything = not any(constraints.pop(key, None) for key in _NARROWING_FIELDS)
    return (
        matches_everything
        and constraints == POLICY["spec"]["matchConstraints"]
        and spec.get("failurePolicy") == "Fail"
        and not spec.get("matchConditions")
        and not spec.get("paramKind")
        and any(rule["expression"] == VALIDATION_EXPRESSION for rule in spec.get("validations") or ())
    )


def _binds_everywhere(spec: Mapping[str, Any]) -> bool:
    match_resources = spec.get("matchResources") or {}
    is_narrowed = any(match_resources.get(key) for key in (*_NARROWING_FIELDS, "resourceRules"))
    has_deny_action = "Deny" in (spec.get("validationActions") or ())
    return spec.get("policyName") == POLICY_NAME and has_deny_action and not is_narrowed and not spec.get("paramRef")


def _unchanged_since(metadata: Mapping[str, Any]) -> datetime | None:
    """Returns when it was made or, where its spec was changed later, when anybody last wrote to it."""
    if metadata.get("generation") == 1:
        return datetime.fromisoformat(metadata["creationTimestamp"])
    write_times = [entry["time"] for entry in metadata.get("managedFields", ()) if not entry.get("subresource")]
    return datetime.fromisoformat(max(write_times)) if write_times else None
