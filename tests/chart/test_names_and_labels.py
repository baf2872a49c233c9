"""Names and labels of objects follow the values; references between objects follow the names."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from chart.conftest import Json, objects_of
from chart.test_values import CLUSTER_WIDE

from charts.golden import CHART, profiles, render_templates

GUARD = {("Role", "anamnesis-operator"), ("RoleBinding", "anamnesis-operator")}
"""The operator's role where it watches: its name never changes, so that Helm refuses a second release there."""
STORE: Json = {
    "objectStore": {"enabled": True, "credentialsSecret": "s3"},
    "images": {"objectStore": {"repository": "s", "tag": "1"}},
}
EVERYTHING: Json = {
    **STORE,
    "alerts": {"enabled": True},
    "dashboards": {"enabled": True},
    "serviceMonitor": {"enabled": True},
    "networkPolicy": {"enabled": True, "apiServer": {"cidrs": ["10.0.0.1/32"]}},
    "pipelines": {"readPods": {"enabled": True}},
    "state": {"enabled": True, "accessMode": "ReadWriteMany"},
}


def texts_in(document: Any) -> Iterator[str]:
    """All texts below a document."""
    if isinstance(document, dict):
        document = list(document.values())
    if isinstance(document, list):
        for part in document:
            yield from texts_in(part)
    elif isinstance(document, str):
        yield document


@pytest.mark.parametrize(
    ("values", "operator", "prefix"),
    [
        ({}, "anamnesis-operator", "anamnesis"),
        ({"nameOverride": "learning"}, "learning-operator", "learning"),
        ({"fullnameOverride": "cardiology"}, "cardiology", "cardiology"),
        ({"nameOverride": "learning", "fullnameOverride": "cardiology"}, "cardiology", "cardiology"),
    ],
    ids=["default", "name", "fullname", "both"],
)
def test_names_and_references_follow(values: Json, operator: str, prefix: str) -> None:
    objects = objects_of({**EVERYTHING, **values, "crds": {"enabled": False}, "people": {"enabled": False}})
    names = {(item["kind"], item["metadata"]["name"]) for item in objects}
    assert names > GUARD
    assert {name for _, name in names - GUARD if not name.startswith(prefix)} == set()
    assert {("Deployment", operator), ("Deployment", f"{prefix}-object-store"), ("Pod", f"{operator}-test")} < names
    operator_names = {name for kind, name in names if kind in ("ServiceAccount", "ConfigMap", "PersistentVolumeClaim")}
    assert operator in operator_names

    (pod,) = [
        i["spec"]["template"]["spec"] for i in objects if (i["kind"], i["metadata"]["name"]) == ("Deployment", operator)
    ]
    assert pod["serviceAccountName"] == operator
    assert f"--lease-name={operator}" in pod["containers"][0]["args"]
    claims = [
        volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume
    ]
    assert claims == [operator]
    assert [volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume] == [operator]
    for item in objects:
        for subject in item.get("subjects", ()):
            assert subject["name"] == operator, item["metadata"]["name"]
        if item["kind"] == "Role" and item["metadata"]["name"] == f"{operator}-lease":
            assert item["rules"][1]["resourceNames"] == [operator]
        if item["kind"] == "Pod":
            assert f"http://{operator}.anamnesis:8080/readyz" in item["spec"]["containers"][0]["args"]
    notes = render_templates({**EVERYTHING, **values})["NOTES.txt"]
    assert f"deployment/{operator}\n" in notes
    assert f"http://{prefix}-object-store.anamnesis.svc:9000" in notes


def test_every_selector_selects_the_pods_of_its_release() -> None:
    """Labels do not follow the names, so alerts, runbooks and scrape configurations need no change."""
    plain, renamed = (
        selectors_of(objects_of({**EVERYTHING, **values})) for values in ({}, {"fullnameOverride": "cardiology"})
    )
    assert len(plain) >= 8
    assert plain == renamed


def selectors_of(objects: list[Json]) -> list[Json]:
    """The selectors of all objects in sequence of kinds, each of which selects one of the pods."""
    pods = [item["spec"]["template"]["metadata"]["labels"] for item in objects if item["kind"] == "Deployment"]
    selectors = []
    for item in sorted(objects, key=lambda item: str(item["kind"])):
        if item["kind"] == "CustomResourceDefinition":
            continue
        for name in ("selector", "podSelector"):
            if selector := item.get("spec", {}).get(name):
                labels = selector.get("matchLabels", selector)
                targets = (
                    pods
                    if item["kind"] != "ServiceMonitor"
                    else [o["metadata"]["labels"] for o in objects if o["kind"] == "Service"]
                )
                assert any(labels.items() <= target.items() for target in targets), item["metadata"]["name"]
                selectors.append(labels)
    return selectors


def test_common_labels_are_on_every_object_and_pod_and_in_no_selector() -> None:
    common = {"hospital.example/cost-center": "4711", "team": "imaging"}
    labelled, plain = (objects_of({**EVERYTHING, "commonLabels": labels}) for labels in (common, {}))
    assert len(labelled) == len(plain) > 25
    assert {item["kind"] for item in labelled} > CLUSTER_WIDE
    for item, before in zip(labelled, plain, strict=True):
        assert item["metadata"]["labels"] == {**before["metadata"].get("labels", {}), **common}, item["metadata"][
            "name"
        ]
        del item["metadata"]["labels"], before["metadata"]["labels"]
        if item["kind"] == "Deployment":
            for name in common:
                assert item["spec"]["template"]["metadata"]["labels"].pop(name) == common[name]
        assert item == before, "nothing else changes, so a release takes new labels by an upgrade"


def test_a_label_of_a_part_wins_over_a_common_one() -> None:
    values = {
        "commonLabels": {"release": "x"},
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    }
    labels = {item["kind"]: item["metadata"]["labels"] for item in objects_of(values)}
    assert (labels["ServiceMonitor"]["release"], labels["Service"]["release"]) == ("prometheus", "x")


def test_every_container_has_requests_and_limits_of_cpu_and_memory() -> None:
    for values in profiles().values():
        for item in objects_of(values):
            spec = item["spec"] if item["kind"] == "Pod" else item.get("spec", {}).get("template", {}).get("spec", {})
            for container in (*spec.get("containers", ()), *spec.get("initContainers", ())):
                resources = container["resources"]
                assert {"cpu", "memory"} <= set(resources["requests"]) & set(resources["limits"]), container["name"]


def test_the_annotations_for_artifact_hub_are_what_is_installed() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    annotations = {name: yaml.safe_load(text) for name, text in chart["annotations"].items()}
    objects = objects_of({})
    images = {
        container["image"]
        for i in objects
        if i["kind"] == "Deployment"
        for container in i["spec"]["template"]["spec"]["containers"]
    }
    images |= {yaml.safe_load(i["data"]["pods.yaml"])["image"] for i in objects if i["kind"] == "ConfigMap"}
    assert {entry["image"] for entry in annotations["artifacthub.io/images"]} == images
    assert {(entry["name"], entry["kind"], entry["version"]) for entry in annotations["artifacthub.io/crds"]} == {
        (item["metadata"]["name"], item["spec"]["names"]["kind"], version["name"])
        for item in objects
        if item["kind"] == "CustomResourceDefinition"
        for version in item["spec"]["versions"]
    }
    assert "Apache License" in (CHART.parents[1] / "LICENSE").read_text()
    assert annotations["artifacthub.io/license"] == "Apache-2.0"
    assert all(link["url"].startswith("https://") for link in annotations["artifacthub.io/links"])


def test_the_page_of_the_chart_lists_every_value() -> None:
    rows = [line.split("`")[1] for line in (CHART / "README.md").read_text().splitlines() if line.startswith("| `")]

    def leaves(values: Any, path: str) -> Iterator[str]:
        if isinstance(values, dict) and values:
            for name, part in values.items():
                yield from leaves(part, f"{path}.{name}".removeprefix("."))
        else:
            yield path

    paths = list(leaves(yaml.safe_load((CHART / "values.yaml").read_text()), ""))
    assert len(paths) > 120
    assert [path for path in paths if not any(path == row or path.startswith(f"{row}.") for row in rows)] == []
