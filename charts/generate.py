"""Writes the chart's copies of manifests and its ``README.md``: ``python -m charts.generate``.

Helm reads no file outside the chart, so definitions, admission policy, roles for people, alerts and dashboards are
copied from ``manifests`` to ``charts/anamnesis/files``. The chart's ``README.md`` lists the values with their comments.
With ``--check`` it writes nothing and fails where a file differs.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "charts" / "anamnesis"
COPIED_MANIFESTS = {
    "crds": "*s.yaml",
    "admission": "approvals.yaml",
    "people": "roles.yaml",
    "alerts": "*.yaml",
    "dashboards": "*.json",
}
KEPT_FOLDERS = ("crds", "admission", "people")
"""Folders of resources that stay after an uninstall."""

README_HEAD = """# anamnesis

Installs the operator that keeps medical-imaging models learning as data arrives. `docs/operator.md` describes it.

    helm install anamnesis charts/anamnesis --namespace anamnesis --create-namespace

`ci/` has three sets of values to start from: `single-node-values.yaml` (one small machine, no Kubeflow),
`gpu-cluster-values.yaml` (Kubeflow Pipelines, Kueue, a mirror, a proxy, private certificate authorities, the Prometheus
operator) and `shared-cluster-values.yaml` (own names and labels, quotas, NFS, a proxy that requires a password).

- **Names** are independent of the release's name: the operator's objects are `anamnesis-operator`. A second release in
  the same namespace needs `fullnameOverride`, `watchNamespaces`, and `crds.enabled` and `people.enabled` set to false.
  Helm refuses a second release that watches the same namespace: the operator's Role there has the same name always.
- **Metrics**: the Service answers with the leader's, at every replica. Port 8080 of each pod, `health`, has those of
  the pod: a standby exports no series of models and sites.
- **Without cluster-wide rights**: a cluster administrator installs the chart once, with `operator.enabled=false` and
  `rbac.admissionReader.namespaces`. Then install it with `crds.enabled`, `people.enabled` and
  `rbac.admissionReader.create` set to false: all resources are then in `watchNamespaces` and the release's namespace.
- **Upgrade** with `helm upgrade`: it upgrades the custom resource definitions too, because they are templates.
- **Uninstall** keeps definitions, admission policy, roles of people, custom resources and volumes. A release of the
  same name and namespace takes them over by itself, another with `--take-ownership`.
- **Images** are `registry/repository:tag@digest`; `registry` replaces the registry of each.

## Values

| Value | Default | Meaning |
|---|---|---|
"""


def outputs() -> dict[Path, str]:
    """Returns file -> text of all generated files."""
    files = {CHART / "README.md": render_readme((CHART / "values.yaml").read_text(encoding="utf-8"))}
    for folder, pattern in COPIED_MANIFESTS.items():
        for source in sorted((ROOT / "manifests" / folder).glob(pattern)):
            text = source.read_text(encoding="utf-8")
            files[CHART / "files" / folder / source.name] = _add_keep_policy(text) if folder in KEPT_FOLDERS else text
    return files


def _add_keep_policy(text: str) -> str:
    """Returns the documents of a manifest with the annotation that makes Helm keep them after an uninstall.

    Definitions and policy get a label too: the chart adds ``commonLabels`` below the labels of each document.
    """
    line = "  annotations:\n    helm.sh/resource-policy: keep\n"
    documents = list(yaml.safe_load_all(text))
    if any("annotations" in document["metadata"] for document in documents):
        raise ValueError("a definition has annotations already: merge helm.sh/resource-policy into them")
    if not any("labels" in document["metadata"] for document in documents):
        line += "  labels:\n    app.kubernetes.io/part-of: anamnesis\n"
    return text.replace("\nmetadata:\n", f"\nmetadata:\n{line}", len(documents))


def render_readme(values: str) -> str:
    """Returns the README of the chart."""
    return README_HEAD + "".join(
        f"| `{path}` | `{default}` | {text} |\n" for path, default, text in documented_values(values)
    )


def documented_values(values: str) -> Iterator[tuple[str, str, str]]:
    """Yields path, default and comment of each value.

    Raises:
        ValueError: a value has no comment, or two.
    """
    path: list[str] = []
    comment: list[str] = []
    covered_depth = 0
    for line in values.splitlines():
        text, depth = line.strip(), (len(line) - len(line.lstrip())) // 2
        if text.startswith("#"):
            if covered_depth and depth >= covered_depth:
                raise ValueError(f"values.yaml: {'.'.join(path)} and a value in it both have a comment; remove one")
            comment.append(text.lstrip("# "))
        elif not text:
            comment = []
        elif not covered_depth or depth < covered_depth:
            path = [*path[:depth], text.partition(":")[0]]
            value = _value_at(yaml.safe_load(values), path)
            covered_depth = depth + 1 if comment else 0
            if comment:
                yield ".".join(path), json.dumps(value), " ".join(comment).replace("|", "\\|")
            elif not isinstance(value, Mapping) or not value:
                raise ValueError(f"values.yaml: {'.'.join(path)} has no comment; add one above it")
            comment = []


def _value_at(values: Any, path: list[str]) -> Any:
    for name in path:
        values = values[name]
    return values


def main(check: bool) -> int:
    """Writes the files, or with ``check`` only names those that differ; returns the exit code."""
    expected_files = outputs()
    existing_files = {file for file in (CHART / "files").rglob("*") if file.is_file()}
    stale_files = sorted(
        {file for file, text in expected_files.items() if not file.exists() or file.read_text(encoding="utf-8") != text}
        | (existing_files - set(expected_files))
    )
    for file in stale_files:
        if check:
            print(f"{file} is stale: run python -m charts.generate", file=sys.stderr)
        elif file in expected_files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(expected_files[file], encoding="utf-8")
        else:
            file.unlink()
    return int(check and bool(stale_files))


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
