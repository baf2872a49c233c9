"""Brings one key in order, whatever it is."""

from datetime import timedelta

from anamnesis.operator.controller.cluster import Cluster
from anamnesis.operator.controller.keys import Key, Reconcile
from anamnesis.operator.models.reconciler import Clock, ModelReconciler, ReconcileOptions
from anamnesis.operator.sites import reconcile_site

__all__ = ["ReconcileOptions", "reconciler"]


def reconciler(cluster: Cluster, clock: Clock, options: ReconcileOptions) -> Reconcile:
    """Returns what brings a key in order."""
    models = ModelReconciler(cluster, clock, options)

    def reconcile(key: Key) -> timedelta | None:
        if key.kind == "Site":
            return reconcile_site(cluster, key, clock, options.environment)
        return models.reconcile(key)

    return reconcile
