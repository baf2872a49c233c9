"""Writes ``manifests/crds`` and ``manifests/admission``: ``python -m anamnesis.operator.api.write_manifests``.

With ``--check`` it writes nothing and fails if a file differs.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from anamnesis.generated import write_or_check
from anamnesis.operator.api.admission import BINDING, POLICY
from anamnesis.operator.api.resource_definitions import RESOURCE_DEFINITIONS

FILE_HEADER = "# Generated from anamnesis/operator/api by `make generate`. Do not edit.\n"


def render_manifests() -> Mapping[str, str]:
    """Returns path below ``manifests`` -> text."""
    crds = {f"crds/{definition.plural}.yaml": _to_yaml(definition.to_manifest()) for definition in RESOURCE_DEFINITIONS}
    return crds | {"admission/approvals.yaml": _to_yaml(POLICY, BINDING)}


def _to_yaml(*documents: Mapping[str, Any]) -> str:
    text = yaml.dump_all(documents, Dumper=_NoAliasDumper, sort_keys=False, width=120, allow_unicode=True)
    return FILE_HEADER + text


class _NoAliasDumper(yaml.SafeDumper):
    """Writes repeated parts in full, because anchors make a manifest hard to read."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def main(check: bool) -> int:
    """Writes the files or, with ``check``, reports those that are stale; returns the exit code."""
    folder = Path(__file__).parents[3] / "manifests"
    files = {folder / name: text for name, text in render_manifests().items()}
    return write_or_check(files, "anamnesis.operator.api.write_manifests", check)


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
