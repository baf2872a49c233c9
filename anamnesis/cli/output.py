"""What commands print: results on standard output, as text or one JSON document; all else on standard error."""

import json
import sys
from collections.abc import Iterable, Sequence


def show(document: object, text: Iterable[str], as_json: bool) -> None:
    """Prints the result of a command.

    Args:
        document: data classes and plain values, for programs.
        text: lines for people.
        as_json: which of the two.
    """
    if as_json:
        from anamnesis.records import encode

        print(json.dumps(encode(document), indent=2, ensure_ascii=False))
    else:
        for line in text:
            print(line)


def note(text: str) -> None:
    """Prints something that is not the result."""
    print(text, file=sys.stderr, flush=True)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Returns lines of aligned columns; numbers to the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(head), *cells]) for i in range(len(head))]
    right = [bool(rows) and all(isinstance(row[i], int | float | None) for row in rows) for i in range(len(head))]
    return [_line(line, widths, right) for line in [list(head), *cells]]


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = zip(cells, widths, right, strict=True)
    return "  ".join(cell.rjust(width) if numeric else cell.ljust(width) for cell, width, numeric in padded).rstrip()


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
