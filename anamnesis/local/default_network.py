"""The network of a model that names none, on this machine."""

from dataclasses import dataclass, replace
from importlib.util import find_spec

from anamnesis.local.backbones.catalogue import EFFICIENTNET_LITE0
from anamnesis.operator.api import ContinualModel, LoadedResource
from anamnesis.operator.api.default_network import PRETRAINED_NETWORK, SMALL_NETWORK
from anamnesis.operator.api.network import NetworkSpec
from anamnesis.operator.requests import network_settings
from anamnesis.records import Configuration, InputError, Version, decode, encode
from anamnesis.registry import list_versions, read_version
from anamnesis.storage import Store

_PRETRAINED_NAME, _OMITTED = f"the pretrained {EFFICIENTNET_LITE0.name}", "spec.network is omitted"


@dataclass(frozen=True, slots=True)
class DefaultNetwork:
    """A chosen network.

    Attributes:
        network: it.
        reason: which one and why, one sentence.
    """

    network: NetworkSpec
    reason: str


def has_pretrained_network() -> bool:
    """Returns whether this machine has the pretrained network: timm, and the package with the weights."""
    return find_spec("timm") is not None and EFFICIENTNET_LITE0.is_installed


def choose_default_network(registry: Store) -> DefaultNetwork:
    """Returns the default network: that of the registry's versions, or else the pretrained one where it is installed.

    Raises:
        InputError: the registry's versions have another network than the two that are chosen by default.
    """
    if versions := list_versions(registry):
        return _network_of_version(read_version(registry, versions[0]))
    if has_pretrained_network():
        return DefaultNetwork(PRETRAINED_NETWORK, f"{_OMITTED}: {_PRETRAINED_NAME}, which is installed")
    return DefaultNetwork(
        SMALL_NETWORK,
        f"{_OMITTED}: {SMALL_NETWORK.type} from random weights, because {_PRETRAINED_NAME} is not installed; run pip "
        "install 'anamnesis[pretrained]' before the first update, or name a network",
    )


def _network_of_version(version: Version) -> DefaultNetwork:
    stored = decode(Configuration, version.configuration, "configuration")
    for name, network in ((_PRETRAINED_NAME, PRETRAINED_NETWORK), (SMALL_NETWORK.type, SMALL_NETWORK)):
        if replace(stored, network=network_settings(network)).identity == stored.identity:
            return DefaultNetwork(network, f"{_OMITTED}: {name}, as in the versions of the registry")
    raise InputError(
        f"spec.network: missing; the versions in the registry have {encode(stored.network)}: name this network"
    )


def with_network(model: LoadedResource[ContinualModel], network: NetworkSpec) -> LoadedResource[ContinualModel]:
    """Returns the model with a network."""
    spec = model.resource.spec.model_copy(update={"network": network})
    return replace(model, resource=model.resource.model_copy(update={"spec": spec}))
