"""Updates: base version + snapshot + configuration -> version, and the steps that pipelines and local runs call.

The requests need no torch; everything else is imported from its own module, so that a step loads what it uses.
"""

from anamnesis.updates.requests import EvaluationRequest, UpdateRequest

__all__ = ["EvaluationRequest", "UpdateRequest"]
