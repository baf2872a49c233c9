"""One error for the failures of several sites or models."""

from collections.abc import Mapping

from anamnesis.records.errors import AnamnesisError, ConflictError, InputError, IntegrityError, RefusedError

_ERROR_TYPES = (InputError, RefusedError, ConflictError, IntegrityError)


def combine_failures(failures: Mapping[str, AnamnesisError]) -> AnamnesisError:
    """Returns one error with a line for each failure and the exit code of the first.

    Args:
        failures: what failed -> its error; at least one.
    """
    first_error = next(iter(failures.values()))
    error_type = next((kind for kind in _ERROR_TYPES if isinstance(first_error, kind)), AnamnesisError)
    return error_type("\n".join(f"{name}: {error}" for name, error in failures.items()))
