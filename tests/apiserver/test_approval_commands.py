import json
import re
import threading
import urllib.error
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from builders.api_server import ApiServer
from builders.waiting import eventually
from builders.waiting_model import (
    CANDIDATE,
    CHAMPION,
    GROUP,
    REPORT,
    REPORT_DIGEST,
    UPDATE,
    UPDATE_SPEC,
    create_resource,
    create_waiting_model,
    grant_role,
    read_resource,
)

from anamnesis.operator.api.config_map import report_name

Run = Callable[..., Any]
OTHER = "sha256:" + "4f1d" * 16


@pytest.fixture
def filled_namespace(cluster: ApiServer, namespace: str) -> str:
    """A namespace in which a version waits and rossi may approve."""
    create_waiting_model(cluster, namespace)
    grant_role(cluster, namespace, "rossi", "anamnesis-approver")
    return namespace


@pytest.fixture
def answer_next_approval(cluster: ApiServer, filled_namespace: str) -> Iterator[Callable[[str, str, str], None]]:
    """Answers the next approval as an operator would."""
    threads: list[threading.Thread] = []

    def answer(status: str, reason: str, message: str) -> None:
        threads.append(threading.Thread(target=_answer, args=(cluster, filled_namespace, status, reason, message)))
        threads[-1].start()

    yield answer
    for thread in threads:
        thread.join()


def _answer(server: ApiServer, namespace: str, status: str, reason: str, message: str) -> None:
    eventually(lambda: bool(read_resource(server, namespace, "updateapprovals")["items"]))
    approval = read_resource(server, namespace, "updateapprovals")["items"][0]
    condition = {"type": "Recorded", "status": status, "reason": reason, "message": message}
    path = f"{GROUP}/namespaces/{namespace}/updateapprovals/{approval['metadata']['name']}/status"
    times = {"lastTransitionTime": "2026-11-21T08:00:00Z"}
    server.request("PUT", path, {**approval, "status": {"conditions": [{**condition, **times}]}})


def approval_specs(server: ApiServer, namespace: str) -> list[dict[str, Any]]:
    return [item["spec"] for item in read_resource(server, namespace, "updateapprovals")["items"]]


def test_an_approval_has_digest_reason_and_the_name_that_the_server_knows(
    cluster: ApiServer, filled_namespace: str, run: Run, answer_next_approval: Callable[[str, str, str], None]
) -> None:
    answer_next_approval("True", "Recorded", "log entry 8")
    result = run("approve", "-n", filled_namespace, "chest", "sha256:4f1c", "--reason", "report read", user="rossi")
    assert (result.code, result.out) == (0, "Recorded: log entry 8\n"), result.err
    assert f"rossi: Approve {CANDIDATE}" in result.err
    spec = {"update": UPDATE, "version": CANDIDATE, "decision": "Approve", "approver": "rossi", "reason": "report read"}
    assert approval_specs(cluster, filled_namespace) == [spec | {"report": REPORT_DIGEST}]


def test_whoever_approves_reads_the_report_first_even_with_yes(filled_namespace: str, run: Run) -> None:
    result = run("approve", "-n", filled_namespace, "chest", "--yes", "--reason", "x", "--wait", "0", user="rossi")
    before, after = r"0.912 \[0.881, 0.940\] n=120 patients=90", r"0.905 \[0.873, 0.934\] n=120 patients=90"
    row = rf"guangzhou/pneumonia +AUROC +{before} +{after} +0.920 +0.015 +90"
    assert re.search(row, result.err), result.err
    assert re.search(r"forgetting +guangzhou/pneumonia .*0.015 +at most 0.050 .*passed", result.err)


def test_the_report_is_read_with_the_rights_of_an_approver(cluster: ApiServer, filled_namespace: str, run: Run) -> None:
    from_status = run("report", "-n", filled_namespace, "chest", user="rossi")
    assert (from_status.code, f"digest of this report: {REPORT_DIGEST}" in from_status.out) == (0, True)
    path = f"/api/v1/namespaces/{filled_namespace}/configmaps"
    name = report_name(UPDATE, REPORT_DIGEST)
    config_map = {"metadata": {"name": name}, "data": {"report.json": json.dumps(REPORT)}, "immutable": True}
    cluster.request("POST", path, {"apiVersion": "v1", "kind": "ConfigMap", **config_map})
    result = run("report", "-n", filled_namespace, "chest", "--json", user="rossi")
    assert (result.code, json.loads(result.out)["report"]) == (0, REPORT)
    grant_role(cluster, filled_namespace, "viewer", "anamnesis-viewer")
    copied = run("report", "-n", filled_namespace, "chest", user="viewer")
    assert (copied.code, "no right to read ConfigMap" in copied.err, copied.out) == (0, True, from_status.out)
    with pytest.raises(urllib.error.HTTPError):
        cluster.request("GET", path, None, "rossi")  # no list of all ConfigMaps


def test_a_replaced_config_map_is_not_shown(cluster: ApiServer, filled_namespace: str, run: Run) -> None:
    forged = json.dumps({**REPORT, "criteria": []})
    config_map = {"metadata": {"name": report_name(UPDATE, REPORT_DIGEST)}, "data": {"report.json": forged}}
    path = f"/api/v1/namespaces/{filled_namespace}/configmaps"
    cluster.request("POST", path, {"apiVersion": "v1", "kind": "ConfigMap", **config_map})
    result = run("report", "-n", filled_namespace, "chest", user="rossi")
    assert (result.code, "somebody replaced the ConfigMap" in result.err) == (5, True)


def test_what_the_operator_refuses_ends_with_3_and_says_why(
    filled_namespace: str, run: Run, answer_next_approval: Callable[[str, str, str], None]
) -> None:
    answer_next_approval("False", "Superseded", "another version became champion")
    result = run("reject", "-n", filled_namespace, UPDATE, CANDIDATE, "--reason", "no", user="rossi")
    assert (result.code, result.out) == (3, "")
    assert "Superseded: another version became champion" in result.err


def test_an_operator_that_does_not_answer_is_not_waited_for_for_ever(
    cluster: ApiServer, filled_namespace: str, run: Run
) -> None:
    result = run("approve", "-n", filled_namespace, CANDIDATE, "--reason", "x", "--wait", "0", user="rossi")
    assert (result.code, "the operator did not process it within 0 s" in result.err) == (1, True)
    assert len(approval_specs(cluster, filled_namespace)) == 1  # it stands, and counts when the operator is back


def test_a_pending_answer_is_not_an_answer(
    filled_namespace: str, run: Run, answer_next_approval: Callable[[str, str, str], None]
) -> None:
    answer_next_approval("False", "Pending", "")
    result = run("approve", "-n", filled_namespace, CANDIDATE, "--reason", "x", "--wait", "1", user="rossi")
    assert (result.code, "the operator did not process it within 1 s" in result.err) == (1, True)


def test_a_digest_is_named_or_confirmed(
    cluster: ApiServer, filled_namespace: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from anamnesis.cli.commands import decisions

    without_version = run("approve", "-n", filled_namespace, "chest", "--reason", "x", user="rossi")
    assert (
        without_version.code,
        f"Approve {CANDIDATE} of {UPDATE}: not confirmed; to decide without a question, give the version, or --yes"
        in without_version.err,
    ) == (2, True)
    assert approval_specs(cluster, filled_namespace) == []
    questions: list[str] = []
    monkeypatch.setattr(decisions, "_is_terminal", lambda: True)
    monkeypatch.setattr(decisions.typer, "confirm", lambda question: questions.append(question) or True)
    run("approve", "-n", filled_namespace, "chest", "--reason", "x", "--wait", "0", user="rossi")
    assert questions == [f"Approve {CANDIDATE} of {UPDATE}?"]
    assert [spec["version"] for spec in approval_specs(cluster, filled_namespace)] == [CANDIDATE]


def test_the_start_of_a_digest_must_be_unambiguous(cluster: ApiServer, filled_namespace: str, run: Run) -> None:
    create_resource(cluster, filled_namespace, "ModelUpdate", "chest-2", spec=UPDATE_SPEC, status={"version": OTHER})
    result = run("approve", "-n", filled_namespace, "chest", "sha256:4f1", "--reason", "x", user="rossi")
    assert (result.code, "give at least 4 hex digits" in result.err) == (2, True)
    create_resource(
        cluster,
        filled_namespace,
        "ModelUpdate",
        "chest-3",
        spec=UPDATE_SPEC,
        status={"version": CANDIDATE[:20] + "0" * 51},
    )
    result = run("approve", "-n", filled_namespace, "chest", CANDIDATE[:13], "--reason", "x", user="rossi")
    assert result.code == 2
    assert all(text in result.err for text in ("2 updates match", UPDATE, "chest-3"))
    none = run("approve", "-n", filled_namespace, "chest", "sha256:9999", "--reason", "x", user="rossi")
    assert (none.code, f"wait for approval: {UPDATE} with {CANDIDATE}" in none.err) == (2, True)
    assert "no update of chest has a version that begins with sha256:9999" in none.err
    misspelt = run("approve", "-n", filled_namespace, "chets", "sha256:9999", "--reason", "x", user="rossi")
    assert (misspelt.code, "no ModelUpdate with a version is called 'chets'" in misspelt.err) == (2, True)
    assert approval_specs(cluster, filled_namespace) == []


def test_who_has_no_right_is_told_who_they_are_and_what_is_missing(
    cluster: ApiServer, filled_namespace: str, run: Run
) -> None:
    grant_role(cluster, filled_namespace, "viewer", "anamnesis-viewer")
    result = run("approve", "-n", filled_namespace, "chest", CANDIDATE, "--reason", "x", user="viewer")
    assert result.code == 3
    assert f"viewer may not create updateapprovals in namespace {filled_namespace}" in result.err
    grant_role(cluster, filled_namespace, "weber", "anamnesis-editor")  # who may change models may not for that approve
    assert run("approve", "-n", filled_namespace, "chest", CANDIDATE, "--reason", "x", user="weber").code == 3
    assert approval_specs(cluster, filled_namespace) == []


def test_nobody_can_speak_for_another(cluster: ApiServer, filled_namespace: str, run: Run) -> None:
    arguments = ("chest", CANDIDATE, "--reason", "x", "--author", "weber")
    result = run("approve", "-n", filled_namespace, *arguments, user="rossi")
    assert (result.code, "the user of the kubeconfig is the author" in result.err) == (2, True)
    forged = {"update": UPDATE, "version": CANDIDATE, "decision": "Approve", "approver": "weber", "reason": "x"}
    document = {"apiVersion": "anamnesis.dev/v1alpha1", "kind": "UpdateApproval", "metadata": {"name": "forged"}}
    with pytest.raises(urllib.error.HTTPError):
        cluster.request(
            "POST", f"{GROUP}/namespaces/{filled_namespace}/updateapprovals", {**document, "spec": forged}, "rossi"
        )


@pytest.mark.parametrize("version", [CHAMPION, "sha256:aa11"])
def test_a_roll_back_names_a_model_and_a_version(
    cluster: ApiServer, filled_namespace: str, run: Run, version: str
) -> None:
    run("rollback", "-n", filled_namespace, "chest", version, "--reason", "ward 3", "--wait", "0", user="rossi")
    spec = {"model": "chest", "version": CHAMPION, "decision": "RollBack", "approver": "rossi", "reason": "ward 3"}
    assert approval_specs(cluster, filled_namespace) == [spec]


def test_a_roll_back_to_an_unknown_version_is_not_created(cluster: ApiServer, filled_namespace: str, run: Run) -> None:
    result = run("rollback", "-n", filled_namespace, "chest", "sha256:9999", "--reason", "x", user="rossi")
    assert (result.code, "give the whole digest" in result.err) == (2, True)
    assert run("rollback", "-n", filled_namespace, "chest", "--reason", "x", user="rossi").code == 2
    assert (
        "no ContinualModel none"
        in run("rollback", "-n", filled_namespace, "none", CHAMPION, "--reason", "x", user="rossi").err
    )
    assert approval_specs(cluster, filled_namespace) == []


def test_for_programs_the_answer_is_one_document(
    filled_namespace: str, run: Run, answer_next_approval: Callable[[str, str, str], None]
) -> None:
    answer_next_approval("True", "Recorded", "log entry 8")
    result = run("approve", "-n", filled_namespace, UPDATE, CANDIDATE, "--reason", "x", "--json", user="rossi")
    document = json.loads(result.out)
    assert (document["approver"], document["version"], document["reason"]) == ("rossi", CANDIDATE, "Recorded")
