"""The network of a ContinualModel as YAML."""

import yaml
from pydantic import ValidationError

from anamnesis.operator.api.network import NetworkSpec
from anamnesis.operator.api.option_fields import option_fields
from anamnesis.operator.api.option_schemas import options_schema
from anamnesis.operator.api.validation_messages import describe_errors
from anamnesis.operator.requests import WEIGHTS_FORMATS
from anamnesis.records import ChannelRule, InputError, NetworkSettings
from anamnesis.records.network_options import options_class


def check_network(network: NetworkSettings) -> None:
    """Checks that a model may have this network.

    Raises:
        InputError: the resource would be refused; the message has a line for each field.
    """
    try:
        NetworkSpec.model_validate(network_document(network))
    except ValidationError as error:
        raise InputError("\n".join(f"network.{line}" for line in describe_errors(error, NetworkSpec))) from None


def network_document(network: NetworkSettings) -> dict[str, object]:
    """Returns ``spec.network`` of a resource; fields with their defaults are left out, except type and input."""
    input_fields: dict[str, object] = {"channels": network.channels, "size": list(network.size)}
    if network.mean:
        input_fields["normalisation"] = {
            "mean": [f"{value:g}" for value in network.mean],
            "std": [f"{value:g}" for value in network.std],
        }
    document: dict[str, object] = {"type": network.type, "input": input_fields}
    if options := option_fields(options_schema(options_class(network.type)), network.options):
        document["options"] = options
    if weights := network.weights:
        document["weights"] = {
            "url": weights.url,
            "sha256": weights.sha256,
            "format": next(name for name, value in WEIGHTS_FORMATS.items() if value is weights.format),
            **({"mapping": weights.mapping} if weights.mapping else {}),
            **({"channels": weights.channels.value.title()} if weights.channels is not ChannelRule.REFUSE else {}),
            **({"licence": weights.licence} if weights.licence else {}),
        }
    if network.frozen != "nothing":
        document["frozen"] = network.frozen.capitalize()
    if network.batch_statistics != "learned":
        document["batchStatistics"] = network.batch_statistics.capitalize()
    return document


def network_yaml(network: NetworkSettings) -> str:
    """Returns ``spec`` with the network alone, to paste into a ContinualModel."""
    return yaml.safe_dump({"spec": {"network": network_document(network)}}, sort_keys=False, width=1000)
