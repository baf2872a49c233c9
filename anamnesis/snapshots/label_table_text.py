"""The text of a label table, CSV or JSON, as rows of cells. Messages give line and column, never the content."""

import csv
import io
import json
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from anamnesis.records import InputError
from anamnesis.snapshots.label_columns import check_header, count_recognised

TABLE = "labels.manifest"

_BINARY_FORMATS = {
    b"PK\x03\x04": "an Excel workbook or a zip file",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"\x1f\x8b": "a gzip file",
}
_LONGEST_LINE = 100_000  # below the limit of the csv module
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_SEPARATOR_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: its place for messages, for example ``line 3``, and a cell for each column of the table."""

    location: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TableText:
    """The content of a table.

    Attributes:
        location: place of the header, for messages.
        header: names of the columns; empty for a column without name and cells.
        rows: the rows that are not empty.
    """

    location: str
    header: tuple[str, ...]
    rows: tuple[TableRow, ...]


class _JsonObject(list[tuple[str, object]]):
    """The pairs of a JSON object, so that a repeated key is not lost."""


def parse_label_table(name: str, data: bytes) -> TableText:
    """Returns the rows of a table.

    Args:
        name: name of the file; its suffix is ``.json`` for JSON, ``.tsv`` for tabs, else the table is CSV with commas.
        data: bytes of the file.

    Raises:
        InputError: the table has another form; the message gives line and column.
    """
    text, suffix = _decode_text(data), name.lower().rpartition(".")[2]
    is_json_text = text.lstrip()[:1] in ("[", "{")
    if suffix == "json" and not is_json_text:
        raise InputError(
            f"{TABLE}, line 1, column 1: the name of the file ends in .json, but its content is not JSON; "
            "rename a CSV file to .csv"
        )
    if suffix == "json":
        table = _parse_json(text)
    elif is_json_text:
        raise InputError(
            f"{TABLE}, line 1, column 1: the content of the file is JSON, but its name does not end in .json; "
            "rename the file to .json"
        )
    else:
        table = _parse_csv(text, "\t" if suffix == "tsv" else ",")
    if not table.rows:
        raise InputError(f"{TABLE}: the table has columns, but no row; add a row for each file")
    return table


def _decode_text(data: bytes) -> str:
    if not data.strip():
        raise InputError(f"{TABLE}: the file is empty; write a header line file,label,patient and a row for each file")
    for magic, description in _BINARY_FORMATS.items():
        if data.startswith(magic):
            raise InputError(f"{TABLE}: the file is {description}; save the table as CSV in UTF-8")
    if data.startswith(_UTF16_MARKS) or b"\0" in data[:4]:
        raise InputError(f"{TABLE}, line 1, column 1: the text is in UTF-16 or UTF-32; save the table as CSV in UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line_start = data.rfind(b"\n", 0, error.start) + 1
        line, character = data.count(b"\n", 0, error.start) + 1, error.start - line_start + 1
        raise InputError(
            f"{TABLE}, line {line}, character {character}: the text is not UTF-8; save the table as CSV in UTF-8"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{TABLE}, line {line}: the text has a zero byte; save the table as CSV in UTF-8")
    if not text.replace(",", "").replace(";", "").strip():
        raise InputError(f"{TABLE}: the file is empty; write a header line file,label,patient and a row for each file")
    return text


def _parse_csv(text: str, separator: str) -> TableText:
    _check_separator(text, separator)
    lines = _iter_csv_rows(text, separator)
    first_line, header = next(lines, (1, [""]))
    check_header(header, f"{TABLE}, line {first_line}")
    rows = []
    for line, cells in lines:
        if len(cells) != len(header):
            raise InputError(
                f"{TABLE}, line {line}, column {min(len(cells), len(header)) + 1}: expected {len(header)} cells "
                f"as in line {first_line}, found {len(cells)}; add or remove separators, or quote the cells"
            )
        rows.append(TableRow(f"line {line}", tuple(cells)))
    return _make_table(f"{TABLE}, line {first_line}", header, rows)


def _iter_csv_rows(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yields (line, cells) of each line that is not empty."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = 1
    try:
        for cells in reader:
            if reader.line_num > line:
                raise _open_quote_error(text, line, separator)
            if any(cell.strip() for cell in cells):
                yield line, [cell.strip() for cell in cells]
            line = reader.line_num + 1
    except csv.Error:
        raise _open_quote_error(text, line, separator) from None


def _open_quote_error(text: str, line: int, separator: str) -> InputError:
    content = io.StringIO(text, newline=None).read().split("\n")[line - 1][:_LONGEST_LINE]
    column = max(1, len(next(csv.reader([content], delimiter=separator), [])))
    return InputError(
        f"{TABLE}, line {line}, column {column}: a quote is opened but not closed before the end of the cell; "
        "close it, or double quotes inside the cell"
    )


def _check_separator(text: str, separator: str) -> None:
    """Refuses names of columns between other separators, and the line that Excel writes before the header."""
    lines = text.splitlines()
    line = next(number for number, content in enumerate(lines, 1) if content.strip())
    content = lines[line - 1].strip()[:_LONGEST_LINE]
    if content.lower().startswith("sep="):
        raise InputError(
            f"{TABLE}, line {line}, column 1: the line names a separator for Excel; remove the line, and save the "
            f"table with {_SEPARATOR_NAMES[separator]}"
        )
    names_by_separator = {other: next(csv.reader([content], delimiter=other)) for other in _SEPARATOR_NAMES}
    if count_recognised(names_by_separator[separator]):
        return
    for other_separator, names in names_by_separator.items():
        if len(names) > 1 and count_recognised(names):
            raise InputError(
                f"{TABLE}, line {line}, character {content.index(other_separator) + 1}: the columns are separated by "
                f"{_SEPARATOR_NAMES[other_separator]}, expected {_SEPARATOR_NAMES[separator]}; save the table with "
                f"{_SEPARATOR_NAMES[separator]}"
            )


def _parse_json(text: str) -> TableText:
    try:
        document: object = json.loads(text, object_pairs_hook=_JsonObject)
    except json.JSONDecodeError as error:  # before ValueError, from which it derives
        raise InputError(
            f"{TABLE}, line {error.lineno}, column {error.colno}: the text is not valid JSON; correct it there"
        ) from None
    except (RecursionError, ValueError):
        raise InputError(
            f"{TABLE}: the JSON is nested too deeply or has a number of too many digits; write a list of objects"
        ) from None
    if isinstance(document, _JsonObject) or not isinstance(document, list):
        raise InputError(f"{TABLE}: expected a JSON list of objects, one for each file; write the table as a list")
    rows = [_json_cells(entry, f"{TABLE}, entry {number}") for number, entry in enumerate(document, 1)]
    header = list(dict.fromkeys(name for cells in rows for name in cells))
    table_rows = [
        TableRow(f"entry {number}", tuple(cells.get(name, "") for name in header))
        for number, cells in enumerate(rows, 1)
        if any(cells.values())
    ]
    return _make_table(TABLE, header, table_rows)


def _json_cells(entry: object, location: str) -> dict[str, str]:
    if not isinstance(entry, _JsonObject):
        raise InputError(f"{location}: expected an object, one for each file; write the entry as an object")
    cells: dict[str, str] = {}
    for number, (name, value) in enumerate(entry, 1):
        if isinstance(value, list):
            raise InputError(f"{location}, key {number}: expected a text or a number, found a list or an object")
        if name in cells:
            raise InputError(f"{location}, key {number}: the object has this key twice; remove one of them")
        cells[name] = "" if value is None else str(value).strip()
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in name + cells[name]):
            raise InputError(f"{location}, key {number}: the text has a control character; remove it")
    return cells


def _make_table(location: str, header: Sequence[str], rows: Sequence[TableRow]) -> TableText:
    """Checks that each column with cells has a name."""
    for index, name in enumerate(header):
        row = next((row for row in rows if row.cells[index]), None) if not name.strip() else None
        if row:
            raise InputError(
                f"{TABLE}, {row.location}, column {index + 1}: the cell is in a column without a name; "
                "name the column in the header, or remove it"
            )
    return TableText(location, tuple(name.strip() for name in header), tuple(rows))
