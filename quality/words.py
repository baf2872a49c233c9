"""Banned words in the text that people read: pages, messages, help, docstrings and comments."""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator

from quality.source import PythonFile, TextFile

PLAIN = {
    r"\banew\b": "again",
    r"\bwhoever\b|\bwhosoever\b": "the person who, anybody who",
    r"\bwhichever\b": "the one that",
    r"\blies\b|\blie\b": "is, is stored, is in",
    r"\bbears?\b|\bborne\b": "has",
    r"\btold\b|\btells\b|\btell\b": "reported, says, shows",
    r"\bthereof\b|\bhereby\b|\bwherein\b|\bthereby\b|\bherein\b|\btherein\b": "a plain sentence",
    r"\bthereafter\b|\bthereupon\b|\bwhereupon\b|\bhenceforth\b": "then",
    r"\bhitherto\b": "so far",
    r"\bamongst\b|\bwhilst\b|\bunto\b|\bupon\b": "among, while, to, on",
    r"\bseldom\b": "rarely",
    r"\bnought\b|\bnaught\b|\bin vain\b": "nothing, without success",
    r"\bshall\b": "will, must",
    r"\bstood\b": "was",
    r"\bstands? (twice|there|in(?! for)|beside|at|on|below|above|under|with|as|where|now|guard)\b": "is",
    r"\bbrings? (it|them|one|a \w+|\w+) in order\b|\bbring\w* \w+ in order\b": "reconcile",
    r"\bput aside\b": "quarantined",
    r"\bput\w* (\w+ ){1,2}right\b(?! \w*hand)": "fix, format",
    r"\bat hand\b": "current, available",
    r"\bwhat is the case\b": "the state",
    r"\bgets? on\b": "continues",
    r"\bbecame of\b": "the result of",
    r"\b(let|lets|letting) go of\b": "release",
    r"\bof which (nothing|none)\b": "a sentence of its own",
    r"\bone can\b": "you can, a person can",
    r"\bsays? not\b": "does not say",
    r"\bwithout a word\b": "silently, without a message",
    r"\bby way of\b": "through",
    r"\bis not there yet\b": "is not supported yet, does not exist yet",
    r"(?<!are )\ball the same\b": "anyway, still",
    r"(?<!there )\b(is|are) no (?!longer\b|more than\b|worse\b|better\b|other\b|one\b)\w+": "is not a",
    r"\b(person's|gate's|its|their|his) word\b|\bword counts\b": "decision, approval, request",
    r"\boccasions?\b": "trigger",
    r"\bmisfits?\b": "quarantine reason",
    r"\bin order to\b|\bis in order\b|\bare in order\b": "to; correct",
}
"""Pattern -> a plain word for it."""

_SKIPPED = ("quality/words.py", "quality/names.py", "tests/quality/")
"""The lists of banned words, and their tests."""

_LONGEST_LINE = 120
_UNBREAKABLE = re.compile(r"^ {4}|https?://")


def banned_words(files: Iterable[PythonFile], pages: Iterable[TextFile]) -> Iterator[str]:
    """Yields the places of banned words: ``path:line: word``.

    Args:
        files: comments, docstrings and all other strings are checked.
        pages: every line is checked.
    """
    for page in pages:
        for number, line in enumerate(page.text.splitlines(), 1):
            yield from _findings(page.path, number, line)
    for file in files:
        if not file.path.startswith(_SKIPPED):
            for number, line in sorted(set(_prose(file))):
                yield from _findings(file.path, number, line)


def _prose(file: PythonFile) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(file.text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from ((node.lineno + offset, line) for offset, line in enumerate(node.value.splitlines()))


def _findings(path: str, number: int, line: str) -> Iterator[str]:
    for pattern, plain in PLAIN.items():
        for match in re.finditer(pattern, line, re.IGNORECASE):
            yield f"{path}:{number}: {match[0]!r}; write plainly: {plain}"


def long_lines(pages: Iterable[TextFile]) -> Iterator[str]:
    """Yields the lines of Markdown pages that are too long to read: not tables, code or addresses."""
    for page in pages:
        if page.path.endswith(".md"):
            for number, line in enumerate(page.text.splitlines(), 1):
                if len(line) > _LONGEST_LINE and not line.lstrip().startswith("|") and not _UNBREAKABLE.search(line):
                    yield f"{page.path}:{number}: {len(line)} characters; break the line at {_LONGEST_LINE}"
