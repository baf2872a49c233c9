"""Errors that a person can act on: the message says what is wrong, where, and what to do. Each has an exit code."""

from typing import ClassVar


class AnamnesisError(Exception):
    """Base of all errors of this package. The message holds no patient data."""

    exit_code: ClassVar[int] = 1


class InputError(AnamnesisError):
    """A file, field or argument is not as expected."""

    exit_code = 2


class RefusedError(AnamnesisError):
    """A policy or a permission forbids the action: the gate, the change plan, the guard on images, credentials."""

    exit_code = 3


class ConflictError(AnamnesisError):
    """Another process was first, or the state has changed since the action was planned."""

    exit_code = 4


class IntegrityError(AnamnesisError):
    """Stored bytes do not match their digest or their form."""

    exit_code = 5


class UnreachableError(AnamnesisError):
    """A server is unreachable or out of order; the same call may succeed later."""
