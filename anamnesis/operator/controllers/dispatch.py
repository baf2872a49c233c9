"""Brings one key in order, whatever it is."""

from datetime import timedelta

from anamnesis.operator.api import ContinualModel, Site
from anamnesis.operator.controllers.continualmodel.controller import ModelReconciler
from anamnesis.operator.controllers.options import ReconcileOptions
from anamnesis.operator.controllers.site.controller import reconcile_site
from anamnesis.operator.runtime.cluster import Cluster
from anamnesis.operator.runtime.reconcile_key import Reconcile, ReconcileKey
from anamnesis.records import InputError
from anamnesis.records.timestamps import Clock

__all__ = ["ReconcileOptions", "create_reconciler"]


def create_reconciler(cluster: Cluster, clock: Clock, options: ReconcileOptions) -> Reconcile:
    """Returns what brings a key in order."""
    model_reconciler = ModelReconciler(cluster, clock, options)

    def reconcile(key: ReconcileKey) -> timedelta | None:
        is_site = key.kind == "Site"
        try:
            return (
                reconcile_site(cluster, key, clock, options.environment) if is_site else model_reconciler.reconcile(key)
            )
        except InputError:  # reconciling tells all others itself: the resource cannot even be read
            kind, condition = (Site, "Readable") if is_site else (ContinualModel, "Ready")
            if not cluster.report_invalid(kind, key.namespace, key.name, condition):
                raise
            return None  # until somebody changes it

    return reconcile
