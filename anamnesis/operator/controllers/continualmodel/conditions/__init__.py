"""From a plan to the statuses of the resources: pure functions over the state of a model."""

from anamnesis.operator.controllers.continualmodel.conditions.model import error_status, model_status
from anamnesis.operator.controllers.continualmodel.conditions.update import update_status

__all__ = ["error_status", "model_status", "update_status"]
