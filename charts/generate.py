"""Writes what the chart copies or says twice: ``python -m charts.generate``.

Helm reads no file outside of the chart, so definitions, admission policy, roles for people, alerts and dashboards are
copied from ``manifests`` to ``charts/anamnesis/files``. ``README.md`` of the chart lists the values with their
comments. With ``--check`` nothing is written, and it fails where a file differs.
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
KEPT_FOLDERS = ("crds", "admission")
"""What stays when a release goes."""

README_HEAD = """# anamnesis

Installs the operator that keeps medical-imaging models learning as data arrives. What it does: `docs/operator.md`.

    helm install anamnesis charts/anamnesis --namespace anamnesis --create-namespace

`ci/` has two sets of values to begin with: `single-node-values.yaml` (one small machine, no Kubeflow) and
`gpu-cluster-values.yaml` (Kubeflow Pipelines, Kueue, a mirror, proxy, private authorities, Prometheus operator).

- **Names** do not follow the release's: there is one operator in a namespace, `anamnesis-operator`.
- **Without rights of the whole cluster**: who administers it installs once, with `operator.enabled=false` and
  `rbac.admissionReader.namespaces` set. You install with `crds.enabled`, `people.enabled` and
  `rbac.admissionReader.create` false: nothing that is rendered then lies outside of `watchNamespaces` and the release's
  own namespace.
- **Upgrade** by `helm upgrade`: definitions go along, as they are templates.
- **Uninstall** leaves definitions, admission policy, resources and volumes. A new release under another name or in
  another namespace takes them over with `--take-ownership`.
- **Images** are `registry/repository:tag@digest`; `registry` replaces the registry of each.

## Values

| value | default | what it says |
|---|---|---|
"""


def outputs() -> dict[Path, str]:
    """Returns file -> text of all that is written."""
    files = {CHART / "README.md": render_readme((CHART / "values.yaml").read_text(encoding="utf-8"))}
    for folder, pattern in COPIED_MANIFESTS.items():
        for source in sorted((ROOT / "manifests" / folder).glob(pattern)):
            text = source.read_text(encoding="utf-8")
            files[CHART / "files" / folder / source.name] = _add_keep_policy(text) if folder in KEPT_FOLDERS else text
    return files


def _add_keep_policy(text: str) -> str:
    """Returns the documents of a manifest with the annotation by which Helm leaves them where they are."""
    line = "  annotations:\n    helm.sh/resource-policy: keep\n"
    documents = list(yaml.safe_load_all(text))
    if any("annotations" in document["metadata"] for document in documents):
        raise ValueError("a definition has annotations already")
    return text.replace("\nmetadata:\n", f"\nmetadata:\n{line}", len(documents))


def render_readme(values: str) -> str:
    """Returns the page of the chart."""
    return README_HEAD + "".join(
        f"| `{path}` | `{default}` | {text} |\n" for path, default, text in documented_values(values)
    )


def documented_values(values: str) -> Iterator[tuple[str, str, str]]:
    """Yields path, default and comment of each value; one without a comment is an error.

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
                raise ValueError(f"values.yaml: {'.'.join(path)} has a comment, and so has a value in it")
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
                raise ValueError(f"values.yaml: {'.'.join(path)} has no comment")
            comment = []


def _value_at(values: Any, path: list[str]) -> Any:
    for name in path:
        values = values[name]
    return values


def main(check: bool) -> int:
    """Writes the files, or with ``check`` only says which are not as they should be; returns the exit code."""
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
