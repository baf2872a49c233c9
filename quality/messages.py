"""Writes ``docs/messages.md``: every condition, alert and error message: ``python -m quality.messages``.

A message is a template with named placeholders, taken from the code, so that a person can read all of them in one
sitting. With ``--check`` nothing is written, and it fails where the page differs from the code.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from anamnesis.generated import write_or_check
from quality.source import ROOT, PythonFile, python_files
from quality.templates import assignments, placeholder, templates

PAGE = ROOT / "docs" / "messages.md"
SOURCES = ("anamnesis/", "components/", "pipelines/")
HEAD = """# Messages

<!-- Written by `python -m quality.messages`; do not edit. -->

Everything that Anamnesis says to people: conditions and states on resources, alerts, errors. Words in braces are filled
in. Every change of a condition is also an event with the same reason and message.
"""


@dataclass(frozen=True, slots=True, order=True)
class Message:
    """One message.

    Attributes:
        path: of the file that makes it.
        kind: condition, state or error class; what a reader sees beside it.
        text: the template.
    """

    path: str
    kind: str
    text: str


def errors(file: PythonFile) -> Iterator[Message]:
    """Yields the messages of the errors that a file raises."""
    for function, node in _nodes(file.tree):
        call = node.exc if isinstance(node, ast.Raise) else None
        if isinstance(call, ast.Call) and placeholder(call.func).endswith("Error") and call.args:
            for text in templates(call.args[0], assignments(function)):
                yield Message(file.path, placeholder(call.func), text)


def states(file: PythonFile, positions: dict[str, int]) -> Iterator[Message]:
    """Yields the messages that a file gives to whatever has a parameter ``message``: conditions and planned states."""
    for function, node in _nodes(file.tree):
        if not isinstance(node, ast.Call) or (name := placeholder(node.func).rpartition(".")[2]) not in positions:
            continue
        message = next((word.value for word in node.keywords if word.arg == "message"), None)
        if message is None and len(node.args) > positions[name]:
            message = node.args[positions[name]]
        if message is not None:
            for text in templates(message, assignments(function)):
                yield Message(file.path, _kind(node, message), text)


def message_positions() -> dict[str, int]:
    """Returns function or data class -> position of its parameter ``message``."""
    positions = {}
    for file in python_files():
        if not file.path.startswith("anamnesis/operator/"):
            continue
        for node in ast.walk(file.tree):
            names: list[str] = []
            if isinstance(node, ast.FunctionDef):
                names = [argument.arg for argument in node.args.args if argument.arg not in ("self", "cls")]
            elif isinstance(node, ast.ClassDef):
                fields = [line.target for line in node.body if isinstance(line, ast.AnnAssign)]
                names = [field.id for field in fields if isinstance(field, ast.Name)]
            if "message" in names:
                positions[node.name] = names.index("message")  # type: ignore[attr-defined]
    return positions


def alerts() -> Iterator[Message]:
    """Yields summary and description of every alert."""
    for path in sorted((ROOT / "manifests" / "alerts").glob("*.yaml")):
        for group in yaml.safe_load(path.read_text(encoding="utf-8")).get("groups", []):
            for rule in group["rules"]:
                for field in ("summary", "description"):
                    if text := rule.get("annotations", {}).get(field):
                        yield Message(path.relative_to(ROOT).as_posix(), rule["alert"], " ".join(text.split()))


def page() -> str:
    """Returns the page."""
    files = [file for file in python_files() if file.path.startswith(SOURCES)]
    positions = message_positions()
    operator = [file for file in files if file.path.startswith(("anamnesis/operator/", "anamnesis/local/"))]
    conditions = _readable(message for file in operator for message in states(file, positions))
    raised = _readable(message for file in files for message in errors(file))
    sections = [
        _section("Conditions and states", conditions),
        _section("Alerts", list(alerts())),
        _section("Errors", raised),
    ]
    return "\n".join([HEAD, *sections])


def main(check: bool) -> int:
    """Writes the page, or only checks it; returns the exit code."""
    return write_or_check({PAGE: page()}, "quality.messages", check)


def _nodes(tree: ast.Module) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Yields every node with the outermost function that it is in, or the module."""
    for top in ast.walk(tree):
        if isinstance(top, ast.Module | ast.ClassDef):
            for child in top.body:
                if isinstance(child, ast.FunctionDef):
                    yield from ((child, node) for node in ast.walk(child))


def _kind(call: ast.Call, message: ast.expr) -> str:
    """What stands beside a message: condition type and reason, or the state."""
    words = [argument for argument in call.args if argument is not message]
    parts = [
        argument.value for argument in words if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]
    parts += [argument.attr for argument in words if isinstance(argument, ast.Attribute) and argument.attr.isupper()]
    return " ".join(parts) or placeholder(call.func)


def _readable(messages: Iterator[Message]) -> list[Message]:
    """Returns the messages that have words of their own, each once."""
    return sorted({message for message in messages if any(c.isalpha() for c in _without_placeholders(message.text))})


def _without_placeholders(text: str) -> str:
    while "{" in text and "}" in text[text.index("{") :]:
        start = text.index("{")
        text = text[:start] + text[text.index("}", start) + 1 :]
    return text


def _section(title: str, messages: list[Message]) -> str:
    lines = [f"## {title}", ""]
    for path in dict.fromkeys(message.path for message in messages):
        lines += [f"### {path}", "", "| | message |", "|---|---|"]
        lines += [f"| {m.kind} | {_escaped(m.text)} |" for m in messages if m.path == path]
        lines.append("")
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
