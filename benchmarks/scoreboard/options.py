"""Options of a method by path, ``consolidation.penalty``, and as the groups that a configuration has."""

from collections.abc import Mapping


def nest_options(options: Mapping[str, object]) -> dict[str, object]:
    """Returns ``{"group.name": value}`` as ``{"group": {"name": value}}``."""
    nested: dict[str, object] = {}
    for path, value in options.items():
        *groups, name = path.split(".")
        members = nested
        for group in groups:
            child = members.setdefault(group, {})
            assert isinstance(child, dict), f"{path}: {group} is an option and a group"
            members = child
        members[name] = value
    return nested


def flatten_options(options: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Returns groups as ``{"group.name": value}``; the inverse of ``nest_options``."""
    flat: dict[str, object] = {}
    for name, value in options.items():
        if isinstance(value, Mapping):
            flat |= flatten_options(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
