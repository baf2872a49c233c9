"""Conditions without their times."""

from anamnesis.operator.api.conditions import Condition

_WORDS = 1000
"""Messages are cut to so many letters; their field holds 1024."""


def condition(kind: str, status: bool | None, reason: str, message: str = "") -> Condition:
    """Returns a condition; the status none is Unknown."""
    text = {True: "True", False: "False", None: "Unknown"}[status]
    words = message if len(message) <= _WORDS else f"{message[:_WORDS]}…"
    return Condition.model_validate({"type": kind, "status": text, "reason": reason, "message": words})
