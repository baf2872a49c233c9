"""CEL rules for the API server. Each repeats a check that the type's validator makes in Python."""

from typing import Any

RULES_KEYWORD = "x-kubernetes-validations"


def cel_rules(*pairs: tuple[str, str]) -> dict[str, Any]:
    """Returns (rule, message) pairs as a part of a JSON Schema."""
    return {RULES_KEYWORD: [{"rule": rule, "message": message} for rule, message in pairs]}
