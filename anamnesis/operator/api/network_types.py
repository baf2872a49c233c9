"""The types of networks in resources: the options of each, and the sizes that it takes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic.alias_generators import to_camel, to_pascal
from pydantic.json_schema import JsonSchemaValue

from anamnesis.operator.api.option_fields import convert_options, properties_schema
from anamnesis.operator.api.option_schemas import options_schema
from anamnesis.records import InputError, encode_object
from anamnesis.records.network_options import (
    MONAI_NETWORKS,
    NORM_GROUPS,
    OWN_NETWORKS,
    SMALLEST_OWN_SIDE,
    SWIN_MULTIPLE,
    SWIN_TRANSFORMER,
    TIMM_PREFIX,
    VISION_TRANSFORMER,
    TimmOptions,
    network_options,
    options_class,
)

_GROUP_WIDTH = (
    f"norm Group needs a width that is a multiple of {NORM_GROUPS}, because it splits the channels into groups"
)
_OWN_SIZE = f"SmallCNN and ResNet18 need two sides of {SMALLEST_OWN_SIDE} pixels or more"
_TIMM_SIZE = "networks of timm need two sides; choose a network of MONAI for volumes"
_PATCH_SIZE = "the sides of the input need to be multiples of the patch"
_HEADS = "embedding needs to be a multiple of the heads"
_SWIN = f"embedding needs to be a multiple of {SWIN_MULTIPLE}"
_DEFAULT = " Default: "


def convert_network_options(network_type: str, fields: Mapping[str, Any], size: Sequence[int]) -> dict[str, object]:
    """Returns all options of a network in snake case, with their defaults.

    Args:
        network_type: of the network.
        fields: the options that the resource sets.
        size: sides of the input.

    Raises:
        ValueError: an unknown option, a value that does not fit, or a size that the type does not take.
    """
    try:
        options = convert_options(options_schema(options_class(network_type)), fields, "options")
        resolved = encode_object(network_options(network_type, options))
    except InputError as error:
        message = str(error).removeprefix("network.")
        is_width = message.startswith("options.width: expected a multiple")
        raise ValueError(f"options.width: {_GROUP_WIDTH}, found {options['width']}" if is_width else message) from None
    _check_size(network_type, resolved, size)
    return resolved


def _check_size(network_type: str, options: Mapping[str, object], size: Sequence[int]) -> None:
    if network_type in OWN_NETWORKS and (len(size) != 2 or min(size) < SMALLEST_OWN_SIDE):
        raise ValueError(f"input.size: {_OWN_SIZE}, found {list(size)}")
    if network_type.startswith(TIMM_PREFIX) and len(size) != 2:
        raise ValueError(f"input.size: {_TIMM_SIZE}, found {list(size)}")
    patch = options["patch"] if network_type == VISION_TRANSFORMER else 1
    if isinstance(patch, int) and any(side % patch for side in size):
        raise ValueError(f"input.size: {_PATCH_SIZE}, found {list(size)} with a patch of {patch}")


def options_field_schema() -> JsonSchemaValue:
    """Returns the JSON Schema of ``options``: the options of all types; ``NETWORK_RULES`` say which type has which.

    Raises:
        TypeError: two types have an option of one name with other values.
    """
    properties: dict[str, JsonSchemaValue] = {}
    for kind in _kinds():
        for field, schema in properties_schema(options_schema(kind)).items():
            properties[field] = _merge(properties[field], schema, field) if field in properties else dict(schema)
    return {"type": "object", "description": "Arguments of the architecture.", "properties": properties}


def _merge(first: JsonSchemaValue, second: JsonSchemaValue, field: str) -> JsonSchemaValue:
    """Returns the schema of an option of two types, which may differ in its default alone."""
    if {**first, "description": ""} != {**second, "description": ""}:
        raise TypeError(
            f"network option {field}: two types allow different values: this is a fault of the code; its author must "
            "give the option one meaning, or another name"
        )
    text, _, default = first["description"].partition(_DEFAULT)
    defaults = default.removesuffix(".").split(" or ")
    new_default = second["description"].partition(_DEFAULT)[2].removesuffix(".")
    joined = " or ".join(dict.fromkeys([*defaults, new_default]))
    return {**first, "description": f"{text}{_DEFAULT}{joined}."}


def _kinds() -> dict[type, str]:
    """Returns options class -> CEL condition of the types that have it."""
    types_by_kind: dict[type, list[str]] = {}
    for name, kind in {**OWN_NETWORKS, **MONAI_NETWORKS}.items():
        types_by_kind.setdefault(kind, []).append(name)
    conditions = {kind: f"self.type in {names}" for kind, names in types_by_kind.items()}
    return {**conditions, TimmOptions: f"self.type.startsWith('{TIMM_PREFIX}')"}


def _rules() -> Iterator[tuple[str, str]]:
    conditions_by_option: dict[str, list[str]] = {}
    for kind, condition in _kinds().items():
        for option in options_schema(kind):
            conditions_by_option.setdefault(option, []).append(condition)
    for option, conditions in conditions_by_option.items():
        message = f"no network of this type has the option {to_camel(option)}; remove it"
        yield f"!{_is_set(option)} || {' || '.join(conditions)}", message
    for kind, condition in _kinds().items():
        schema = options_schema(kind)
        if {"norm", "width"} <= schema.keys():
            is_batch = f"({_is_set('norm')} && self.options.norm == 'Batch')"
            if to_pascal(str(schema["norm"]["default"])) == "Batch":
                is_batch = f"(!{_is_set('norm')} || self.options.norm == 'Batch')"
            fits = f"self.options.width % {NORM_GROUPS} == 0"
            yield f"!({condition}) || !{_is_set('width')} || {is_batch} || {fits}", _GROUP_WIDTH
    yield from _transformer_rules()
    own, timm = f"self.type in {list(OWN_NETWORKS)}", f"self.type.startsWith('{TIMM_PREFIX}')"
    sides = f"size(self.input.size) == 2 && self.input.size.all(side, side >= {SMALLEST_OWN_SIDE})"
    yield f"!({own}) || ({sides})", _OWN_SIZE
    yield f"!({timm}) || size(self.input.size) == 2", _TIMM_SIZE


def _transformer_rules() -> Iterator[tuple[str, str]]:
    vit, swin = MONAI_NETWORKS[VISION_TRANSFORMER], MONAI_NETWORKS[SWIN_TRANSFORMER]
    other_type = f"self.type != '{VISION_TRANSFORMER}'"
    yield f"{other_type} || {_value(vit, 'embedding')} % {_value(vit, 'heads')} == 0", _HEADS
    yield f"{other_type} || self.input.size.all(side, side % {_value(vit, 'patch')} == 0)", _PATCH_SIZE
    yield f"self.type != '{SWIN_TRANSFORMER}' || {_value(swin, 'embedding')} % {SWIN_MULTIPLE} == 0", _SWIN


def _value(kind: type, option: str) -> str:
    """Returns the CEL expression of an option's value, or of its default where it is not set."""
    return f"({_is_set(option)} ? self.options.{to_camel(option)} : {options_schema(kind)[option]['default']})"


def _is_set(option: str) -> str:
    return f"(has(self.options) && has(self.options.{to_camel(option)}))"


NETWORK_RULES = tuple(_rules())
"""CEL rules of a network, and their messages."""
