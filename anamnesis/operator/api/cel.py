"""Rules in CEL that the API server checks: what a type's validator says in Python, said once more beside it."""

from typing import Any

RULES_KEYWORD = "x-kubernetes-validations"


def cel_rules(*pairs: tuple[str, str]) -> dict[str, Any]:
    """Returns CEL rules, each with the message for a person, as a part of a JSON Schema."""
    return {RULES_KEYWORD: [{"rule": rule, "message": message} for rule, message in pairs]}
