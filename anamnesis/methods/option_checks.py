"""Checks of options; the errors name the option by its full path."""

from anamnesis.records import InputError


def require_not_negative(path: str, **values: float) -> None:
    """Raises an error where a value is negative, infinite or no number.

    Args:
        path: of the options, for example ``ewc_prototype.consolidation``.
        values: by the name of the option.

    Raises:
        InputError: the message has the path of the option and its value.
    """
    for name, value in values.items():
        if not 0 <= value < float("inf"):
            raise InputError(f"{path}.{name}: expected 0 or more, found {value}")


def require_minimum(path: str, minimum: int, **values: float) -> None:
    """Raises an error where a value is less than ``minimum``; see ``require_not_negative``."""
    for name, value in values.items():
        if value < minimum:
            raise InputError(f"{path}.{name}: expected {minimum} or more, found {value}")


def require_positive(path: str, **values: float) -> None:
    """Raises an error where a value is 0 or less, infinite or no number; see ``require_not_negative``."""
    for name, value in values.items():
        if not 0 < value < float("inf"):
            raise InputError(f"{path}.{name}: expected a number above 0, found {value}")


def require_share(path: str, **values: float) -> None:
    """Raises an error where a value is not between 0 and 1; see ``require_not_negative``."""
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise InputError(f"{path}.{name}: expected a number from 0 to 1, found {value}")
