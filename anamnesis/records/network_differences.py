"""How two networks differ, by the fields of ``spec.network`` that a person writes."""

from collections.abc import Iterator, Mapping
from re import sub

from anamnesis.records.codec import decode, encode_object
from anamnesis.records.configuration import Configuration, NetworkSettings
from anamnesis.records.errors import InputError
from anamnesis.records.version import Version

_PATHS = {
    "channels": "input.channels",
    "size": "input.size",
    "patches": "input.patches",
    "mean": "input.normalisation.mean",
    "std": "input.normalisation.std",
}
"""Field of ``NetworkSettings`` -> field of ``spec.network``, where it has another place there."""


def find_network_problem(settings: NetworkSettings, champion: Version | None) -> str:
    """Returns how the network of a model differs from that of its champion; empty where it does not.

    Every update starts from the champion. So a person reads this as soon as a field was edited, and not when data
    arrives. Before the first champion any network is right. A configuration that this version of Anamnesis cannot read
    is refused by the next update, and must not keep anybody from a rollback.
    """
    try:
        stored = decode(Configuration, champion.configuration, "configuration") if champion else None
    except InputError:
        return ""
    return describe_network_differences(stored.network, settings) if stored else ""


def describe_network_differences(stored: NetworkSettings, settings: NetworkSettings) -> str:
    """Returns how ``settings`` differ from the network of a version, and what to do; empty where they do not.

    The address of the weights does not count: a moved file is the same network.
    """
    fields, stored_fields = (
        encode_object(Configuration("", network=item).identity.network) for item in (settings, stored)
    )
    differences = [
        difference
        for name in fields
        if name != "options" or fields["type"] == stored_fields["type"]
        for difference in _differences(stored_fields[name], fields[name], f"network.{_PATHS.get(name, _camel(name))}")
    ]
    remedy = (
        "; the model keeps its network: set spec.network back, or create a new ContinualModel with an empty registry"
    )
    return f"{'; '.join(differences)}{remedy}" if differences else ""


def _differences(stored: object, value: object, path: str) -> Iterator[str]:
    if isinstance(stored, Mapping) and isinstance(value, Mapping):
        for name in sorted(stored.keys() | value.keys()):
            yield from _differences(stored.get(name), value.get(name), f"{path}.{_camel(name)}")
    elif stored != value:
        yield f"{path}: expected {_shown(stored, path)} as in the base version, found {_shown(value, path)}"


def _camel(name: str) -> str:
    return sub(r"_(.)", lambda match: match[1].upper(), name)


def _shown(value: object, path: str) -> str:
    """Returns a value as ``spec.network`` has it: words begin with a capital there."""
    if value in (None, []):
        return "none"
    is_word = isinstance(value, str) and path != "network.type" and not path.startswith("network.weights")
    return str(value).capitalize() if is_word else repr(value)
