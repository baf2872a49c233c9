"""The state of each site as a part of its own: ``<part>.<site>``; a site that returns replaces its part.

Sums over the sites are made when a version is loaded, never stored: so the contribution of a site can be replaced by
that of its corrected data, or be taken out, exactly.
"""

from collections.abc import Mapping

from torch import Tensor

from anamnesis.methods.base import StateDict
from anamnesis.records import InputError

SEPARATOR = "."
"""Between the name of a part and that of the site; the names of parts do not contain it."""


def site_part(part: str, site: str) -> str:
    """Returns the name of the part of ``site``.

    Raises:
        InputError: the name of the site is empty or has a slash, which separates a part from its entries.
    """
    if not site or "/" in site:
        raise InputError(f"site: expected a name without a slash, found {site!r}; give the site another name")
    return f"{part}{SEPARATOR}{site}"


def site_of_part(part: str) -> str:
    """Returns the site whose state the part has; empty for a part of the whole model."""
    return part.partition(SEPARATOR)[2]


def site_entries(part: str, site: str, entries: Mapping[str, Tensor | object] | Mapping[str, Tensor]) -> StateDict:
    """Returns the entries of a site's part, by ``part/name``."""
    return {f"{site_part(part, site)}/{name}": value for name, value in entries.items()}


def tensors_by_site(state: Mapping[str, Tensor | object], part: str) -> dict[str, dict[str, Tensor]]:
    """Returns the tensors of each site's part by site, in the order of the sites' names, then by their names."""
    tensors: dict[str, dict[str, Tensor]] = {}
    prefix = f"{part}{SEPARATOR}"
    for key, value in state.items():
        if key.startswith(prefix) and isinstance(value, Tensor):
            site, _, name = key.removeprefix(prefix).partition("/")
            tensors.setdefault(site, {})[name] = value
    return dict(sorted(tensors.items()))
