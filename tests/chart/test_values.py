"""What values do: lint, schema, what may not stand together, images, rights, monitoring."""

import json
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml
from chart.conftest import Json, objects_of, one

from anamnesis.operator.api.load_files import KINDS
from anamnesis.operator.backends.pod_defaults import load_defaults
from charts.generate import documented
from charts.golden import CHART, main, profiles, rendered

DIGEST = "sha256:" + "a" * 64
CLUSTER_WIDE = {
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}
BARE = {"crds": {"enabled": False}, "people": {"enabled": False}, "rbac": {"admissionReader": {"create": False}}}


@pytest.mark.parametrize("name", profiles())
def test_a_profile_keeps_every_rule_of_lint(name: str) -> None:
    report = helm_python.lint(CHART, profiles()[name], strict=True, namespace="anamnesis")
    assert report["errors"] == []
    assert {message["error"] for message in report["messages"]} <= {"icon is recommended"}


def test_what_profiles_render_is_as_committed() -> None:
    assert main(check=True) == 0


def names(schema: Json, values: Any) -> Any:
    """The schema's keys below those of values, for objects that the schema does not leave open."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    if "properties" not in schema or not isinstance(values, dict):
        return None
    assert schema["additionalProperties"] is False
    assert set(values) <= set(schema["properties"])
    return {name: names(part, values.get(name)) for name, part in schema["properties"].items()}


SCHEMA = json.loads((CHART / "values.schema.json").read_text())


def test_schema_and_values_name_the_same() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def compare(schema: Any, values: Any, path: str) -> None:
        if schema is None:
            return
        assert set(schema) - {"global"} == set(values), path
        for name, part in schema.items():
            compare(part, values.get(name), f"{path}.{name}")

    compare(names(SCHEMA, values), values, "")


def objects_in(schema: Any) -> list[Json]:
    inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    found = [one for part in inner for one in objects_in(part)]
    return [schema, *found] if isinstance(schema, dict) and schema.get("type") == "object" else found


def test_no_object_takes_unknown_keys() -> None:
    found = objects_in(SCHEMA)
    assert len(found) > 20
    assert [one for one in found if "additionalProperties" not in one and one != SCHEMA["properties"]["global"]] == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"unknown": 1}, "unknown"),
        ({"operator": {"replica": 1}}, "replica"),
        ({"images": {"operator": {"digest": "sha256:1"}}}, "digest"),
        ({"images": {"operator": {"repository": "Upper/Case"}}}, "repository"),
        ({"operator": {"replicas": "two"}}, "replicas"),
        ({"operator": {"userId": 0}}, "userId"),
        ({"watchNamespaces": "radiology"}, "watchNamespaces"),
        ({"watchNamespaces": ["Radiology"]}, "watchNamespaces"),
        ({"proxy": {"https": "proxy:3128"}}, "https"),
        ({"networkPolicy": {"destinations": [{"cidrs": ["10.0.0.1/32"]}]}}, "ports"),
        ({"networkPolicy": {"destinations": [{"ports": [443]}]}}, "destinations"),
        ({"networkPolicy": {"apiServer": {"cidrs": ["10.0.0.1"]}}}, "cidrs"),
        ({"alerts": {"rules": {"AnamnesisOperatorAbsent": {"fore": "5m"}}}}, "fore"),
        ({"alerts": {"rules": {"AnamnesisOperatorAbsent": {"for": "soon"}}}}, "for"),
        ({"pipelines": {"pods": {"image": "x"}}}, "image"),
        ({"pipelines": {"pods": {"sharedMemory": "2GB"}}}, "sharedMemory"),
        ({"operator": {"environment": {"A": 1}}}, "environment"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(values: Json, said: str) -> None:
    with (
        helm_python.Chart.load(CHART) as chart,
        pytest.raises(helm_python.HelmError, match=said),
    ):
        chart.validate_schema(values)


@pytest.mark.parametrize(
    "values",
    [
        {"watchNamespaces": ["*"]},
        {"registry": "registry.hospital:5000/mirror", "pullSecrets": ["a"]},
        {"operator": {"userId": None, "tolerations": [{"operator": "Exists"}]}},
        {"pipelines": {"pods": {"gpus": 0, "volumes": [{"claim": "scans", "path": "/data"}]}}},
        {"alerts": {"rules": {"AnamnesisApprovalWaiting": {"threshold": 3600, "for": "1h30m", "enabled": False}}}},
    ],
)
def test_what_a_hospital_would_set_is_taken(values: Json) -> None:
    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(values)
    rendered(values)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"state": {"enabled": True}}, "state.accessMode: several replicas share the volume"),
        ({"operator": {"localTraining": True}}, "operator.localTraining: its runs live in one pod"),
        ({"watchNamespaces": ["*", "a"]}, 'watchNamespaces: "\\*" stands alone'),
        ({"networkPolicy": {"enabled": True}}, "networkPolicy.apiServer.cidrs: without the API server"),
        ({"objectStore": {"enabled": True}}, "objectStore.credentialsSecret: name the Secret"),
        ({"objectStore": {"enabled": True, "credentialsSecret": "s3"}}, "images.objectStore.repository: name the"),
        ({"requireDigests": True}, "images.operator.digest: requireDigests is set"),
        ({"alerts": {"enabled": True, "rules": {"AnamnesisTypo": {}}}}, "AnamnesisTypo: there is no such alert"),
    ],
)
def test_values_that_contradict_are_told_in_a_sentence(values: Json, said: str) -> None:
    with pytest.raises(helm_python.HelmError, match=said):
        rendered(values)


def images(objects: list[Json]) -> set[str]:
    """The images of all pods, those of pipelines among them."""
    specs = [each["spec"] for each in objects if each["kind"] == "Pod"]
    specs += [each["spec"]["template"]["spec"] for each in objects if each["kind"] == "Deployment"]
    containers = [each for spec in specs for each in (*spec["containers"], *spec.get("initContainers", ()))]
    pipelines = yaml.safe_load(one(objects, "ConfigMap")["data"]["pods.yaml"])["image"]
    return {each["image"] for each in containers} | {pipelines}


def test_every_image_comes_from_the_registry_of_the_house_with_its_digest() -> None:
    each = {"digest": DIGEST}
    store = {"registry": "quay.io", "repository": "s", **each}
    values = {
        "registry": "registry.hospital/mirror",
        "requireDigests": True,
        "images": {"operator": each, "training": each, "objectStore": store},
        "objectStore": {"enabled": True, "credentialsSecret": "s3"},
    }
    assert images(objects_of(values)) == {
        f"registry.hospital/mirror/anamnesis-operator:0.1.0@{DIGEST}",
        f"registry.hospital/mirror/anamnesis-training:0.1.0@{DIGEST}",
        f"registry.hospital/mirror/s@{DIGEST}",
    }


def test_without_rights_of_the_cluster_nothing_lies_outside_of_the_namespaces() -> None:
    found = objects_of({**BARE, "watchNamespaces": ["radiology"]})
    assert not {each["kind"] for each in found} & CLUSTER_WIDE
    assert {each["metadata"]["namespace"] for each in found} == {"anamnesis", "radiology"}


def test_who_administers_the_cluster_may_install_only_what_is_of_the_cluster() -> None:
    readers = {"admissionReader": {"namespaces": ["radiology", "pathology"]}}
    found = objects_of({"operator": {"enabled": False}, "rbac": readers})
    assert {each["kind"] for each in found} == CLUSTER_WIDE
    (binding,) = [each for each in found if each["kind"] == "ClusterRoleBinding"]
    assert [each["namespace"] for each in binding["subjects"]] == ["radiology", "pathology"]


def test_all_namespaces_take_a_cluster_role_and_no_other_way_does() -> None:
    def wide(values: Json) -> list[str]:
        found = objects_of({**values, "people": {"enabled": False}})
        rules = [each for each in found if each["kind"] == "ClusterRole"]
        return [each["metadata"]["name"] for each in rules if "admission" not in each["metadata"]["name"]]

    assert wide({"watchNamespaces": ["*"]}) == ["anamnesis-operator-anamnesis"]
    assert wide({}) == wide({"watchNamespaces": ["a", "b"]}) == []
    arguments = one(objects_of({"watchNamespaces": ["*"]}), "Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert "--all-namespaces" in arguments["args"]


def test_definitions_and_policy_stay_and_all_kinds_are_there() -> None:
    found = objects_of({})
    kept = [each for each in found if each["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"]
    assert {each["spec"]["names"]["kind"] for each in kept if "names" in each["spec"]} == set(KINDS)
    assert [each["kind"] for each in kept if "Admission" in each["kind"]] == [
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ]


def test_pods_of_pipelines_get_what_values_say(tmp_path: Path) -> None:
    pods = one(objects_of(profiles()["gpu-cluster"]), "ConfigMap")["data"]["pods.yaml"]
    (tmp_path / "pods.yaml").write_text(pods)
    found = load_defaults(tmp_path / "pods.yaml")
    assert found.image == f"registry.hospital.example/anamnesis-training:0.1.0@sha256:{'2' * 64}"
    assert (found.gpus, found.queue, found.shared_memory) == (1, "imaging", "2Gi")
    assert [secret.name for secret in found.pull_secrets] == ["mirror"]
    assert found.environment["HTTPS_PROXY"] == "http://proxy.hospital.example:3128"
    assert found.trust is not None
    assert (found.trust.secret, found.trust.key) == ("hospital-authorities", "ca.crt")


def test_one_machine_fits_into_two_gigabytes() -> None:
    units = {"Mi": 1, "Gi": 1024}
    total = 0
    for each in objects_of(profiles()["single-node"]):
        if each["kind"] == "Deployment":
            for container in each["spec"]["template"]["spec"]["containers"]:
                limit = container["resources"]["limits"]["memory"]
                total += each["spec"]["replicas"] * int(limit[:-2]) * units[limit[-2:]]
    assert 0 < total <= 2048 - 256, "the operating system and Kubernetes need some"


def test_private_authorities_and_proxy_reach_the_process() -> None:
    spec = one(objects_of(profiles()["gpu-cluster"]), "Deployment")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    found = {each["name"]: each.get("value") for each in container["env"]}
    mounted = {each["mountPath"] for each in container["volumeMounts"]}
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        assert found[name].rpartition("/")[0] in mounted
    assert found["HTTPS_PROXY"]
    assert ".svc" in found["NO_PROXY"]


def test_nothing_leaves_but_to_what_is_listed() -> None:
    policy = one(objects_of(profiles()["gpu-cluster"]), "NetworkPolicy")["spec"]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    assert all(rule["to"] and rule["ports"] for rule in policy["egress"]), "an empty list would mean everywhere"
    blocks = {peer["ipBlock"]["cidr"] for rule in policy["egress"] for peer in rule["to"] if "ipBlock" in peer}
    assert blocks == {"10.0.0.1/32", "10.20.0.0/24", "10.30.0.5/32", "10.40.0.1/32"}


def rules_of(values: Json) -> dict[str, Json]:
    found = one(objects_of({"alerts": {"enabled": True, **values}}), "PrometheusRule", "anamnesis")
    rules = [rule for group in found["spec"]["groups"] for rule in group["rules"]]
    return {rule["alert"]: rule for rule in rules if "alert" in rule}


def test_alerts_come_unchanged() -> None:
    committed = {}
    for file in (CHART / "files" / "alerts").glob("*.yaml"):
        document = yaml.safe_load(file.read_text())
        rules = [rule for group in document.get("groups", ()) for rule in group["rules"]]
        committed |= {rule["alert"]: rule for rule in rules if "alert" in rule}
    assert rules_of({}) == committed != {}


def test_alerts_are_tuned_one_by_one() -> None:
    tuning = yaml.safe_load((CHART / "files" / "alerts" / "tuning.yaml").read_text())
    plain, name = rules_of({}), "AnamnesisApprovalWaiting"
    wanted = {
        name: {"threshold": 3600, "for": "1h", "keepFiringFor": "2h", "severity": "page"},
        "AnamnesisNoLeader": {"enabled": False},
    }
    tuned = rules_of({"rules": wanted, "runbooks": "https://wiki.hospital/anamnesis/"})
    assert set(plain) - set(tuned) == {"AnamnesisNoLeader"}
    literal = tuning[name]["threshold"]
    assert tuned[name]["expr"] == plain[name]["expr"].replace(literal, "3600") != plain[name]["expr"]
    assert (tuned[name]["for"], tuned[name]["keep_firing_for"]) == ("1h", "2h")
    assert tuned[name]["labels"]["severity"] == "page"
    assert tuned[name]["annotations"]["runbook_url"] == f"https://wiki.hospital/anamnesis/{name}.md"
    every = rules_of({"rules": {each: {"threshold": "987654"} for each in tuning}})
    for each, entry in tuning.items():
        assert every[each]["expr"] == plain[each]["expr"].replace(entry["threshold"], "987654")
        assert every[each]["expr"].count("987654") == 1
    with pytest.raises(helm_python.HelmError, match="limits of this alert are those of each model"):
        rules_of({"rules": {"AnamnesisNoLeader": {"threshold": 1}}})


def test_dashboards_are_found_by_grafana() -> None:
    found = [each for each in objects_of({"dashboards": {"enabled": True}}) if "dashboard" in each["metadata"]["name"]]
    committed = list((CHART / "files" / "dashboards").glob("*.json"))
    assert len(found) == len(committed)
    for each in found:
        assert each["metadata"]["labels"]["grafana_dashboard"] == "1"
        ((name, text),) = each["data"].items()
        assert json.loads(text) == json.loads((CHART / "files" / "dashboards" / name).read_text())


def test_a_panel_leads_to_the_pages_where_the_hospital_keeps_them() -> None:
    values = {"dashboards": {"enabled": True}, "alerts": {"runbooks": "https://wiki.hospital/anamnesis/"}}
    text = one(objects_of(values), "ConfigMap", "anamnesis-dashboard-fleet")["data"]["fleet.json"]
    assert '"https://wiki.hospital/anamnesis/${__value.text}.md"' in text
    assert "anamnesis.example" not in text


def test_a_value_without_a_comment_is_an_error() -> None:
    assert list(documented("# About a.\na: 1\nb:\n  # About c.\n  c: {d: 1}\n")) == [
        ("a", "1", "About a."),
        ("b.c", '{"d": 1}', "About c."),
    ]
    with pytest.raises(ValueError, match=r"b\.c has no comment"):
        list(documented("# About a.\na: 1\nb:\n  c: 1\n"))
    with pytest.raises(ValueError, match=r"b has a comment, and so has a value in it"):
        list(documented("# About b.\nb:\n  # About c.\n  c: 1\n"))
