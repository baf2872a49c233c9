import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from builders.api_server import ApiServer
from builders.waiting_model import (
    CANDIDATE,
    MODEL,
    UPDATE,
    condition,
    create_resource,
    create_waiting_model,
    grant_role,
)

from anamnesis.cli.cluster.status import format_age

Run = Callable[..., Any]


def drifting_age(lines: list[str]) -> str:
    return next(line.split(" for ")[1].partition(":")[0] for line in lines if line.startswith("Drifting"))


def test_one_screen_says_what_waits_and_why(cluster: ApiServer, namespace: str, run: Run) -> None:
    create_waiting_model(cluster, namespace)
    grant_role(cluster, namespace, "viewer", "anamnesis-viewer")
    result = run("status", "-n", namespace, user="viewer")
    assert result.code == 0, result.err
    lines = [" ".join(line.split()) for line in result.out.splitlines()]
    assert lines[0].startswith("chest: champion aa11aa11aa11, in use for")
    assert [line for line in lines if "=" in line.partition(" ")[0]] == [
        f"Drifting=True for {drifting_age(lines)}: "
        "RecentBelowFloor: guangzhou: AUROC 0.71 on 31 recent cases, floor 0.78"
    ]  # healthy conditions are not shown
    assert any(line.startswith(f"update {UPDATE} of bethesda: AwaitingApproval, started") for line in lines)
    assert f"candidate {CANDIDATE}" in lines
    assert f'anamnesis approve -n {namespace} chest sha256:4f1c4f1c4f1c --reason "..."' in lines
    assert any(line.startswith("bethesda AwaitingApproval") for line in lines)
    assert any(line.startswith("guangzhou Learned 400 12 ") for line in lines)
    assert any("0.912 [0.881, 0.940] n=120 patients=90 0.800 0.920 0.050" in line for line in lines)
    assert any(line.startswith("guangzhou Unreachable 800") for line in lines)
    assert any(line.startswith("bethesda -") and line.endswith("not checked yet") for line in lines)
    assert len(lines) <= 24
    assert max(map(len, result.out.splitlines())) <= 160


def test_an_approval_that_does_not_count_is_shown_with_the_reason(cluster: ApiServer, namespace: str, run: Run) -> None:
    create_waiting_model(cluster, namespace)
    approval_spec = {
        "update": UPDATE,
        "version": CANDIDATE,
        "decision": "Approve",
        "approver": "admin",
        "reason": "seen",
    }
    create_resource(cluster, namespace, "UpdateApproval", "new", spec=approval_spec)
    refused = condition("Recorded", "False", "WrongVersion", "its version is another")
    create_resource(cluster, namespace, "UpdateApproval", "wrong", spec=approval_spec, status={"conditions": [refused]})
    create_resource(
        cluster,
        namespace,
        "UpdateApproval",
        "old",
        spec={**approval_spec, "update": "chest-1"},
        status={"conditions": [refused]},
    )
    recorded_status = {"conditions": [condition("Recorded", "True", "Recorded")]}
    create_resource(cluster, namespace, "UpdateApproval", "heard", spec=approval_spec, status=recorded_status)
    result = run("status", "-n", namespace)
    lines = [line.strip() for line in result.out.splitlines() if "admin: Approve" in line]
    assert result.err == ""
    assert lines == [
        "new: admin: Approve: not processed yet",
        "wrong: admin: Approve: WrongVersion: its version is another",
    ]
    unrecorded_approvals = json.loads(run("status", "-n", namespace, "--json").out)["models"][0]["unrecordedApprovals"]
    assert [approval["name"] for approval in unrecorded_approvals] == ["new", "wrong"]


def test_for_programs_it_is_one_document(cluster: ApiServer, namespace: str, run: Run) -> None:
    create_waiting_model(cluster, namespace)
    document = json.loads(run("status", "-n", namespace, "--json").out)
    model = document["models"][0]
    assert (model["name"], model["update"]["version"], model["sites"][1]["state"]) == (
        "chest",
        CANDIDATE,
        "AwaitingApproval",
    )
    assert model["approvalCommand"].startswith(f"anamnesis approve -n {namespace} chest")
    assert [site["name"] for site in document["sites"]] == ["bethesda", "guangzhou"]


def test_a_model_is_shown_alone_with_its_sites(cluster: ApiServer, namespace: str, run: Run) -> None:
    create_waiting_model(cluster, namespace)
    create_resource(cluster, namespace, "ContinualModel", "other", spec={**MODEL, "sites": [{"name": "bethesda"}]})
    document = json.loads(run("status", "-n", namespace, "other", "--json").out)
    assert ([m["name"] for m in document["models"]], [s["name"] for s in document["sites"]]) == (
        ["other"],
        ["bethesda"],
    )
    assert "no status yet; is the operator running?" in run("status", "-n", namespace, "other").out
    result = run("status", "-n", namespace, "none")
    assert (result.code, f"no ContinualModel none in namespace {namespace}" in result.err) == (2, True)


def test_a_change_that_the_operator_has_not_seen_is_told(cluster: ApiServer, namespace: str, run: Run) -> None:
    create_waiting_model(cluster, namespace)
    assert "has not processed the latest change" not in run("status", "-n", namespace).out
    assert run("suspend", "-n", namespace, "chest").code == 0
    out = run("status", "-n", namespace).out
    assert "has not processed the latest change" in out
    assert "EWCPrototype, suspended" in out


def test_an_empty_namespace_says_so(namespace: str, run: Run) -> None:
    assert "no models and no sites" in run("status", "-n", namespace).out


def test_who_may_not_look_is_told_which_right_is_missing(namespace: str, run: Run) -> None:
    result = run("status", "-n", namespace, user="viewer")
    assert result.code == 3
    assert f"viewer may not list continualmodels in namespace {namespace}: ask for a role" in result.err


def test_without_a_cluster_the_error_says_what_to_do(run: Run, cluster: ApiServer, tmp_path: Any) -> None:
    none = run("status", kubeconfig=tmp_path / "none")
    assert (none.code, "set KUBECONFIG, or give -f FILES" in none.err) == (2, True)
    silent = run("status", kubeconfig=cluster.kubeconfig(server="https://127.0.0.1:9"))
    assert (silent.code, silent.err.count("\n")) == (1, 1)
    assert "https://127.0.0.1:9: the API server does not answer" in silent.err
    stranger = run("status", kubeconfig=cluster.kubeconfig("stranger", "no-token"))
    assert (stranger.code, "does not accept your credentials" in stranger.err) == (3, True)
    assert run("status", "--context", "nowhere").code == 2


def test_the_namespace_is_that_of_the_context(cluster: ApiServer, namespace: str, run: Run, tmp_path: Any) -> None:
    config = json.loads(cluster.kubeconfig().read_text())
    config["contexts"][0]["context"]["namespace"] = namespace
    (tmp_path / "config").write_text(json.dumps(config))
    create_waiting_model(cluster, namespace)
    assert "chest: champion" in run("status", kubeconfig=tmp_path / "config").out
    assert "chest: champion" in run("status", "--context", "t", kubeconfig=tmp_path / "config").out


def test_a_server_without_our_resources_is_told(run: Run, cluster: ApiServer, monkeypatch: Any) -> None:
    from anamnesis.cli.cluster import connection

    monkeypatch.setattr(connection, "API_VERSION", "anamnesis.example/v1")
    result = run("status")
    assert (result.code, "kubectl apply --server-side -f manifests/crds" in result.err) == (2, True)


def test_a_resource_of_another_release_is_left_out_with_a_note(
    cluster: ApiServer, namespace: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from anamnesis.cli.cluster.connection import Connection

    def documents(self: Connection, path: str) -> list[dict[str, Any]]:
        items = listed(self, path)
        newer = [{**item, "metadata": {"name": "odd"}, "spec": {"later": 1}} for item in items if "models" in path]
        return [*newer, *items]

    listed = Connection.list_documents
    monkeypatch.setattr(Connection, "list_documents", documents)
    create_waiting_model(cluster, namespace)
    result = run("status", "-n", namespace)
    assert (result.code, "chest: champion" in result.out, "odd" in result.out) == (0, True, False)
    assert "skipped: ContinualModel odd: this release of the command line cannot read the resource" in result.err


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-5, "0 s"), (0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (172800, "2 d")],
)
def test_ages_have_one_unit(seconds: int, expected: str) -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    assert format_age(now - timedelta(seconds=seconds), now) == expected
