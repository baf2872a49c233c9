"""Whose word an approval is: the shipped policy on the real API server, and when the operator may trust it."""

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from builders.api_server import ApiServer
from builders.waiting import eventually

from anamnesis.operator.api.admission import POLICY_NAME, VALIDATION_EXPRESSION, policy_in_force_since

POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
Change = Callable[[dict[str, Any], dict[str, Any]], object]


@pytest.fixture
def approver_namespace(cluster: ApiServer, namespace: str) -> str:
    """A namespace in which rossi and weber may do everything with approvals."""
    cluster.kubectl("-n", namespace, "create", "role", "approver", "--verb=*", "--resource=updateapprovals")
    bind = ["create", "rolebinding", "approvers", "--role=approver", "--user=rossi", "--user=weber"]
    cluster.kubectl("-n", namespace, *bind)
    eventually(lambda: "yes" in cluster.kubectl("-n", namespace, *CAN_I, user="weber", check=False))
    return namespace


CAN_I = ("auth", "can-i", "create", "updateapprovals")


def approval(approver: str, name: str = "chest-1", **changes: str) -> str:
    spec = {"update": "chest-0123456789", "version": "sha256:" + "a" * 64, "decision": "Approve", "reason": "seen"}
    metadata = {"name": name}
    head = {"apiVersion": "anamnesis.dev/v1alpha1", "kind": "UpdateApproval", "metadata": metadata}
    return json.dumps(head | {"spec": {"approver": approver} | spec | changes})


def test_ones_own_name_is_accepted_and_a_forged_one_refused(cluster: ApiServer, approver_namespace: str) -> None:
    def create(user: str, approver: str) -> str:
        text = approval(approver, f"{user}-{approver}")
        return cluster.kubectl("-n", approver_namespace, "create", "-f", "-", stdin=text, user=user, check=False)

    assert "updateapproval.anamnesis.dev/rossi-rossi created" in create("rossi", "rossi")
    refused = create("rossi", "weber")
    assert "spec.approver: you are rossi and cannot approve as weber; write your own user name" in refused
    assert "Forbidden" in refused
    assert "you are admin and cannot approve as weber" in create("admin", "weber")


def test_an_approval_cannot_be_changed_but_its_labels_can(cluster: ApiServer, approver_namespace: str) -> None:
    cluster.kubectl("-n", approver_namespace, "create", "-f", "-", stdin=approval("rossi"), user="rossi")

    def patch(user: str, body: object) -> str:
        arguments = ["patch", "approval", "chest-1", "--type=merge", "-p", json.dumps(body)]
        return cluster.kubectl("-n", approver_namespace, *arguments, user=user, check=False)

    for user, change in (("rossi", {"reason": "other"}), ("weber", {"approver": "weber"}), ("admin", {"update": "x"})):
        assert "cannot be changed; create another UpdateApproval" in patch(user, {"spec": change})
    assert "patched" in patch("admin", {"metadata": {"labels": {"anamnesis.dev/model": "chest"}}})


def test_a_spec_cannot_be_removed_and_set_again(cluster: ApiServer, approver_namespace: str) -> None:
    cluster.kubectl("-n", approver_namespace, "create", "-f", "-", stdin=approval("rossi"), user="rossi")
    remove = json.dumps([{"op": "remove", "path": "/spec"}])
    for user in ("rossi", "admin"):
        arguments = ("patch", "approval", "chest-1", "--type=json", "-p", remove)
        assert "patched" not in cluster.kubectl("-n", approver_namespace, *arguments, user=user, check=False)
    stored = json.loads(cluster.kubectl("-n", approver_namespace, "get", "approval", "chest-1", "-o", "json"))
    assert stored["spec"]["approver"] == "rossi"


@pytest.fixture
def policy_and_binding(cluster: ApiServer) -> tuple[dict[str, Any], dict[str, Any]]:
    """Policy and binding as the server gives them."""
    return cluster.request("GET", f"{POLICIES}/{POLICY_NAME}"), cluster.request("GET", f"{BINDINGS}/{POLICY_NAME}")


def test_the_shipped_guard_counts_from_its_creation(policy_and_binding: tuple[dict[str, Any], dict[str, Any]]) -> None:
    since = policy_in_force_since(*policy_and_binding)
    assert since is not None
    assert timedelta(0) <= datetime.now(UTC) - since < timedelta(hours=1)
    assert policy_in_force_since(None, policy_and_binding[1]) is None
    assert policy_in_force_since(policy_and_binding[0], None) is None


NARROWER = {"namespaceSelector": {"matchLabels": {"guarded": "yes"}}}
RULE = {"apiGroups": ["anamnesis.dev"], "apiVersions": ["*"], "operations": ["UPDATE"], "resources": ["*"]}
WEAKER: dict[str, Change] = {
    "policy-ignores-failures": lambda p, b: p.update(failurePolicy="Ignore"),
    "policy-says-always-yes": lambda p, b: p["validations"][0].update(expression="true", messageExpression="'no'"),
    "policy-for-some-namespaces": lambda p, b: p["matchConstraints"].update(NARROWER),
    "policy-for-some-objects": lambda p, b: p["matchConstraints"].update(objectSelector=NARROWER["namespaceSelector"]),
    "policy-with-exceptions": lambda p, b: p["matchConstraints"].update(excludeResourceRules=[RULE]),
    "policy-for-updates-only": lambda p, b: p["matchConstraints"].update(resourceRules=[RULE]),
    "policy-on-a-condition": lambda p, b: p.update(matchConditions=[{"name": "never", "expression": "false"}]),
    "policy-with-parameters": lambda p, b: p.update(paramKind={"apiVersion": "v1", "kind": "ConfigMap"}),
    "binding-audits": lambda p, b: b.update(validationActions=["Audit"]),
    "binding-warns": lambda p, b: b.update(validationActions=["Warn", "Audit"]),
    "binding-of-another-policy": lambda p, b: b.update(policyName="another"),
    "binding-for-some-namespaces": lambda p, b: b.update(matchResources=NARROWER),
    "binding-for-updates-only": lambda p, b: b.update(matchResources={"resourceRules": [RULE]}),
}


@pytest.mark.parametrize("weaken", WEAKER.values(), ids=WEAKER)
def test_a_weaker_guard_is_none(
    cluster: ApiServer, policy_and_binding: tuple[dict[str, Any], dict[str, Any]], weaken: Change
) -> None:
    """The weakened pair goes through the server under another name, so that its defaults are in what is judged."""
    policy, binding = copy.deepcopy(policy_and_binding)
    weaken(policy["spec"], binding["spec"])
    for manifest in (policy, binding):
        manifest["metadata"] = {"generateName": "weak-"}
    stored = cluster.request("POST", POLICIES, policy), cluster.request("POST", BINDINGS, binding)
    try:
        assert policy_in_force_since(*stored) is None
    finally:
        for path, stored_object in zip((POLICIES, BINDINGS), stored, strict=True):
            cluster.request("DELETE", f"{path}/{stored_object['metadata']['name']}")


def test_a_guard_that_was_mended_counts_from_then_on(cluster: ApiServer) -> None:
    first = cluster.request("GET", f"{POLICIES}/{POLICY_NAME}")
    weak = copy.deepcopy(first)
    weak["metadata"] = {"name": "mended"}
    weak["spec"]["failurePolicy"] = "Ignore"
    binding = cluster.request("GET", f"{BINDINGS}/{POLICY_NAME}")
    try:
        created = cluster.request("POST", POLICIES, weak)
        created["spec"]["failurePolicy"] = "Fail"
        mended = cluster.request("PUT", f"{POLICIES}/mended", created)
        mended["metadata"]["creationTimestamp"] = "2020-01-01T00:00:00Z"
        since = policy_in_force_since(mended, binding)
        assert since is not None
        assert since.year > 2020
        assert (
            policy_in_force_since(mended | {"metadata": {**mended["metadata"], "managedFields": []}}, binding) is None
        )
    finally:
        cluster.request("DELETE", f"{POLICIES}/mended")


def test_further_conditions_only_strengthen(policy_and_binding: tuple[dict[str, Any], dict[str, Any]]) -> None:
    policy = copy.deepcopy(policy_and_binding[0])
    policy["spec"]["validations"].append({"expression": "object.spec.reason != ''"})
    assert policy_in_force_since(policy, policy_and_binding[1]) is not None
    assert policy["spec"]["validations"][0]["expression"] == VALIDATION_EXPRESSION
