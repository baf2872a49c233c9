"""Updates: base version + snapshot + configuration -> version, its evaluation and its report.

The requests need no torch. Everything else is imported from its own module, so that a step loads only what it uses.
"""

from anamnesis.updates.requests import EvaluationRequest, UpdateRequest

__all__ = ["EvaluationRequest", "UpdateRequest"]
