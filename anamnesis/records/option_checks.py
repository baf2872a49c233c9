"""Options with bounds, and their check; the errors name the option by its full path.

``penalty: float = not_negative(3000.0)`` is an option with a default. Its bounds are also in the resource definition.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from anamnesis.records.codec import encode_object
from anamnesis.records.errors import InputError
from anamnesis.records.option_rules import BOUNDS, Bounds, OptionRule, flatten_options

NumberT = TypeVar("NumberT", bound=float)
LARGEST_WEIGHT, LARGEST_COUNT = 1e9, 10_000_000


def not_negative(default: NumberT) -> NumberT:
    """Declares an option that is 0 or more."""
    return _bounded(default, Bounds(0, LARGEST_COUNT if isinstance(default, int) else LARGEST_WEIGHT))


def positive(default: float) -> float:
    """Declares an option that is above 0."""
    return _bounded(default, Bounds(0, LARGEST_WEIGHT, excludes_minimum=True))


def share(default: float) -> float:
    """Declares an option from 0 to 1."""
    return _bounded(default, Bounds(0, 1))


def count_between(minimum: int, maximum: int, default: int) -> int:
    """Declares a whole number with both bounds."""
    return _bounded(default, Bounds(minimum, maximum))


def _bounded(default: NumberT, bounds: Bounds) -> NumberT:
    return dataclasses.field(default=default, metadata={BOUNDS: bounds})


def check_bounds(path: str, options: Any) -> None:
    """Checks the bounds of all options of a data class.

    Args:
        path: of the options, for example ``ewc_prototype.consolidation``.
        options: the data class.

    Raises:
        InputError: the message has the path of the option and its value.
    """
    for option in dataclasses.fields(options):
        bounds, value = option.metadata.get(BOUNDS), getattr(options, option.name)
        if isinstance(bounds, Bounds) and not bounds.allows(value):
            raise InputError(f"{path}.{option.name}: expected {bounds.describe()}, found {value}")


def check_rules(path: str, options: Any, rules: tuple[OptionRule, ...]) -> None:
    """Checks the rules that depend on values; a resource is also checked for options that it sets without effect.

    Raises:
        InputError: the message says what to do.
    """
    resolved = flatten_options(cast(Mapping[str, object], encode_object(options)))
    for rule in rules:
        if rule.values and rule.is_broken(resolved, resolved):
            raise InputError(f"{path}.{rule.option}: {rule.message}")
