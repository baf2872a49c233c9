"""Writes ``docs/messages.md``, the page of all conditions, alerts and errors: ``python -m quality.messages``.

A message is a template with named placeholders, taken from the code, so that a person can read all of them in one
sitting. With ``--check`` the program writes nothing, and fails where the page differs from the code.
"""

import sys
from collections.abc import Iterable

from anamnesis.generated import write_or_check
from quality.collect import Message, alerts, errors, message_positions, raise_statements, reasons, states
from quality.source import ROOT, python_files

PAGE = ROOT / "docs" / "messages.md"
SOURCES = ("anamnesis/", "components/", "pipelines/")
HEAD = """# Messages

<!-- Written by `python -m quality.messages`; do not edit. -->

All messages of Anamnesis to people: conditions and states on resources, alerts, errors, reasons. The program fills in
the words in braces. Every change of a condition is also an event with the same reason and message.

{passed_on} of {raised} raise statements pass on the text of another error and are not listed here.
"""


def page() -> str:
    """Returns the page."""
    files = [file for file in python_files() if file.path.startswith(SOURCES)]
    positions = message_positions()
    operator = [file for file in files if file.path.startswith(("anamnesis/operator/", "anamnesis/local/"))]
    has_text = [has_text for file in files for _, has_text in raise_statements(file)]
    sections = [
        _section("Conditions and states", _readable(m for file in operator for m in states(file, positions))),
        _section("Alerts", list(alerts())),
        _section("Errors", _readable(m for file in files for m in errors(file))),
        _section("Reasons", _readable(m for file in files for m in reasons(file))),
    ]
    head = HEAD.format(passed_on=has_text.count(False), raised=len(has_text))
    return "\n".join([head, *sections])


def main(check: bool) -> int:
    """Writes the page, or only checks it; returns the exit code."""
    return write_or_check({PAGE: page()}, "quality.messages", check)


def _readable(messages: Iterable[Message]) -> list[Message]:
    """Returns the messages with words of their own, each once."""
    return sorted({message for message in messages if message.has_words()})


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
