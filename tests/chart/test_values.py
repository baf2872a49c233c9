"""Effects of the values: lint, schema, invalid combinations, images, rights, monitoring."""

import json
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml
from chart.conftest import Json, find_object, objects_of

from anamnesis.operator.api.load_files import KINDS
from anamnesis.operator.backends.pod_defaults import load_pod_defaults
from charts.generate import documented_values
from charts.golden import CHART, main, profiles, render_templates

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


def schema_keys(schema: Json, values: Any) -> Any:
    """The schema's keys below those of values, for objects that the schema does not leave open."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    if "properties" not in schema or not isinstance(values, dict):
        return None
    assert schema["additionalProperties"] is False
    assert set(values) <= set(schema["properties"])
    return {name: schema_keys(part, values.get(name)) for name, part in schema["properties"].items()}


SCHEMA = json.loads((CHART / "values.schema.json").read_text())


def test_schema_and_values_name_the_same() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def compare(schema: Any, values: Any, path: str) -> None:
        if schema is None:
            return
        assert set(schema) - {"global"} == set(values), path
        for name, part in schema.items():
            compare(part, values.get(name), f"{path}.{name}")

    compare(schema_keys(SCHEMA, values), values, "")


def object_schemas(schema: Any) -> list[Json]:
    parts = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    inner_schemas = [inner_schema for part in parts for inner_schema in object_schemas(part)]
    return [schema, *inner_schemas] if isinstance(schema, dict) and schema.get("type") == "object" else inner_schemas


def test_no_object_takes_unknown_keys() -> None:
    schemas = object_schemas(SCHEMA)
    assert len(schemas) > 20
    assert [
        schema
        for schema in schemas
        if "additionalProperties" not in schema and schema != SCHEMA["properties"]["global"]
    ] == []


@pytest.mark.parametrize(
    ("values", "message"),
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
        ({"operator": {"extraEnv": [{"name": "A", "value": 1}]}}, "value"),
        ({"operator": {"extraEnv": [{"name": "A"}]}}, "extraEnv"),
        ({"operator": {"extraEnv": [{"name": "A", "valueFrom": {"secretKey": {}}}]}}, "secretKey"),
        ({"operator": {"extraVolumes": [{"name": "scans"}]}}, "extraVolumes"),
        ({"operator": {"extraVolumeMounts": [{"name": "scans", "path": "/scans"}]}}, "path"),
        ({"operator": {"affinity": {"node": {}}}}, "nodeAffinity"),
        ({"nameOverride": "Cardiology"}, "nameOverride"),
        ({"fullnameOverride": "a" * 41}, "fullnameOverride"),
        ({"commonLabels": {"team": "no spaces"}}, "team"),
        ({"objectStore": {"networkPolicy": {"clients": []}}}, "clients"),
        ({"pipelines": {"pods": {"resources": {"learn": {}}}}}, "learn"),
        ({"pipelines": {"pods": {"resources": {"train": {"limits": {"memory": "16GB"}}}}}}, "memory"),
        ({"pipelines": {"pods": {"volumes": [{"path": "/a"}]}}}, "claimName"),
        ({"pipelines": {"pods": {"env": [{"name": "A", "type": "Secret"}]}}}, "secret"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(values: Json, message: str) -> None:
    with (
        helm_python.Chart.load(CHART) as chart,
        pytest.raises(helm_python.HelmError, match=message),
    ):
        chart.validate_schema(values)


@pytest.mark.parametrize(
    "values",
    [
        {"watchNamespaces": ["*"]},
        {"registry": "registry.hospital:5000/mirror", "pullSecrets": ["a"]},
        {"operator": {"userId": None, "tolerations": [{"operator": "Exists"}], "resources": {"limits": {"cpu": 1}}}},
        {"pipelines": {"pods": {"gpus": 0, "volumes": [{"claimName": "scans", "path": "/data"}]}}},
        {"pipelines": {"pods": {"resources": {"evaluate": {"limits": {"memory": "2148M"}}}}}},
        {"alerts": {"rules": {"AnamnesisApprovalWaiting": {"threshold": 3600, "for": "1h30m", "enabled": False}}}},
    ],
)
def test_what_a_hospital_would_set_is_taken(values: Json) -> None:
    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(values)
    render_templates(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"state": {"enabled": True}}, "state.accessMode: several replicas share the volume"),
        ({"operator": {"localTraining": True}}, "operator.localTraining: local runs need one pod"),
        ({"commonLabels": {"app.kubernetes.io/name": "x"}}, "commonLabels: the chart sets app.kubernetes.io/name"),
        ({"proxy": {"https": "http://proxy:1", "secretName": "proxy"}}, "proxy.https: remove it"),
        ({"operator": {"extraVolumes": [{"name": "state", "emptyDir": {}}]}}, "the chart has a volume state"),
        ({"operator": {"extraVolumeMounts": [{"name": "a", "mountPath": "/a"}]}}, "no volume a: add it to operator.e"),
        ({"operator": {"extraEnv": [{"name": "POD_NAME", "value": "x"}]}}, "operator.extraEnv: the operator needs"),
        ({"watchNamespaces": ["*", "a"]}, 'watchNamespaces: "\\*" already means all'),
        ({"networkPolicy": {"enabled": True}}, "networkPolicy.apiServer.cidrs: the operator must reach"),
        ({"objectStore": {"enabled": True}}, "objectStore.credentialsSecret: name the Secret"),
        ({"pipelines": {"pods": {"environment": {"HTTP_PROXY": "http://a:b@c"}}}}, "HTTP_PROXY: this URL has a pass"),
        (
            {"pipelines": {"pods": {"resources": {"train": {"limits": {"cpu": "500m"}}}}}},
            r"pods.resources.train: limits.cpu \(500m\) is less than requests.cpu \(1\)",
        ),
        (
            {"pipelines": {"pods": {"resources": {"evaluate": {"limits": {"memory": "2147M"}}}}}},
            "pods.resources.evaluate: limits.memory",
        ),
        ({"operator": {"resources": {"limits": {"cpu": 0.04}}}}, "operator.resources: limits.cpu"),
        ({"objectStore": {"enabled": True, "credentialsSecret": "s3"}}, "images.objectStore.repository: set the"),
        ({"requireDigests": True}, "images.operator.digest: requireDigests is true"),
        ({"alerts": {"enabled": True, "rules": {"AnamnesisTypo": {}}}}, "AnamnesisTypo: no such alert"),
    ],
)
def test_values_that_contradict_are_told_in_a_sentence(values: Json, message: str) -> None:
    with pytest.raises(helm_python.HelmError, match=message):
        render_templates(values)


def images(objects: list[Json]) -> set[str]:
    """The images of all pods, including those of pipelines."""
    specs = [item["spec"] for item in objects if item["kind"] == "Pod"]
    specs += [item["spec"]["template"]["spec"] for item in objects if item["kind"] == "Deployment"]
    containers = [container for spec in specs for container in (*spec["containers"], *spec.get("initContainers", ()))]
    pipelines = yaml.safe_load(find_object(objects, "ConfigMap")["data"]["pods.yaml"])["image"]
    return {container["image"] for container in containers} | {pipelines}


def test_every_image_comes_from_the_registry_of_the_hospital_with_its_digest() -> None:
    digest_value = {"digest": DIGEST}
    store = {"registry": "quay.io", "repository": "s", **digest_value}
    values = {
        "registry": "registry.hospital/mirror",
        "requireDigests": True,
        "images": {"operator": digest_value, "training": digest_value, "objectStore": store},
        "objectStore": {"enabled": True, "credentialsSecret": "s3"},
    }
    assert images(objects_of(values)) == {
        f"registry.hospital/mirror/anamnesis-operator:0.1.0@{DIGEST}",
        f"registry.hospital/mirror/anamnesis-training:0.1.0@{DIGEST}",
        f"registry.hospital/mirror/s@{DIGEST}",
    }


def test_without_rights_of_the_cluster_every_object_is_in_a_namespace() -> None:
    objects = objects_of({**BARE, "watchNamespaces": ["radiology"]})
    assert not {item["kind"] for item in objects} & CLUSTER_WIDE
    assert {item["metadata"]["namespace"] for item in objects} == {"anamnesis", "radiology"}


def test_who_administers_the_cluster_may_install_only_what_is_of_the_cluster() -> None:
    readers = {"admissionReader": {"namespaces": ["radiology", "pathology"]}}
    objects = objects_of({"operator": {"enabled": False}, "rbac": readers})
    assert {item["kind"] for item in objects} == CLUSTER_WIDE
    (binding,) = [item for item in objects if item["kind"] == "ClusterRoleBinding"]
    assert [subject["namespace"] for subject in binding["subjects"]] == ["radiology", "pathology"]


def test_all_namespaces_take_a_cluster_role_and_no_other_way_does() -> None:
    def cluster_role_names(values: Json) -> list[str]:
        objects = objects_of({**values, "people": {"enabled": False}})
        rules = [item for item in objects if item["kind"] == "ClusterRole"]
        return [item["metadata"]["name"] for item in rules if "admission" not in item["metadata"]["name"]]

    assert cluster_role_names({"watchNamespaces": ["*"]}) == ["anamnesis-operator"]
    assert cluster_role_names({}) == cluster_role_names({"watchNamespaces": ["a", "b"]}) == []
    arguments = find_object(objects_of({"watchNamespaces": ["*"]}), "Deployment")["spec"]["template"]["spec"][
        "containers"
    ][0]
    assert "--all-namespaces" in arguments["args"]


def test_definitions_and_policy_stay_and_all_kinds_are_there() -> None:
    objects = objects_of({})
    kept_objects = [
        item for item in objects if item["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"
    ]
    kinds = {item["spec"]["names"]["kind"] for item in kept_objects if item["kind"] == "CustomResourceDefinition"}
    assert kinds == set(KINDS)
    assert {item["kind"] for item in kept_objects} == CLUSTER_WIDE - {"ClusterRoleBinding"}
    people = yaml.safe_load_all((CHART / "files" / "people" / "roles.yaml").read_text())
    roles = [item["metadata"]["name"] for item in kept_objects if item["kind"] == "ClusterRole"]
    assert roles == [role["metadata"]["name"] for role in people], "the right of this operator goes with it"
    assert "anamnesis-approval-cleaner" in roles


def test_the_right_of_other_operators_stays() -> None:
    objects = objects_of({**BARE, "rbac": {"admissionReader": {"create": True, "namespaces": ["radiology"]}}})
    readers = [item for item in objects if "admission" in item["metadata"]["name"]]
    assert {item["kind"] for item in readers} == {"ClusterRole", "ClusterRoleBinding"}
    assert all(item["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep" for item in readers)


def test_a_password_of_the_proxy_is_in_no_manifest(tmp_path: Path) -> None:
    values = {"proxy": {"secretName": "proxy", "direct": ".svc"}}
    (container,) = find_object(objects_of(values), "Deployment")["spec"]["template"]["spec"]["containers"]
    variables = {variable["name"]: variable for variable in container["env"]}
    assert variables["HTTPS_PROXY"]["valueFrom"] == {"secretKeyRef": {"name": "proxy", "key": "HTTPS_PROXY"}}
    assert variables["HTTP_PROXY"]["valueFrom"] == {"secretKeyRef": {"name": "proxy", "key": "HTTP_PROXY"}}
    assert variables["NO_PROXY"]["value"] == ".svc"
    other = {"name": "HTTP_PROXY", "type": "Secret", "secret": {"name": "own", "key": "url"}}
    file = tmp_path / "pods.yaml"
    file.write_text(
        find_object(objects_of({**values, "pipelines": {"pods": {"env": [other]}}}), "ConfigMap")["data"][file.name]
    )
    defaults = load_pod_defaults(file)
    assert defaults.environment == {"NO_PROXY": ".svc"}
    secrets = [(entry.name, entry.secret) for entry in defaults.env]
    assert [(name, secret and (secret.name, secret.key)) for name, secret in secrets] == [
        ("HTTP_PROXY", ("own", "url")),
        ("HTTPS_PROXY", ("proxy", "HTTPS_PROXY")),
    ]
    for field in ("https", "http"):
        with pytest.raises(helm_python.HelmError, match=rf"proxy\.{field}: this URL has a password") as error:
            render_templates({"proxy": {field: "http://user:canary@proxy:3128"}})
        assert "canary" not in str(error.value)


def test_a_variable_of_the_hospital_replaces_that_of_the_chart() -> None:
    values = {
        "trust": {"configMap": "authorities"},
        "operator": {"extraEnv": [{"name": "SSL_CERT_FILE", "value": "/other.crt"}]},
    }
    (container,) = find_object(objects_of(values), "Deployment")["spec"]["template"]["spec"]["containers"]
    texts = [(variable["name"], variable.get("value")) for variable in container["env"]]
    assert texts.count(("SSL_CERT_FILE", "/other.crt")) == 1
    assert len({name for name, _ in texts}) == len(texts)
    assert ("AWS_CA_BUNDLE", "/etc/anamnesis/trust/ca.crt") in texts


def test_only_the_operator_and_named_clients_reach_the_object_store() -> None:
    store = {"enabled": True, "credentialsSecret": "s3"}
    values: Json = {"images": {"objectStore": {"repository": "s", "tag": "1"}}, "objectStore": store}
    spec = find_object(objects_of(values), "NetworkPolicy", "anamnesis-object-store")["spec"]
    assert (set(spec["policyTypes"]), spec.get("egress")) == ({"Ingress", "Egress"}, None)
    (rule,) = spec["ingress"]
    operator, *clients = rule["from"]
    labels = find_object(objects_of(values), "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert operator["podSelector"]["matchLabels"].items() <= labels.items()
    assert clients == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kubeflow"}}}]
    store["networkPolicy"] = {"namespaces": [], "cidrs": ["10.30.0.5/32"]}
    (rule,) = find_object(objects_of(values), "NetworkPolicy", "anamnesis-object-store")["spec"]["ingress"]
    assert rule["from"] == [operator, {"ipBlock": {"cidr": "10.30.0.5/32"}}]
    store["networkPolicy"] = {"enabled": False}
    assert "NetworkPolicy" not in {item["kind"] for item in objects_of(values)}


def test_pods_of_pipelines_get_what_values_say(tmp_path: Path) -> None:
    pods = find_object(objects_of(profiles()["gpu-cluster"]), "ConfigMap")["data"]["pods.yaml"]
    (tmp_path / "pods.yaml").write_text(pods)
    defaults = load_pod_defaults(tmp_path / "pods.yaml")
    assert defaults.image == f"registry.hospital.example/anamnesis-training:0.1.0@sha256:{'2' * 64}"
    assert (defaults.gpus, defaults.queue_name, defaults.shared_memory) == (1, "imaging", "2Gi")
    assert [secret.name for secret in defaults.image_pull_secrets] == ["mirror"]
    assert {entry.step: (entry.requests.cpu, entry.limits.memory) for entry in defaults.resources} == {
        "Ingest": ("500m", "4Gi"),
        "Train": ("8", "64Gi"),
        "Evaluate": ("500m", "8Gi"),
        "Decide": ("100m", "2Gi"),
    }
    assert [(term.weight, term.match_expressions[0].operator) for term in defaults.node_affinity] == [(50, "In")]
    assert [variable.name for variable in defaults.env] == ["HTTPS_PROXY"]
    assert defaults.environment["HTTPS_PROXY"] == "http://proxy.hospital.example:3128"
    assert defaults.trust is not None
    assert (defaults.trust.secret, defaults.trust.key) == ("hospital-authorities", "ca.crt")


def test_an_amount_of_null_and_an_empty_step_are_left_out(tmp_path: Path) -> None:
    nothing = {"cpu": None, "memory": None}
    resources = {"train": {"limits": nothing}, "decide": {"requests": nothing, "limits": nothing}}
    values: Json = {"pipelines": {"pods": {"resources": resources}}}
    (tmp_path / "pods.yaml").write_text(find_object(objects_of(values), "ConfigMap")["data"]["pods.yaml"])
    amounts = {entry.step: entry for entry in load_pod_defaults(tmp_path / "pods.yaml").resources}
    assert set(amounts) == {"Ingest", "Train", "Evaluate"}
    assert (amounts["Train"].requests.memory, amounts["Train"].limits.memory) == ("2Gi", None)


def test_the_signing_key_is_a_file_that_only_the_operator_reads() -> None:
    pod = find_object(objects_of(profiles()["gpu-cluster"]), "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert "--signing-key=/etc/anamnesis/signing/key" in container["args"]
    (mount,) = [mount for mount in container["volumeMounts"] if mount["name"] == "signing"]
    assert (mount["mountPath"], mount["readOnly"]) == ("/etc/anamnesis/signing", True)
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "signing"]
    assert volume["secret"] == {"secretName": "anamnesis-signing", "defaultMode": 0o440}
    without_key = find_object(objects_of(profiles()["default"]), "Deployment")["spec"]["template"]["spec"]
    assert not any("signing" in argument for argument in without_key["containers"][0]["args"])


def test_one_machine_fits_into_two_gigabytes() -> None:
    units = {"Mi": 1, "Gi": 1024}
    total = 0
    for item in objects_of(profiles()["single-node"]):
        if item["kind"] == "Deployment":
            for container in item["spec"]["template"]["spec"]["containers"]:
                limit = container["resources"]["limits"]["memory"]
                total += item["spec"]["replicas"] * int(limit[:-2]) * units[limit[-2:]]
    assert 0 < total <= 2048 - 256, "the operating system and Kubernetes need some"


def test_private_authorities_and_proxy_reach_the_process() -> None:
    spec = find_object(objects_of(profiles()["gpu-cluster"]), "Deployment")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    variables = {variable["name"]: variable.get("value") for variable in container["env"]}
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        assert variables[name].rpartition("/")[0] in mounted
    assert variables["HTTPS_PROXY"]
    assert ".svc" in variables["NO_PROXY"]


def test_nothing_leaves_but_to_what_is_listed() -> None:
    policy = find_object(objects_of(profiles()["gpu-cluster"]), "NetworkPolicy")["spec"]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    assert all(rule["to"] and rule["ports"] for rule in policy["egress"]), "an empty list would mean everywhere"
    blocks = {peer["ipBlock"]["cidr"] for rule in policy["egress"] for peer in rule["to"] if "ipBlock" in peer}
    assert blocks == {"10.0.0.1/32", "10.20.0.0/24", "10.30.0.5/32", "10.40.0.1/32"}


def rules_of(values: Json) -> dict[str, Json]:
    rule_object = find_object(objects_of({"alerts": {"enabled": True, **values}}), "PrometheusRule", "anamnesis")
    rules = [rule for group in rule_object["spec"]["groups"] for rule in group["rules"]]
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
    overrides = {
        name: {"threshold": 3600, "for": "1h", "keepFiringFor": "2h", "severity": "page"},
        "AnamnesisNoLeader": {"enabled": False},
    }
    tuned = rules_of({"rules": overrides, "runbooks": "https://wiki.hospital/anamnesis/"})
    assert set(plain) - set(tuned) == {"AnamnesisNoLeader"}
    literal = tuning[name]["threshold"]
    assert tuned[name]["expr"] == plain[name]["expr"].replace(literal, "3600") != plain[name]["expr"]
    assert (tuned[name]["for"], tuned[name]["keep_firing_for"]) == ("1h", "2h")
    assert tuned[name]["labels"]["severity"] == "page"
    assert tuned[name]["annotations"]["runbook_url"] == f"https://wiki.hospital/anamnesis/{name}.md"
    all_tuned = rules_of({"rules": {alert: {"threshold": "987654"} for alert in tuning}})
    for alert, entry in tuning.items():
        assert all_tuned[alert]["expr"] == plain[alert]["expr"].replace(entry["threshold"], "987654")
        assert all_tuned[alert]["expr"].count("987654") == 1
    with pytest.raises(helm_python.HelmError, match="this alert has no threshold of its own"):
        rules_of({"rules": {"AnamnesisNoLeader": {"threshold": 1}}})


def test_dashboards_are_found_by_grafana() -> None:
    config_maps = [
        item for item in objects_of({"dashboards": {"enabled": True}}) if "dashboard" in item["metadata"]["name"]
    ]
    committed = list((CHART / "files" / "dashboards").glob("*.json"))
    assert len(config_maps) == len(committed)
    for config_map in config_maps:
        assert config_map["metadata"]["labels"]["grafana_dashboard"] == "1"
        ((name, text),) = config_map["data"].items()
        assert json.loads(text) == json.loads((CHART / "files" / "dashboards" / name).read_text())


def test_a_panel_leads_to_the_pages_where_the_hospital_keeps_them() -> None:
    values = {"dashboards": {"enabled": True}, "alerts": {"runbooks": "https://wiki.hospital/anamnesis/"}}
    text = find_object(objects_of(values), "ConfigMap", "anamnesis-dashboard-fleet")["data"]["fleet.json"]
    assert '"https://wiki.hospital/anamnesis/${__value.text}.md"' in text
    assert "anamnesis.example" not in text


def test_a_value_without_a_comment_is_an_error() -> None:
    assert list(documented_values("# About a.\na: 1\nb:\n  # About c.\n  c: {d: 1}\n")) == [
        ("a", "1", "About a."),
        ("b.c", '{"d": 1}', "About c."),
    ]
    with pytest.raises(ValueError, match=r"b\.c has no comment"):
        list(documented_values("# About a.\na: 1\nb:\n  c: 1\n"))
    with pytest.raises(ValueError, match=r"b and a value in it both have a comment"):
        list(documented_values("# About b.\nb:\n  # About c.\n  c: 1\n"))
