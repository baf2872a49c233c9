"""From the API server's JSON to the types, which see more than its own rules do."""

import logging
from collections.abc import Iterable
from typing import TypeVar

from pydantic import ValidationError

from anamnesis.operator.api.api_model import Resource
from anamnesis.operator.api.validation_messages import describe_errors
from anamnesis.operator.runtime.kubernetes_api import JsonDocument
from anamnesis.records import InputError

ResourceT = TypeVar("ResourceT", bound=Resource)

logger = logging.getLogger(__name__)


def parse_resource(kind: type[ResourceT], document: JsonDocument) -> ResourceT:
    """Returns a resource from its JSON.

    Raises:
        InputError: the types do not accept it: it is of another release.
    """
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        fields = "; ".join(line.partition(":")[0] for line in describe_errors(error, kind))
        name = document.get("metadata", {}).get("name")
        raise InputError(f"{kind.__name__} {name}: made for another release of the operator: {fields}") from None


def validation_errors(kind: type[Resource], document: JsonDocument) -> list[str]:
    """Returns why the types do not accept a resource, one line a field; none where they do."""
    try:
        kind.model_validate(document)
    except ValidationError as error:
        return list(describe_errors(error, kind))
    return []


def parse_valid_resources(kind: type[ResourceT], documents: Iterable[JsonDocument]) -> Iterable[ResourceT]:
    """Yields what the types accept; of the others a warning is logged."""
    for document in documents:
        try:
            yield parse_resource(kind, document)
        except InputError as error:
            logger.warning("%s; it is left out", error)
