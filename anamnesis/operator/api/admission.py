"""The admission policy that ties an UpdateApproval to its author, and the check that the policy is in force.

Only the API server knows the sender of a request. The operator accepts an approval only if this policy was in force
when the approval was created.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from anamnesis.operator.api.annotations import GROUP

POLICY_NAME = "anamnesis-approvals"
VALIDATION_EXPRESSION = (
    "object.spec.approver == request.userInfo.username"
    " || (request.operation == 'UPDATE' && object.spec == oldObject.spec)"
)
"""Others, and Kubernetes itself, may change labels, owners and finalizers, but not the spec."""
_MESSAGE_EXPRESSION = (
    "'spec.approver: you are ' + request.userInfo.username + ' and cannot approve as ' + object.spec.approver"
    " + '; write your own user name'"
)
_RESOURCE_RULE = {
    "apiGroups": [GROUP],
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


@dataclass(frozen=True, slots=True)
class ApprovalPolicy:
    """What the operator knows about the policy on this cluster.

    Attributes:
        in_force_since: since when it verifies the authors of approvals; none where that is not certain.
        is_readable: whether the operator may read it; without that right it knows nothing.
    """

    in_force_since: datetime | None = None
    is_readable: bool = True


def policy_in_force_since(policy: Mapping[str, Any] | None, binding: Mapping[str, Any] | None) -> datetime | None:
    """Returns since when every approval has the name of its author; none where that is not certain.

    An approval that was created in that second or earlier does not count.

    Args:
        policy: the ValidatingAdmissionPolicy ``anamnesis-approvals`` as the API server returns it, with its managed
            fields; none where the object does not exist.
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
    """Returns the creation time or, where the spec was changed later, the time of the last write by anybody."""
    if metadata.get("generation") == 1:
        return datetime.fromisoformat(metadata["creationTimestamp"])
    write_times = [entry["time"] for entry in metadata.get("managedFields", ()) if not entry.get("subresource")]
    return datetime.fromisoformat(max(write_times)) if write_times else None
