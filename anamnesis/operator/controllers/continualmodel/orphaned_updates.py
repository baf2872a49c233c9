"""Ends what deleted models leave: their runs, their claims and their ModelUpdates.

No finalizer holds a model, so that a namespace can always be deleted. Instead, each ModelUpdate knows where its run and
its claim are, and stays when its model goes. Every step may be repeated, also by another process after a kill: the
resource, which is the record of the work, is deleted last.
"""

import logging
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from anamnesis.operator.api import ContinualModel, LoadedResource
from anamnesis.operator.api.backend import BackendSpec, KubeflowBackendSpec
from anamnesis.operator.api.condition_types import DECIDED
from anamnesis.operator.api.conditions import make_condition, merge_conditions
from anamnesis.operator.api.model import ContinualModelSpec, ModelMetadata
from anamnesis.operator.api.reasons import MODEL_DELETED
from anamnesis.operator.api.update import ModelUpdate, name_prefix
from anamnesis.operator.backends.base import Run
from anamnesis.operator.backends.guarded_backend import BackendError, make_guarded_backend
from anamnesis.operator.controllers.continualmodel.claim_release import release_claims
from anamnesis.operator.controllers.options import ReconcileOptions
from anamnesis.operator.controllers.registries import Registries
from anamnesis.operator.controllers.registry_access import operator_identity
from anamnesis.operator.runtime.cluster import Cluster, ClusterDownError, LeadershipLostError
from anamnesis.operator.runtime.reconcile_key import ReconcileKey
from anamnesis.records import AnamnesisError, ConflictError, UnreachableError
from anamnesis.records.timestamps import Clock

log = logging.getLogger(__name__)


def belongs_to(update: ModelUpdate, model: ContinualModel | None) -> bool:
    """Whether an update is one of this model, and not of a deleted model of the same name."""
    return model is not None and update.spec.request.author == operator_identity(model)


def knows_place_of_runs(update: ModelUpdate, model: ContinualModel) -> bool:
    """Whether an update names the back end and the registry that its model has now."""
    return (update.spec.backend, update.spec.registry) == (model.spec.backend.location, model.spec.registry)


class OrphanedUpdates:
    """Finds and ends the updates of deleted models.

    Args:
        cluster: the API server.
        clock: returns the time, UTC.
        options: makes back ends.
        registries: the registries of all models.
    """

    def __init__(self, cluster: Cluster, clock: Clock, options: ReconcileOptions, registries: Registries) -> None:
        self._cluster, self._clock, self._options, self._registries = cluster, clock, options, registries

    def end_all(self, key: ReconcileKey, model: ContinualModel | None) -> AnamnesisError | None:
        """Ends the updates of deleted models of a name.

        Args:
            key: namespace and name.
            model: the model that has the name now; none if it is gone. One that is being deleted counts as gone.

        Returns:
            Why an update could not be ended yet; its condition ``Decided`` says so too.
        """
        is_gone = model is None or model.metadata.deletion_timestamp is not None
        orphans_by_place = defaultdict(list)
        for update in self._cluster.list(ModelUpdate, key.namespace, {"spec.model": key.name}):
            if is_gone or not belongs_to(update, model):
                orphans_by_place[update.spec.request.author, update.spec.backend, update.spec.registry].append(update)
        problem: AnamnesisError | None = None
        for orphans in orphans_by_place.values():
            try:
                self._end_updates(_model_of(orphans[0], model), orphans, is_name_free=is_gone)
            except (ClusterDownError, LeadershipLostError):
                raise
            except AnamnesisError as error:
                problem = error
                self._report(orphans, error)
        return problem

    def _end_updates(
        self, deleted_model: LoadedResource[ContinualModel] | None, orphans: Sequence[ModelUpdate], is_name_free: bool
    ) -> None:
        """Ends updates of one deleted model. Without a model of its name, runs of evaluations are its own too."""
        names = [orphan.metadata.name for orphan in orphans]
        if deleted_model is None:
            log.warning("%s: an earlier release created them, so their runs are not known and go on", ", ".join(names))
        else:
            log.info("%s: their model was deleted; the operator ends their runs and claims", ", ".join(names))
            self._cancel_runs(deleted_model, orphans, is_name_free)
            self._release_claims(deleted_model, orphans[0].spec.request.author)
        for orphan in orphans:
            self._cluster.delete(orphan)

    def _cancel_runs(
        self, deleted_model: LoadedResource[ContinualModel], orphans: Sequence[ModelUpdate], is_name_free: bool
    ) -> None:
        pattern = re.compile("|".join(rf"{re.escape(orphan.metadata.name)}-[0-9]+" for orphan in orphans))

        def is_orphaned(run: Run) -> bool:
            return not run.state.is_final and bool(is_name_free or pattern.fullmatch(run.name))

        try:
            backend = make_guarded_backend(
                lambda: self._options.backend_factory(deleted_model), self._cluster.ensure_leader
            )
            for run in filter(is_orphaned, backend.runs(name_prefix(deleted_model.name))):
                backend.cancel(run)
        except BackendError as error:
            if not all(orphan.status.is_true(DECIDED) for orphan in orphans):
                raise
            log.warning("%s: deleted; no update was running, and the back end is away: %s", deleted_model.name, error)

    def _release_claims(self, deleted_model: LoadedResource[ContinualModel], author: str) -> None:
        """A registry that can never be opened again, for example without its Secret, does not hold the updates."""
        try:
            release_claims(self._registries.open_registry(deleted_model), author, self._clock())
        except (ClusterDownError, LeadershipLostError, ConflictError, UnreachableError):
            raise
        except AnamnesisError as error:
            log.warning("%s: deleted, but its claims hold until they expire: %s", deleted_model.name, error)

    def _report(self, orphans: Sequence[ModelUpdate], error: AnamnesisError) -> None:
        for orphan in orphans:
            metadata = orphan.metadata
            message = (
                f"the model was deleted, and its run or claim cannot be ended yet; the operator tries again: {error}. "
                f"To give up, and leave the run alone: kubectl -n {metadata.namespace} delete modelupdate "
                f"{metadata.name}"
            )
            condition = make_condition(DECIDED, False, MODEL_DELETED, message)
            other_conditions = [current for current in orphan.status.conditions if current.type != DECIDED]
            conditions = merge_conditions(
                orphan.status.conditions, [*other_conditions, condition], metadata.generation, self._clock()
            )
            self._cluster.put_status(orphan, orphan.status.model_copy(update={"conditions": conditions}))


def _model_of(update: ModelUpdate, model: ContinualModel | None) -> LoadedResource[ContinualModel] | None:
    """Returns what an update knows of its deleted model: name, back end and registry, and no other field.

    An update of an earlier release knows nothing, so its model must still exist; else none.
    """
    spec, metadata = update.spec, update.metadata
    file = Path(f"/{metadata.namespace}/{spec.model}")
    if spec.backend is None or spec.registry is None:
        return LoadedResource(model, file) if model and belongs_to(update, model) else None
    server = spec.backend.kubeflow
    kubeflow = KubeflowBackendSpec.model_validate(server.model_dump(by_alias=True)) if server else None
    deleted_spec = ContinualModelSpec.model_construct(
        backend=BackendSpec(type=spec.backend.type, kubeflow=kubeflow), registry=spec.registry, sites=()
    )
    deleted_metadata = ModelMetadata(name=spec.model, namespace=metadata.namespace)
    return LoadedResource(ContinualModel.model_construct(metadata=deleted_metadata, spec=deleted_spec), file)
