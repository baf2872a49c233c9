"""Typed resources from the API server's JSON; the types check more than the API server does."""

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
        InputError: the types do not accept it; the message names the fields.
    """
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        fields = "; ".join(line.partition(":")[0] for line in describe_errors(error, kind))
        name = document.get("metadata", {}).get("name")
        raise InputError(
            f"{kind.__name__} {name}: this release of the operator does not accept the fields {fields}; "
            "correct the fields, or install the release that knows them"
        ) from None


def validation_errors(kind: type[Resource], document: JsonDocument) -> list[str]:
    """Returns why the types do not accept a resource, one line for each field; empty where they accept it."""
    try:
        kind.model_validate(document)
    except ValidationError as error:
        return list(describe_errors(error, kind))
    return []


def parse_valid_resources(kind: type[ResourceT], documents: Iterable[JsonDocument]) -> Iterable[ResourceT]:
    """Yields the resources that the types accept; for each other resource a warning is logged."""
    for document in documents:
        try:
            yield parse_resource(kind, document)
        except InputError as error:
            logger.warning("the operator ignores a resource: %s", error)
