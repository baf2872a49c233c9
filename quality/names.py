"""Banned variable names, and class names with two definitions."""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator

from quality.source import PythonFile

BANNED = frozenset(
    ("found", "one", "wanted", "known", "said", "told", "asked", "again", "others", "kept", "given", "seen", "them")
)
"""Pronouns and participles: such a name does not say what the variable holds."""


def banned_names(files: Iterable[PythonFile]) -> Iterator[str]:
    """Yields the bindings of banned names: ``path:line: name``."""
    for file in files:
        for line, name in sorted(set(_bindings(file.tree))):
            if name.strip("_") in BANNED:
                yield f"{file.path}:{line}: {name!r} does not say what it holds; name the content"


def repeated_classes(files: Iterable[PythonFile]) -> Iterator[str]:
    """Yields the class names with two or more definitions, with their places."""
    places = defaultdict(list)
    for file in files:
        for node in ast.walk(file.tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{file.path}:{node.lineno}")
    for name, definitions in sorted(places.items()):
        if len(definitions) > 1:
            yield f"class {name} is defined {len(definitions)} times: {', '.join(definitions)}; rename all but one"


def _bindings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.ExceptHandler(name=str(name)):
                yield node.lineno, name
            case ast.MatchMapping(rest=str(name)):
                yield node.lineno, name
            case ast.alias(asname=str(name)):
                yield node.lineno, name
