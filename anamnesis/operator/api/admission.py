"""Who may speak for whom: the admission policy that ties an approval to its author, and whether it is in force.

The API server alone knows who sends a request. Approvals count only where this policy stood guard when they were made.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

NAME = "anamnesis-approvals"
EXPRESSION = (
    "object.spec.approver == request.userInfo.username"
    " || (request.operation == 'UPDATE' && object.spec == oldObject.spec)"
)
"""Labels, owners and finalizers may be changed by others, and by Kubernetes itself; what was said may not."""
_MESSAGE = (
    "'spec.approver: you are ' + request.userInfo.username + ' and cannot speak for ' + object.spec.approver"
    " + '; write your own name'"
)
_RULE = {
    "apiGroups": ["anamnesis.dev"],
    "apiVersions": ["*"],
    "operations": ["CREATE", "UPDATE"],
    "resources": ["updateapprovals"],
    "scope": "*",
}
_NARROWING = ("namespaceSelector", "objectSelector", "excludeResourceRules")

POLICY: Mapping[str, Any] = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicy",
    "metadata": {"name": NAME},
    "spec": {
        "failurePolicy": "Fail",
        "matchConstraints": {"matchPolicy": "Equivalent", "resourceRules": [_RULE]},
        "validations": [{"expression": EXPRESSION, "messageExpression": _MESSAGE, "reason": "Forbidden"}],
    },
}
BINDING: Mapping[str, Any] = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicyBinding",
    "metadata": {"name": NAME},
    "spec": {"policyName": NAME, "validationActions": ["Deny"]},
}


def guarded_since(policy: Mapping[str, Any] | None, binding: Mapping[str, Any] | None) -> datetime | None:
    """Returns since when every approval bears the name of its author; none where that is not sure.

    An approval that was made at that very second or before does not count.

    Args:
        policy: the ValidatingAdmissionPolicy ``anamnesis-approvals`` as the API server gives it, with its managed
            fields; none where there is no such object.
        binding: the ValidatingAdmissionPolicyBinding of the same name.
    """
    if policy is None or binding is None or not _refuses(policy["spec"]) or not _binds(binding["spec"]):
        return None
    times = _unchanged_since(policy["metadata"]), _unchanged_since(binding["metadata"])
    return max(time for time in times if time) if all(times) else None


def _refuses(spec: Mapping[str, Any]) -> bool:
    match = dict(spec.get("matchConstraints") or {})
    wide = not any(match.pop(key, None) for key in _NARROWING)
    return (
        wide
        and match == POLICY["spec"]["matchConstraints"]
        and spec.get("failurePolicy") == "Fail"
        and not spec.get("matchConditions")
        and not spec.get("paramKind")
        and any(rule["expression"] == EXPRESSION for rule in spec.get("validations") or ())
    )


def _binds(spec: Mapping[str, Any]) -> bool:
    match = spec.get("matchResources") or {}
    narrow = any(match.get(key) for key in (*_NARROWING, "resourceRules"))
    deny = "Deny" in (spec.get("validationActions") or ())
    return spec.get("policyName") == NAME and deny and not narrow and not spec.get("paramRef")


def _unchanged_since(metadata: Mapping[str, Any]) -> datetime | None:
    """Returns when it was made or, where its spec was changed later, when anybody last wrote to it."""
    if metadata.get("generation") == 1:
        return datetime.fromisoformat(metadata["creationTimestamp"])
    writes = [entry["time"] for entry in metadata.get("managedFields", ()) if not entry.get("subresource")]
    return datetime.fromisoformat(max(writes)) if writes else None
