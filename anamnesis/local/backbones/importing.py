"""Copies a checked file of weights to a place that a model can name."""

import io
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from anamnesis.local.backbones.catalogue import CATALOGUE, find_backbone
from anamnesis.local.backbones.network_yaml import check_network
from anamnesis.local.context import select_model
from anamnesis.networks import build_backbone
from anamnesis.networks.weights import detect_format, load_backbone_weights
from anamnesis.networks.weights.file_formats import BUNDLE_METADATA, BUNDLE_WEIGHTS
from anamnesis.operator.api.network_types import convert_network_options
from anamnesis.records import ChannelRule, InputError, NetworkSettings, WeightsSettings, digest_bytes
from anamnesis.registry.weights_files import write_weights_file
from anamnesis.storage.store import Store, open_store, read_file


@dataclass(frozen=True, slots=True)
class ImportedBackbone:
    """A file that fits a network, and its place.

    Attributes:
        network: as a model must name it.
        notes: what is ignored or converted when the file is read.
    """

    network: NetworkSettings
    notes: tuple[str, ...]


def parse_network(
    network_type: str, *, channels: int, size: str, options: Sequence[str], mapping: str, convert: str, licence: str
) -> NetworkSettings:
    """Returns the settings that the options of the command name; url and digest of the weights are still empty.

    Raises:
        InputError: an option has another form; the message names it.
    """
    sides = size.split(",")
    if not all(re.fullmatch(r"\s*[0-9]+\s*", side) for side in sides):
        raise InputError(f"--size: expected sides in pixels with a comma between them, like 224,224, found {size!r}")
    rules = {rule.value.title(): rule for rule in ChannelRule}
    if convert.title() not in rules:
        raise InputError(f"--convert: expected one of {', '.join(rules)}, found {convert!r}")
    weights = WeightsSettings(
        url="", sha256=digest_bytes(b""), mapping=mapping, channels=rules[convert.title()], licence=licence
    )
    network = NetworkSettings(network_type, channels, size=tuple(map(int, sides)), weights=weights)
    return replace(network, options=_parse_options(network, options)) if options else network


def _parse_options(network: NetworkSettings, options: Sequence[str]) -> dict[str, object]:
    """Returns all options of the network, of which ``options`` are set as ``name=value``."""
    fields: dict[str, object] = {}
    for option in options:
        name, separator, text = option.partition("=")
        if not separator:
            raise InputError(f"--option: expected NAME=VALUE, like width=16, found {option!r}")
        fields[name] = text == "true" if text in ("true", "false") else int(text) if text.isdecimal() else text
    try:
        return convert_network_options(network.type, fields, network.size)
    except ValueError as error:
        raise InputError(f"network.{error}") from None


def select_target(files: Sequence[Path], model: str, url: str) -> Store:
    """Returns the store at ``url``, or the registry of the model.

    Raises:
        InputError: neither is named.
    """
    if url:
        return open_store(url)
    if not files:
        raise InputError("no place for the copy: use -f model.yaml for the registry of the model, or --to URL")
    return select_model(files, model).establish_registry()


def import_backbone(source: str, network: NetworkSettings, target: Store) -> ImportedBackbone:
    """Reads a file of weights, checks that it fits the network, and copies it.

    Args:
        source: a name in the catalogue, a file, or the folder of a MONAI bundle.
        network: with mapping, rule and licence of the weights; of a catalogued backbone, its own settings are used.
        target: a registry, or another store.

    Raises:
        InputError: the file is unreadable, damaged, or does not fit the network.
    """
    name, data = _read_source(source)
    if source in CATALOGUE:
        network = CATALOGUE[source].network
    if not network.type or network.weights is None:
        raise InputError("--type: missing; name the network that the weights are for, for example timm/resnet18")
    weights = replace(network.weights, url=name, sha256=digest_bytes(data), format=detect_format(data))
    network = replace(network, weights=weights)
    check_network(network)
    notes = load_backbone_weights(build_backbone(network, seed=0), network, data)
    url = write_weights_file(target, weights.sha256, name, data)
    return ImportedBackbone(replace(network, weights=replace(weights, url=url)), notes)


def _read_source(source: str) -> tuple[str, bytes]:
    path = Path(source)
    if source in CATALOGUE and (weights := CATALOGUE[source].network.weights):
        return weights.url.rpartition("/")[2], read_file(weights.url)
    if path.is_dir():
        return f"{path.resolve().name}.zip", _pack_bundle(path)
    if not path.is_file():
        find_backbone(source)  # raises with the names of the catalogue
    return path.name, path.read_bytes()


def _pack_bundle(folder: Path) -> bytes:
    """Packs the weights and the metadata of a MONAI bundle, nothing else; equal files give equal bytes."""
    if not (folder / BUNDLE_WEIGHTS).is_file():
        raise InputError(f"{folder}: not a MONAI bundle: {BUNDLE_WEIGHTS} is missing; name the folder of the bundle")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for part in (BUNDLE_WEIGHTS, BUNDLE_METADATA):
            if (folder / part).is_file():
                archive.writestr(zipfile.ZipInfo(part), (folder / part).read_bytes())
    return buffer.getvalue()
