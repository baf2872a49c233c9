"""Which words may not stand in what people read: pages, messages, help, docstrings and comments."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator

from quality.source import ROOT, PythonFile, python_files, tracked_files

PLAIN = {
    r"\banew\b": "again",
    r"\bwhoever\b": "the person who, anybody who",
    r"\bwhosoever\b|\bwhichever\b": "the one that",
    r"\blies\b|\blie\b": "is, is stored, is in",
    r"\bbears?\b|\bborne\b": "has",
    r"\btold\b|\btells\b|\btell\b": "reported, says, shows",
    r"\bthereof\b|\bhereby\b|\bwherein\b|\bthereby\b": "a plain sentence",
    r"\bbrings? (it|them|one|a \w+|\w+) in order\b|\bbring\w* \w+ in order\b": "reconcile",
    r"\bput aside\b": "quarantined",
    r"\bat hand\b": "current, available",
    r"\bwhat is the case\b": "the state",
    r"\bstands? (twice|there|in the|beside)\b": "is",
    r"\bgets? on\b": "continues",
}
"""Pattern -> a plain word for it."""

_PROSE = (".md", ".j2")
_SKIPPED = ("docs/renames.tsv", "quality/words.py", "LICENSE")


def banned_words() -> Iterator[str]:
    """Yields where a banned word is: ``path:line: word``."""
    for path in tracked_files(*_PROSE):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(_SKIPPED):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                yield from _in(name, number, line)
    for file in python_files():
        if not file.path.startswith(_SKIPPED):
            yield from _in_source(file)


def _in_source(file: PythonFile) -> Iterator[str]:
    """Comments, docstrings and strings of code; in tests comments and docstrings alone."""
    for token in tokenize.generate_tokens(io.StringIO(file.text).readline):
        if token.type == tokenize.COMMENT:
            yield from _in(file.path, token.start[0], token.string)
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for offset, line in enumerate(node.value.splitlines()):
                yield from _in(file.path, node.lineno + offset, line)


def _in(path: str, number: int, line: str) -> Iterator[str]:
    for pattern, plain in PLAIN.items():
        for match in re.finditer(pattern, line, re.IGNORECASE):
            yield f"{path}:{number}: {match[0]!r}; write plainly: {plain}"
