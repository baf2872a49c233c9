"""Collects the messages of the code and of the alerts, as templates with named placeholders."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import PurePath

import yaml

from quality.places import places
from quality.source import ROOT, PythonFile, python_files
from quality.templates import Texts, placeholder, templates


@dataclass(frozen=True, slots=True, order=True)
class Message:
    """One message.

    Attributes:
        path: of its file.
        kind: condition, state or error class; a reader sees it beside the message.
        text: the template.
    """

    path: str
    kind: str
    text: str

    def has_words(self) -> bool:
        """Whether the template is more than placeholders."""
        return _has_words(self.text)


def errors(file: PythonFile) -> Iterator[Message]:
    """Yields the messages of the errors that a file makes."""
    for call, texts in _calls(file):
        if _is_error(call):
            for argument in call.args:
                for text in templates(argument, texts):
                    yield Message(file.path, _kind(call, argument, placeholder(call.func)), text)


def states(file: PythonFile, positions: dict[str, int]) -> Iterator[Message]:
    """Yields the messages of conditions and planned states: every argument for a parameter ``message``."""
    for call, texts in _calls(file):
        name = placeholder(call.func).rpartition(".")[2]
        if name not in positions:
            continue
        message = next((keyword.value for keyword in call.keywords if keyword.arg == "message"), None)
        if message is None and len(call.args) > positions[name]:
            message = call.args[positions[name]]
        if message is not None:
            for text in templates(message, texts):
                yield Message(file.path, _kind(call, message) or placeholder(call.func), text)


def reasons(file: PythonFile) -> Iterator[Message]:
    """Yields the values of enumerations that are sentences."""
    for node in ast.walk(file.tree):
        if isinstance(node, ast.ClassDef) and any(placeholder(base) == "StrEnum" for base in node.bases):
            for line in node.body:
                match line:
                    case ast.Assign(value=ast.Constant(value=str(text))) if " " in text:
                        yield Message(file.path, node.name, text)


def raise_statements(file: PythonFile) -> Iterator[tuple[ast.Raise, bool]]:
    """Yields the raise statements of new errors, each with whether it has a text of its own."""
    for node, texts in places(file.tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and _is_error(node.exc):
            arguments = [text for argument in node.exc.args for text in templates(argument, texts)]
            yield node, any(map(_has_words, arguments)) or _names_reason(node.exc)


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
    """Yields every alert once, with summary and description."""
    for path in sorted((ROOT / "manifests" / "alerts").glob("*.yaml")):
        for group in yaml.safe_load(path.read_text(encoding="utf-8")).get("groups", []):
            for rule in group["rules"]:
                annotations = rule["annotations"]
                text = f"{annotations['summary']}. {annotations['description']}"
                yield Message(path.relative_to(ROOT).as_posix(), rule["alert"], " ".join(text.split()))


def _calls(file: PythonFile) -> Iterator[tuple[ast.Call, Texts]]:
    for node, texts in places(file.tree):
        yield from ((part, texts) for part in ast.walk(node) if isinstance(part, ast.Call))


def _is_error(call: ast.Call) -> bool:
    name = placeholder(call.func).rpartition(".")[2]
    return name.endswith("Error") and name[0].isupper()


def _names_reason(call: ast.Call) -> bool:
    return any(isinstance(argument, ast.Attribute) and argument.attr.isupper() for argument in call.args)


def _kind(call: ast.Call, message: ast.expr, *prefix: str) -> str:
    """Returns the words that a reader sees beside a message: condition type and reason, state or error class."""
    parts = list(prefix)
    for argument in call.args:
        if argument is not message and isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            parts.append(argument.value)
        elif argument is not message and isinstance(argument, ast.Attribute) and argument.attr.isupper():
            parts.append(_constants().get(placeholder(argument), argument.attr))
    return " ".join(parts)


@cache
def _constants() -> dict[str, str]:
    """Returns ``module.NAME`` or ``Enumeration.NAME`` -> text, for texts of one word."""
    values = {}
    for file in python_files():
        scopes = [(PurePath(file.path).stem, file.tree.body)]
        scopes += [(node.name, node.body) for node in file.tree.body if isinstance(node, ast.ClassDef)]
        for owner, body in scopes:
            for line in body:
                match line:
                    case (
                        ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text)))
                        | ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=str(text)))
                    ) if name.isupper() and " " not in text:
                        values[f"{owner}.{name}"] = text
    return values


def _has_words(text: str) -> bool:
    return any(character.isalpha() for character in re.sub(r"{[^{}]*}", "", text))
