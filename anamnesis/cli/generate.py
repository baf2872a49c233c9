"""Writes ``operator/api/methods.json`` from the methods' options: ``python -m anamnesis.cli.generate``.

With ``--check`` it writes nothing and fails where the file differs.
"""

import json
import sys
from pathlib import Path

from anamnesis.generated import write_or_check
from anamnesis.operator.api.option_schemas import options_schema
from anamnesis.records import encode


def methods_json() -> str:
    """Returns the text of ``methods.json``."""
    from anamnesis.methods import registered_methods

    entries = []
    for name, method_class in registered_methods(include_research=False).items():
        entries.append({
            "method": name,
            "name": method_class.__name__,
            "summary": (method_class.__doc__ or "").strip().splitlines()[0],
            "earlier_data": method_class.capabilities.opens_earlier_data,
            "task_types": sorted(method_class.capabilities.task_types),
            "several_modalities": method_class.capabilities.several_modalities,
            "stores_exemplars": method_class.capabilities.stores_exemplars,
            "options": options_schema(method_class.options_class),
            "rules": [encode(rule) for rule in getattr(method_class.options_class, "rules", ())],
        })  # fmt: skip
    return json.dumps(entries, indent=2) + "\n"


def main(check: bool) -> int:
    """Writes the file, or with ``check`` only compares it; returns the exit code."""
    output_file = Path(__file__).parents[1] / "operator" / "api" / "methods.json"
    return write_or_check({output_file: methods_json()}, "anamnesis.cli.generate", check)


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
