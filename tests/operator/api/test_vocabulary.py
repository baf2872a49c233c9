"""Condition types and reasons come from one place: no string literal names one where a condition is written or read."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from anamnesis.operator.api import condition_types, reasons
from anamnesis.operator.api.string_types import REASON_PATTERN

ROOT = Path(__file__).resolve().parents[3] / "anamnesis"
NAMING_ARGUMENTS = {
    "make_condition": {0: "condition_type", 2: "reason"},
    "condition": {0: "condition_type"},
    "is_true": {0: "condition_type"},
    "report_invalid": {3: "condition_type"},
    "_condition_path": {0: "condition_type"},
}


def literal_names(source: str) -> Iterator[str]:
    """Yields ``line: literal`` for each string literal in an argument that names a condition type or a reason."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            arguments = NAMING_ARGUMENTS.get(function, {})
            named = [value for index, value in enumerate(node.args) if index in arguments]
            named += [keyword.value for keyword in node.keywords if keyword.arg in arguments.values()]
            for value in named:
                for part in ast.walk(value):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        yield f"{part.lineno}: {part.value!r}"


def test_no_code_spells_out_a_condition_type_or_a_reason() -> None:
    literals = [
        f"{file.relative_to(ROOT)}:{literal}"
        for file in sorted(ROOT.rglob("*.py"))
        for literal in literal_names(file.read_text(encoding="utf-8"))
    ]
    assert literals == []


@pytest.mark.parametrize(
    "source",
    [
        "make_condition('Ready', True, reasons.IDLE, 'text')",
        "make_condition(READY, True, 'Idle' if idle else reasons.REACHABLE, 'text')",
        "make_condition(READY, True, reason='Idle')",
        "status.is_true('Ready')",
    ],
)
def test_a_literal_is_seen(source: str) -> None:
    assert len(list(literal_names(source))) == 1


@pytest.mark.parametrize("module", [condition_types, reasons])
def test_words_are_unique_and_fit_their_field(module: object) -> None:
    words = [value for name, value in vars(module).items() if name.isupper()]
    assert len(words) == len(set(words))
    assert [word for word in words if not re.fullmatch(REASON_PATTERN, word)] == []
