"""Errors that a person can act on: each says what was found, where, and what to do; each has an exit code."""

from typing import ClassVar


class AnamnesisError(Exception):
    """Something went wrong that the message explains. Never holds patient data."""

    exit_code: ClassVar[int] = 1


class InputError(AnamnesisError):
    """A file, field or argument is not what it should be."""

    exit_code = 2


class RefusedError(AnamnesisError):
    """Policy forbids it: the gate, the change plan, or the guard on images."""

    exit_code = 3


class ConflictError(AnamnesisError):
    """Somebody else was first, or the world has moved on since this was planned."""

    exit_code = 4


class IntegrityError(AnamnesisError):
    """Stored bytes do not have the digest that they should have."""

    exit_code = 5


class UnreachableError(AnamnesisError):
    """A server does not answer, or not sensibly; the same call may succeed later."""
