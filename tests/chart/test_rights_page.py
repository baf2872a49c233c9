"""The tables of docs/rights.md equal the output of `kubectl auth can-i --list` for each role."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from builders.api_server import ApiServer
from chart.conftest import Json, find_object, make_namespace, objects_of
from chart.test_install import helm
from chart.test_rights import cluster_with_crds

from charts.golden import CHART

__all__ = ["cluster_with_crds"]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "rights.md"
ROW = re.compile(r"^(\S*)\s+\[(.*?)\]\s+\[(.*?)\]\s+\[(.*?)\]$")
HEAD = ("Resource", "Names", "Verbs")


def rights(cluster: ApiServer, user: str, namespace: str) -> set[tuple[str, str, str]]:
    """Returns resource, names and verbs of each right of a user in a namespace."""
    printed = cluster.kubectl("auth", "can-i", "--list", f"--as={user}", f"--namespace={namespace}").splitlines()
    rows = [match.groups() for line in printed[1:] if (match := ROW.match(line))]
    assert len(rows) == len(printed) - 1, printed
    return {
        (resource or f"URL {urls}", names, " ".join(sorted(verbs.split()))) for resource, urls, names, verbs in rows
    }


def table(rows: Iterable[tuple[str, str, str]]) -> str:
    """Returns rights as a table of the page."""
    lines = [HEAD, ("---",) * 3, *sorted((f"`{resource}`", names, verbs) for resource, names, verbs in rows)]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines)


def section(title: str) -> str:
    """Returns the table below a title of the page."""
    _, separator, rest = PAGE.read_text().partition(f"\n## {title}\n")
    assert separator, title
    return "\n".join(line for line in rest.partition("\n## ")[0].splitlines() if line.startswith("|"))


def own_rights(cluster: ApiServer, user: str, namespace: str, anybody: str = "anybody") -> str:
    """Returns the table of a user's rights, without those of ``anybody``, an authenticated user."""
    return table(rights(cluster, user, namespace) - rights(cluster, anybody, namespace))


HOME, WATCHED = "The operator, in its own namespace", "The operator, in another namespace that it watches"
ALONE, ELSEWHERE = "The operator, in its own namespace where it watches only others", "The operator, anywhere else"
WATCHES = {"own": (HOME, ELSEWHERE, ELSEWHERE), "another": (ALONE, WATCHED, ELSEWHERE), "all": (HOME, WATCHED, WATCHED)}
"""Titles for the namespace of the release, one that the values may name, and one that no value names."""


@pytest.mark.parametrize("watched", WATCHES)
def test_the_operator_may(watched: str, cluster_with_crds: ApiServer) -> None:
    home_namespace, watched_namespace, unwatched_namespace = (make_namespace(cluster_with_crds) for _ in range(3))
    names: list[str] = {"own": [], "another": [watched_namespace], "all": ["*"]}[watched]
    values: Json = {"crds": {"enabled": False}, "people": {"enabled": False}, "watchNamespaces": names}
    account = f"system:serviceaccount:{home_namespace}:anamnesis-operator"
    with helm(cluster_with_crds, home_namespace) as client:
        client.install(CHART, "anamnesis", values)
        try:
            for namespace, title in zip(
                (home_namespace, watched_namespace, unwatched_namespace), WATCHES[watched], strict=True
            ):
                assert own_rights(
                    cluster_with_crds, account, namespace, f"system:serviceaccount:{home_namespace}:default"
                ) == section(title)
        finally:
            client.uninstall("anamnesis")


def test_the_operator_may_read_the_pods_of_runs_where_the_values_say_so(cluster_with_crds: ApiServer) -> None:
    home_namespace, runs_namespace = (make_namespace(cluster_with_crds) for _ in range(2))
    read_pods = {"enabled": True, "namespace": runs_namespace}
    values: Json = {"crds": {"enabled": False}, "people": {"enabled": False}, "pipelines": {"readPods": read_pods}}
    values["rbac"] = {"admissionReader": {"create": False}}
    account = f"system:serviceaccount:{home_namespace}:anamnesis-operator"
    with helm(cluster_with_crds, home_namespace) as client:
        client.install(CHART, "anamnesis", values)
        try:
            anybody = f"system:serviceaccount:{home_namespace}:default"
            granted = own_rights(cluster_with_crds, account, runs_namespace, anybody)
            assert granted == section("The operator, in the namespace of the runs")
            (arguments,) = (
                container["args"]
                for container in find_object(objects_of(values, home_namespace), "Deployment")["spec"]["template"][
                    "spec"
                ]["containers"]
            )
            assert f"--read-pods={runs_namespace}" in arguments
        finally:
            client.uninstall("anamnesis")


def test_people_may(cluster_with_crds: ApiServer) -> None:
    namespace = make_namespace(cluster_with_crds)
    roles = [
        item for item in objects_of({}) if item["kind"] == "ClusterRole" and "admission" not in item["metadata"]["name"]
    ]
    assert len(roles) > 2
    for role in roles:
        name = role["metadata"]["name"]
        cluster_with_crds.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(role))
        cluster_with_crds.kubectl(
            "create", "rolebinding", name, f"--namespace={namespace}", f"--clusterrole={name}", f"--user={name}"
        )
        assert own_rights(cluster_with_crds, name, namespace) == section(f"`{name}`")
        assert own_rights(cluster_with_crds, name, make_namespace(cluster_with_crds)) == table(()), (
            "nothing where it is not bound"
        )
    cluster_with_crds.kubectl("delete", "clusterrole", *(role["metadata"]["name"] for role in roles))
