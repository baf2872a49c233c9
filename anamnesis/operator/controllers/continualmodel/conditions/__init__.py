"""From a plan to what each resource's status says. Pure over a scene."""

from anamnesis.operator.controllers.continualmodel.conditions.model import error_status, model_status
from anamnesis.operator.controllers.continualmodel.conditions.update_and_approval import approval_status, update_status

__all__ = ["approval_status", "error_status", "model_status", "update_status"]
