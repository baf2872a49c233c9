"""Prints results on standard output, as text or one JSON document, and notes on standard error."""

import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence


def print_result(document: object, lines: Iterable[str], as_json: bool) -> None:
    """Prints the result of a command.

    Args:
        document: data classes and plain values for JSON.
        lines: lines of text.
        as_json: print the document, not the lines.
    """
    if as_json:
        from anamnesis.records import encode

        print(json.dumps(encode(document), indent=2, ensure_ascii=False))
    else:
        for line in lines:
            print(_escape_controls(line))


def print_note(text: str) -> None:
    """Prints a line on standard error."""
    print(_escape_controls(text), file=sys.stderr, flush=True)


def _escape_controls(text: str) -> str:
    """Returns text that cannot move the cursor: a registry may hold what a stranger wrote."""
    return "".join(character if _is_harmless(character) else repr(character)[1:-1] for character in text)


def _is_harmless(character: str) -> bool:
    return character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cf")


def format_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Returns lines of aligned columns; numbers are right-aligned."""
    cells = [[_format_cell(value) for value in row] for row in rows]
    widths = [
        max(len(cells_of_row[column]) for cells_of_row in [list(header), *cells]) for column in range(len(header))
    ]
    numeric_columns = [
        bool(rows) and all(isinstance(row[column], int | float | None) for row in rows) for column in range(len(header))
    ]
    return [_format_line(cells_of_row, widths, numeric_columns) for cells_of_row in [list(header), *cells]]


def _format_line(cells: Sequence[str], widths: Sequence[int], numeric_columns: Sequence[bool]) -> str:
    padded = zip(cells, widths, numeric_columns, strict=True)
    return "  ".join(
        cell.rjust(width) if is_numeric else cell.ljust(width) for cell, width, is_numeric in padded
    ).rstrip()


def _format_cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
