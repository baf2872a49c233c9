"""What the options of a method may be: bounds of numbers, and options that need another one.

The method's classes declare them; the operator, which cannot import the methods, reads them from ``methods.json``.
"""

from collections.abc import Mapping
from dataclasses import dataclass

BOUNDS = "bounds"
"""Key of the bounds, in the metadata of an option's field and in ``methods.json``."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The values that a number may have.

    Attributes:
        minimum: the smallest value, or the number that the value must be above.
        maximum: the largest value.
        excludes_minimum: the value must be above the minimum.
    """

    minimum: float
    maximum: float
    excludes_minimum: bool = False

    def allows(self, value: float) -> bool:
        """Returns whether a value is inside; infinities and NaN are not."""
        is_above = value > self.minimum if self.excludes_minimum else value >= self.minimum
        return is_above and value <= self.maximum

    def describe(self) -> str:
        """Returns the expected values in words."""
        if self.excludes_minimum:
            return f"a number above {self.minimum:g}, at most {self.maximum:g}"
        if self.maximum == 1:
            return f"a number from {self.minimum:g} to 1"
        return f"{self.minimum:g} or more, at most {self.maximum:g}"


@dataclass(frozen=True, slots=True)
class OptionRule:
    """An option that needs a value of another option.

    Attributes:
        option: its path, for example ``classifier.mode``, or the path of a group.
        values: the rule applies where the option has one of these values; empty: where a resource sets the option.
        needed_option: path of the other option.
        message: what to do.
        needed_values: the other option must have one of these; empty: any.
        forbidden_values: the other option must have none of these.
    """

    option: str
    values: tuple[object, ...]
    needed_option: str
    message: str
    needed_values: tuple[object, ...] = ()
    forbidden_values: tuple[object, ...] = ()

    def is_broken(self, set_options: Mapping[str, object], resolved: Mapping[str, object]) -> bool:
        """Returns whether options break the rule.

        Args:
            set_options: path -> value of the options that a resource sets, groups included.
            resolved: path -> value of all options, with defaults.
        """
        applies = resolved.get(self.option) in self.values if self.values else self.option in set_options
        value = resolved.get(self.needed_option)
        return applies and (
            value in self.forbidden_values or bool(self.needed_values and value not in self.needed_values)
        )


def flatten_options(options: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Returns path -> value of options in groups; a group has a path too."""
    flat: dict[str, object] = {}
    for name, value in options.items():
        flat[prefix + name] = value
        if isinstance(value, Mapping):
            flat |= flatten_options(value, f"{prefix}{name}.")
    return flat
