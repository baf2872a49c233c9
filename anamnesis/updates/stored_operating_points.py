"""The part of a version with the operating point of each site that it has learned."""

import json
from collections.abc import Mapping

from anamnesis.records import OperatingPoint, Version, canonical_json, decode, encode
from anamnesis.registry.versions import read_part
from anamnesis.storage.store import Store

OPERATING_POINTS_PART = "operating_points"
"""Its name."""


def pack_operating_points(points: Mapping[str, OperatingPoint]) -> bytes:
    """Returns the part: canonical JSON of site -> operating point."""
    return canonical_json(encode(points))


def read_operating_points(store: Store, version: Version) -> dict[str, OperatingPoint]:
    """Returns site -> operating point of a version; empty for a version that has none."""
    if OPERATING_POINTS_PART not in version.parts:
        return {}
    document = json.loads(read_part(store, version, OPERATING_POINTS_PART))
    return {site: decode(OperatingPoint, point, OPERATING_POINTS_PART) for site, point in document.items()}
