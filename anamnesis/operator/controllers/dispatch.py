"""Finds the controller for a key by the key's kind."""

from datetime import timedelta

from anamnesis.operator.api import ContinualModel, Site
from anamnesis.operator.api.api_model import Resource
from anamnesis.operator.api.condition_types import READY
from anamnesis.operator.controllers.continualmodel.controller import ModelReconciler
from anamnesis.operator.controllers.continualmodel.report_reader import read_report
from anamnesis.operator.controllers.options import ReconcileOptions
from anamnesis.operator.controllers.registries import Registries
from anamnesis.operator.controllers.site.controller import SiteReconciler
from anamnesis.operator.controllers.updateapproval.controller import ApprovalReconciler
from anamnesis.operator.runtime.cache import Cache
from anamnesis.operator.runtime.cluster import Cluster
from anamnesis.operator.runtime.reconcile_key import Reconcile, ReconcileKey
from anamnesis.records import InputError
from anamnesis.records.timestamps import Clock

__all__ = ["ReconcileOptions", "create_reconciler"]

_SUMMARY_CONDITIONS: dict[str, tuple[type[Resource], str]] = {
    "ContinualModel": (ContinualModel, READY),
    "Site": (Site, READY),
}
"""Kind -> its type, and the condition that reports a spec that is not valid."""


def create_reconciler(
    cluster: Cluster, clock: Clock, options: ReconcileOptions, cache: Cache | None = None
) -> Reconcile:
    """Returns the function that reconciles a key of any kind; ``cache`` has what the watches reported."""
    registries = Registries(cluster, clock, options)
    approvals = ApprovalReconciler(cluster, clock, registries, read_report)
    reconcilers = {
        "ContinualModel": ModelReconciler(cluster, clock, options, registries, approvals).reconcile,
        "Site": SiteReconciler(cluster, clock, options, cache).reconcile,
        "UpdateApproval": approvals.reconcile,
    }

    def reconcile(key: ReconcileKey) -> timedelta | None:
        try:
            return reconcilers[key.kind](key)
        except InputError:  # the controllers report all others: this resource does not even parse
            resource_type, condition_type = _SUMMARY_CONDITIONS[key.kind]
            if not cluster.report_invalid(resource_type, key.namespace, key.name, condition_type):
                raise
            return None  # a change of the resource starts the next call

    return reconcile
