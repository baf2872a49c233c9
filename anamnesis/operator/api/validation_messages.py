"""Validation errors in words that a person who wrote YAML understands."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from anamnesis.operator.api.string_types import PATTERNS


def describe(error: ValidationError, kind: type[BaseModel]) -> Iterator[str]:
    """Yields one line per finding: the path of the field, what was expected, what was found."""
    findings = error.errors(include_url=False)
    for finding in findings:
        place = finding["loc"]
        if any(len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in findings):
            continue  # what is wrong inside is told; that the whole is wrong too follows
        path = _path(place)
        yield f"{path}: {_words(finding, kind)}" if path else _words(finding, kind)


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.lstrip(".")


def _words(finding: Any, kind: type[BaseModel]) -> str:
    found, context = finding["input"], finding.get("ctx", {})
    match finding["type"]:
        case "missing":
            return f"missing; it must be given. {_description(kind, finding['loc'])}".rstrip(" .")
        case "extra_forbidden":
            return f"unknown field; known here are {', '.join(_fields(kind, finding['loc'][:-1]))}"
        case "value_error":
            return str(context["error"])
        case "literal_error":
            return f"{found!r} is not one of {context['expected'].replace(' or ', ', ')}".replace("'", "")
        case "string_type":
            return f"expected text (in quotes where YAML reads something else), found {found!r}"
        case "model_type" | "model_attributes_type":
            return f"expected fields, found {found!r}"
        case "string_pattern_mismatch":
            return f"expected {PATTERNS[context['pattern']]}, found {found!r}"
        case "greater_than_equal" | "greater_than" | "less_than_equal" | "less_than":
            sign = {"greater_than_equal": "at least", "greater_than": "more than", "less_than_equal": "at most"}
            limit = next(iter(context.values()))
            return f"expected {sign.get(finding['type'], 'less than')} {limit}, found {found}"
        case _:
            text = finding["msg"].replace("Tuple", "list").replace(" after validation", "")
            return f"{text[0].lower()}{text[1:]}, found {found!r:.80}"


def _description(kind: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """Returns what is said of the field at ``location``, in its first paragraph."""
    return (_fields(kind, location[:-1])[str(location[-1])].description or "").partition("\n\n")[0]


def _fields(kind: type[BaseModel], location: tuple[int | str, ...]) -> dict[str, FieldInfo]:
    """Returns the fields that the part of ``kind`` at ``location`` knows, by the names that people write."""
    current: Any = kind
    for part in location:
        if isinstance(part, str):
            current = _model_in(_by_alias(current)[part].annotation)
    return _by_alias(current)


def _by_alias(kind: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in kind.model_fields.items()}


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, (_model_in(part) for part in get_args(annotation))), None)
