"""Reads the state of one model: resources, registry, back end. Everything that plan and statuses need is read here."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from anamnesis.operator.addresses import split_key_reference, store_url
from anamnesis.operator.api import ContinualModel, LoadedResource, Site, UpdateApproval
from anamnesis.operator.api.candidate_report import CandidateReport
from anamnesis.operator.api.update import ModelUpdate, name_prefix
from anamnesis.operator.backends.base import Backend, Run
from anamnesis.operator.backends.credentials import collect_credentials
from anamnesis.operator.backends.guarded_backend import BackendError, make_guarded_backend
from anamnesis.operator.controllers.continualmodel.gate_decisions import (
    decide_versions,
    undecided_versions,
    versions_and_bases,
)
from anamnesis.operator.controllers.continualmodel.jobs import mark_outdated_runs
from anamnesis.operator.controllers.continualmodel.log_verification import verify_entries
from anamnesis.operator.controllers.continualmodel.names import evaluation_name
from anamnesis.operator.controllers.continualmodel.orphaned_updates import belongs_to
from anamnesis.operator.controllers.continualmodel.registry_reader import (
    read_evaluation_schedule,
    read_registry,
    read_stored_evaluations,
)
from anamnesis.operator.controllers.continualmodel.reports import build_reports, unreported_versions
from anamnesis.operator.controllers.continualmodel.run_failures import RunFailures
from anamnesis.operator.controllers.continualmodel.state import (
    BackendProblem,
    ModelState,
    RegistryState,
    StoredEvaluations,
)
from anamnesis.operator.controllers.continualmodel.validation import (
    check_split_keys,
    check_store_urls,
    check_task_definitions,
)
from anamnesis.operator.controllers.options import ReconcileOptions
from anamnesis.operator.controllers.registries import Registries
from anamnesis.operator.controllers.registry_access import operator_identity
from anamnesis.operator.requests import gate_policy, learned_site_refs, network_settings
from anamnesis.operator.runtime.cluster import Cluster
from anamnesis.operator.spec_checks import find_problems
from anamnesis.records import AnamnesisError, Decision, InputError, SiteRef
from anamnesis.records.network_differences import find_network_problem
from anamnesis.records.timestamps import Clock
from anamnesis.registry import RequiredTestSet
from anamnesis.registry.registry_store import RegistryStore
from anamnesis.snapshots import current_test_set
from anamnesis.storage import Store


@dataclass(frozen=True, slots=True)
class ModelServices:
    """What the actions of a model change besides the cluster.

    Attributes:
        registry: its registry.
        backend: runs its pipelines; none where it is not usable, and then no plan has an action for it.
    """

    registry: Store
    backend: Backend | None


class StateReader:
    """Reads the states of models.

    Args:
        cluster: the API server.
        clock: returns the time, UTC.
        options: makes back ends.
        registries: the registries and stores of all models.
    """

    def __init__(self, cluster: Cluster, clock: Clock, options: ReconcileOptions, registries: Registries) -> None:
        self._cluster, self._clock, self._options, self._registries = cluster, clock, options, registries
        self._run_failures = RunFailures()

    def read(
        self,
        loaded_model: LoadedResource[ContinualModel],
        previous_state: ModelState | None = None,
        backend_problem: BackendProblem | None = None,
    ) -> tuple[ModelState, ModelServices]:
        """Reads a model's state. A back end that is not usable is a value of the state, not an error.

        Args:
            loaded_model: which model.
            previous_state: of a moment ago; evaluations that it has are not read again.
            backend_problem: why the back end is not usable, as an action showed a moment ago; it is not asked then.

        Raises:
            InputError: a resource is not valid on a cluster, or a Secret is missing.
            AnamnesisError: the registry is not reachable, or damaged.
        """
        model, namespace = loaded_model.resource, loaded_model.resource.metadata.namespace or ""
        sites = self._read_sites(loaded_model)
        all_updates = self._cluster.list(ModelUpdate, namespace, {"spec.model": loaded_model.name})
        updates = [update for update in all_updates if belongs_to(update, model)]
        # runs before results: a run that is seen as ended has its result in the registry that is read after it
        backend, runs, backend_problem = self._read_runs(loaded_model, updates, backend_problem)
        store, registry = self._read_registry(loaded_model, sites)
        now = self._clock()
        learned_sites, store_error = self._read_learned_sites(loaded_model, sites, registry)
        gate_state = _read_gate_state(store, model, registry, updates, learned_sites, previous_state)
        schedule = read_evaluation_schedule(store, model, registry.champion, now)
        unfinished = {update.metadata.name for update in updates if registry.result_of(update) is None}
        if schedule.due_at and not schedule.due_result:
            unfinished.add(evaluation_name(loaded_model.name, schedule.due_at))
        state = ModelState(
            model=loaded_model,
            sites=sites,
            namespace_sites=self._read_namespace_sites(loaded_model, sites),
            updates=tuple(sorted(updates, key=_creation_order)),
            registry=registry,
            learned_sites=learned_sites,
            store_error=store_error,
            evaluations=gate_state.evaluations,
            gate_decisions=gate_state.decisions,
            reports=gate_state.reports,
            schedule=schedule,
            runs=self._run_failures.explain(runs, unfinished, store, operator_identity(model), now),
            backend_problem=backend_problem,
            split_keys=self._split_keys(loaded_model, sites),
            spec_problem="; ".join(_find_spec_problems(loaded_model, sites, registry)),
            secret_problem=self._find_secret_problem(loaded_model),
            now=now,
        )
        return state, ModelServices(store, backend)

    def _read_registry(
        self, loaded_model: LoadedResource[ContinualModel], sites: Mapping[str, LoadedResource[Site]]
    ) -> tuple[RegistryStore, RegistryState]:
        """The registry and its state. Approvals are read after the log: each entry of a person has its approval."""
        model_registry = self._registries.open_model(loaded_model, sites)
        store, entries = model_registry.store, model_registry.entries
        model = loaded_model.resource
        is_signed = bool(store.signing.public_keys)  # else nothing is verified, and the approvals are not needed
        approvals = self._cluster.list(UpdateApproval, model.metadata.namespace or "") if is_signed else ()
        registry = replace(
            read_registry(store, entries),
            is_established=model_registry.is_established,
            verification=verify_entries(model, entries, approvals, store.signing),
        )
        return store, registry

    def _split_keys(
        self, loaded_model: LoadedResource[ContinualModel], sites: Mapping[str, LoadedResource[Site]]
    ) -> Mapping[str, str]:
        folder = self._options.state_folder / (loaded_model.resource.metadata.namespace or "")
        return {name: split_key_reference(loaded_model, site, folder / "split.key") for name, site in sites.items()}

    def _read_runs(
        self,
        loaded_model: LoadedResource[ContinualModel],
        updates: Sequence[ModelUpdate],
        problem: BackendProblem | None,
    ) -> tuple[Backend | None, tuple[Run, ...], BackendProblem | None]:
        """The back end and the model's runs; none where ``problem`` is given or found."""
        if problem:
            return None, (), problem
        try:
            backend = make_guarded_backend(
                lambda: self._options.backend_factory(loaded_model), self._cluster.ensure_leader
            )
            return backend, mark_outdated_runs(backend, backend.runs(name_prefix(loaded_model.name)), updates), None
        except BackendError as error:
            return None, (), BackendProblem(error.reason, str(error))

    def refresh_model(self, loaded_model: LoadedResource[ContinualModel]) -> LoadedResource[ContinualModel]:
        """Returns the model as it is now; a deleted one as it was."""
        namespace = loaded_model.resource.metadata.namespace or ""
        return LoadedResource(
            self._cluster.get(ContinualModel, namespace, loaded_model.name) or loaded_model.resource, loaded_model.file
        )

    def _find_secret_problem(self, loaded_model: LoadedResource[ContinualModel]) -> str:
        """Why a Secret of the model, which each run needs, cannot be used; the Sites report their own Secrets."""
        namespace = loaded_model.resource.metadata.namespace or ""
        try:
            collect_credentials(loaded_model.resource.spec, (), lambda name: self._cluster.read_secret(namespace, name))
        except InputError as error:
            return str(error)
        return ""

    def _read_sites(self, loaded_model: LoadedResource[ContinualModel]) -> Mapping[str, LoadedResource[Site]]:
        sites = self._registries.read_sites(loaded_model)
        check_store_urls(loaded_model, sites)
        check_split_keys(loaded_model, sites)
        check_task_definitions(loaded_model, sites)
        return sites

    def _read_namespace_sites(
        self, loaded_model: LoadedResource[ContinualModel], sites: Mapping[str, LoadedResource[Site]]
    ) -> Mapping[str, LoadedResource[Site]]:
        """All Sites of the namespace, where one of the model's is missing: it may have another name now."""
        if len(sites) == len(loaded_model.resource.spec.sites):
            return {}
        return self._registries.read_namespace_sites(loaded_model)

    def _read_learned_sites(
        self,
        loaded_model: LoadedResource[ContinualModel],
        sites: Mapping[str, LoadedResource[Site]],
        registry: RegistryState,
    ) -> tuple[tuple[SiteRef, ...], AnamnesisError | None]:
        """The learned sites, or why they are not readable: a site's store must not stop what does without it."""
        names = {version.site for _, version in registry.lineage} & set(sites)
        environment = self._registries.environment_of(loaded_model)
        try:
            stores = {name: self._registries.open_store(store_url(sites[name]), environment) for name in names}
            test_sets = {name: current_test_set(store) for name, store in stores.items()}
        except AnamnesisError as error:
            return (), error
        return learned_site_refs(registry.lineage, sites, test_sets), None


@dataclass(frozen=True, slots=True)
class _GateState:
    evaluations: StoredEvaluations
    decisions: Mapping[str, Decision]
    reports: Mapping[str, CandidateReport]


def _find_spec_problems(
    loaded_model: LoadedResource[ContinualModel], sites: Mapping[str, LoadedResource[Site]], registry: RegistryState
) -> Iterator[str]:
    yield from find_problems(loaded_model, sites)
    champion = registry.versions[registry.champion] if registry.champion else None
    if network_problem := find_network_problem(network_settings(loaded_model.resource.spec.network), champion):
        yield network_problem


def _read_gate_state(
    store: Store,
    model: ContinualModel,
    registry: RegistryState,
    updates: Sequence[ModelUpdate],
    learned_sites: Sequence[SiteRef],
    previous_state: ModelState | None,
) -> _GateState:
    """Reads the evaluations of the champion, of undecided versions and of their bases, and lets the gate decide."""
    learned_tests = [RequiredTestSet(site.name, site.task, site.test_set, is_new_site=False) for site in learned_sites]
    undecided, unreported = undecided_versions(updates, registry), unreported_versions(updates, registry)
    judged_versions = tuple({item.update: item for item in (*undecided, *unreported)}.values())
    evaluations = read_stored_evaluations(
        store,
        versions=tuple(filter(None, (registry.champion, *versions_and_bases(judged_versions, registry)))),
        tests=(*learned_tests, *(test for item in judged_versions for test in item.tests)),
        history=registry.history,
        previous=previous_state.evaluations if previous_state else None,
    )
    decisions = decide_versions(undecided, gate_policy(model.spec), registry, evaluations)
    return _GateState(evaluations, decisions, build_reports(judged_versions, decisions, registry, evaluations))


def _creation_order(update: ModelUpdate) -> tuple[float, str]:
    created_at = update.metadata.creation_timestamp
    return (created_at.timestamp() if created_at else 0.0, update.metadata.name)
