"""Which names may not stand in the code, and which class names stand for two things."""

import ast
from collections import defaultdict
from collections.abc import Iterator

from quality.source import PythonFile, python_files

BANNED = frozenset({"found", "one", "wanted", "known", "said", "told", "asked", "again"})
"""Pronouns and participles: such a name does not say what the variable holds."""


def banned_names() -> Iterator[str]:
    """Yields where a banned name is bound: ``path:line: name``."""
    for file in python_files():
        for line, name in sorted(set(_bindings(file))):
            if name in BANNED:
                yield f"{file.path}:{line}: {name!r} does not say what it holds; name the content"


def repeated_classes() -> Iterator[str]:
    """Yields the class names that are defined twice or more, with their places."""
    places = defaultdict(list)
    for file in python_files():
        for node in ast.walk(file.tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{file.path}:{node.lineno}")
    for name, where in sorted(places.items()):
        if len(where) > 1:
            yield f"class {name} is defined {len(where)} times: {', '.join(where)}; give each its own name"


def _bindings(file: PythonFile) -> Iterator[tuple[int, str]]:
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.MatchAs | ast.MatchStar):
            yield node.lineno, node.name or ""
