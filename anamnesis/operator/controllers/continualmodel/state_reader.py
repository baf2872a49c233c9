"""Reads the state of one model: resources, registry, back end. Everything that plan and statuses need is read here."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from anamnesis.operator.addresses import registry_url, split_key_reference, store_url
from anamnesis.operator.api import ContinualModel, LoadedResource, Site
from anamnesis.operator.api.annotations import LOST_LOG_HEAD
from anamnesis.operator.api.approval import UpdateApproval
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.backends.base import Backend
from anamnesis.operator.backends.credentials import collect_credentials
from anamnesis.operator.backends.guarded_backend import make_guarded_backend
from anamnesis.operator.controllers.continualmodel.gate_decisions import (
    best_promoted_scores,
    decide_versions,
    undecided_versions,
)
from anamnesis.operator.controllers.continualmodel.log_verification import verify_entries
from anamnesis.operator.controllers.continualmodel.names import name_prefix
from anamnesis.operator.controllers.continualmodel.registry_access import RegistryAccess
from anamnesis.operator.controllers.continualmodel.registry_reader import (
    read_evaluation_schedule,
    read_registry,
    read_stored_evaluations,
)
from anamnesis.operator.controllers.continualmodel.reports import build_reports, unreported_versions
from anamnesis.operator.controllers.continualmodel.state import ModelState, RegistryState
from anamnesis.operator.controllers.continualmodel.validation import (
    check_log_head,
    check_registry_url,
    check_split_keys,
    check_store_urls,
    check_task_definitions,
)
from anamnesis.operator.controllers.options import Environment, ReconcileOptions
from anamnesis.operator.requests import gate_policy, learned_site_refs
from anamnesis.operator.runtime.cluster import Cluster
from anamnesis.operator.source_credentials import AWS_KEYS
from anamnesis.operator.spec_checks import find_problems
from anamnesis.records import AnamnesisError, InputError, IntegrityError, LogEntry, SiteRef
from anamnesis.records.timestamps import Clock
from anamnesis.registry import Log, RequiredTestSet
from anamnesis.snapshots import current_test_set
from anamnesis.storage import Store
from anamnesis.storage.cached import CachedStore


@dataclass(frozen=True, slots=True)
class ModelServices:
    """What the actions of a model change besides the cluster.

    Attributes:
        registry: its registry.
        backend: runs its pipelines.
    """

    registry: Store
    backend: Backend


class StateReader:
    """Reads the states of models; keeps a cache of each registry and store."""

    def __init__(self, cluster: Cluster, clock: Clock, options: ReconcileOptions) -> None:
        self._cluster, self._clock, self._options = cluster, clock, options
        self._registry_access = RegistryAccess(cluster.cluster_uid, clock, options.signing_key)
        self._stores: dict[tuple[str, frozenset[tuple[str, str]]], Store] = {}

    def read(
        self, loaded_model: LoadedResource[ContinualModel], previous_state: ModelState | None = None
    ) -> tuple[ModelState, ModelServices]:
        """Reads a model's state.

        Approvals are read after the updates: no approval names an update that is read later.

        Args:
            loaded_model: which model.
            previous_state: of a moment ago; evaluations that it has are not read again.

        Raises:
            InputError: a resource is not valid on a cluster, or a Secret is missing.
            BackendDownError: the back end is not reachable.
            AnamnesisError: the registry is not reachable, or damaged.
        """
        model, namespace = loaded_model.resource, loaded_model.resource.metadata.namespace or ""
        check_registry_url(loaded_model)
        environment = self._model_environment(loaded_model)
        sites = self._read_sites(loaded_model)
        check_store_urls(loaded_model, sites)
        check_split_keys(loaded_model, sites)
        check_task_definitions(loaded_model, sites)
        updates = self._cluster.list(ModelUpdate, namespace, {"spec.model": loaded_model.name})
        plain_store, entries = self._read_log(loaded_model, environment)
        store, is_established = self._registry_access.open(loaded_model, sites, plain_store, entries)
        approvals = self._read_approvals(loaded_model, updates)
        admission_policy_since = self._cluster.approval_policy_in_force_since()
        backend = make_guarded_backend(lambda: self._options.backend_factory(loaded_model), self._cluster.ensure_leader)
        now = self._clock()
        registry = replace(
            read_registry(store, entries),
            is_established=is_established,
            verification=verify_entries(model, entries, approvals, store.signing),
        )
        learned_sites, store_error = self._read_learned_sites(sites, registry, environment)
        learned_tests = [
            RequiredTestSet(site.name, site.task, site.test_set, is_new_site=False) for site in learned_sites
        ]
        undecided, unreported = undecided_versions(updates, registry), unreported_versions(updates, registry)
        judged_versions = tuple({item.update: item for item in (*undecided, *unreported)}.values())
        evaluations = read_stored_evaluations(
            store,
            versions=(*registry.history.promoted_versions, *(item.version for item in judged_versions)),
            tests=(*learned_tests, *(test for item in judged_versions for test in item.tests)),
            previous=previous_state.evaluations if previous_state else None,
        )
        gate_decisions = decide_versions(undecided, gate_policy(model.spec.gate), registry, evaluations)
        state = ModelState(
            model=loaded_model,
            sites=sites,
            updates=tuple(sorted(updates, key=_creation_order)),
            approvals=approvals,
            admission_policy_since=admission_policy_since,
            registry=registry,
            learned_sites=learned_sites,
            store_error=store_error,
            evaluations=evaluations,
            best_scores=best_promoted_scores(learned_tests, registry, evaluations),
            gate_decisions=gate_decisions,
            reports=build_reports(judged_versions, gate_decisions, registry, evaluations),
            schedule=read_evaluation_schedule(store, model, registry.champion, now),
            runs=backend.runs(name_prefix(loaded_model.name)),
            split_keys={
                name: split_key_reference(loaded_model, site, self._options.state_folder / namespace / "split.key")
                for name, site in sites.items()
            },
            spec_problem="; ".join((*find_problems(loaded_model, sites), *self._secret_problems(loaded_model))),
            now=now,
        )
        return state, ModelServices(store, backend)

    def open_registry(self, loaded_model: LoadedResource[ContinualModel]) -> Store:
        """Returns a model's registry.

        Raises:
            InputError: the Secret with its credentials is missing.
        """
        store = self._open_cached_store(registry_url(loaded_model), self._model_environment(loaded_model))
        return self._registry_access.sign(loaded_model, store)

    def establish_registry(self, state: ModelState, services: ModelServices) -> None:
        """Prepares a registry for the first entry of this operator."""
        self._registry_access.establish(state.model, state.sites, services.registry, state.registry.entries)

    def refresh_model(self, loaded_model: LoadedResource[ContinualModel]) -> LoadedResource[ContinualModel]:
        """Returns the model as it is now; a deleted one as it was."""
        namespace = loaded_model.resource.metadata.namespace or ""
        return LoadedResource(
            self._cluster.get(ContinualModel, namespace, loaded_model.name) or loaded_model.resource, loaded_model.file
        )

    def _secret_problems(self, loaded_model: LoadedResource[ContinualModel]) -> tuple[str, ...]:
        """Why a Secret of the model, which each run needs, cannot be used; the Sites report their own Secrets."""
        namespace = loaded_model.resource.metadata.namespace or ""
        try:
            collect_credentials(loaded_model.resource.spec, (), lambda name: self._cluster.read_secret(namespace, name))
        except InputError as error:
            return (str(error),)
        return ()

    def _read_sites(self, loaded_model: LoadedResource[ContinualModel]) -> dict[str, LoadedResource[Site]]:
        namespace = loaded_model.resource.metadata.namespace or ""
        site_by_name = {site.metadata.name: site for site in self._cluster.list(Site, namespace)}
        return {
            reference.name: LoadedResource(site_by_name[reference.name], Path(f"/{namespace}/{reference.name}"))
            for reference in loaded_model.resource.spec.sites
            if reference.name in site_by_name
        }

    def _read_learned_sites(
        self, sites: Mapping[str, LoadedResource[Site]], registry: RegistryState, environment: Environment
    ) -> tuple[tuple[SiteRef, ...], AnamnesisError | None]:
        """The learned sites, or why they are not readable: a site's store must not stop what does without it."""
        names = {version.site for _, version in registry.lineage} & set(sites)
        try:
            stores = {name: self._open_cached_store(store_url(sites[name]), environment) for name in names}
            test_sets = {name: current_test_set(store) for name, store in stores.items()}
        except AnamnesisError as error:
            return (), error
        return learned_site_refs(registry.lineage, sites, test_sets), None

    def _read_log(
        self, loaded_model: LoadedResource[ContinualModel], environment: Environment
    ) -> tuple[Store, tuple[LogEntry, ...]]:
        """Reads a registry's log. Where the log has changed, the cache may be that of a registry that was replaced."""
        model, url = loaded_model.resource, registry_url(loaded_model)
        try:
            registry = self._open_cached_store(url, environment)
            entries = Log(registry).entries()
            check_log_head(model, entries)
        except IntegrityError:
            self._stores.clear()
            registry = self._open_cached_store(url, environment)
            entries = Log(registry).entries()
            check_log_head(model, entries, lost_head=model.metadata.annotations.get(LOST_LOG_HEAD, ""))
        return registry, entries

    def _read_approvals(
        self, loaded_model: LoadedResource[ContinualModel], updates: tuple[ModelUpdate, ...]
    ) -> tuple[UpdateApproval, ...]:
        """The approvals that name this model, or one of its updates, even a deleted one."""
        update_names = {update.metadata.name for update in updates}
        approvals = self._cluster.list(UpdateApproval, loaded_model.resource.metadata.namespace or "")
        model_approvals = [
            approval
            for approval in approvals
            if approval.spec.model == loaded_model.name
            or approval.spec.update in update_names
            or _names_update_of(approval, loaded_model.name)
        ]
        return tuple(sorted(model_approvals, key=_creation_order))

    def _model_environment(self, loaded_model: LoadedResource[ContinualModel]) -> Environment:
        reference = loaded_model.resource.spec.registry.credentials_secret
        if reference is None:
            return self._options.environment
        secret = self._cluster.read_secret(loaded_model.resource.metadata.namespace or "", reference.name)
        if secret is None:
            raise InputError(
                f"spec.registry.credentialsSecret: the Secret {reference.name!r} does not exist or is not readable; "
                "create the Secret in the model's namespace, or give the operator the right to read it"
            )
        environment = {**self._options.environment, **secret}
        missing_keys = [key for key in AWS_KEYS if not environment.get(key)]
        if loaded_model.resource.spec.registry.url.startswith("s3://") and missing_keys:
            raise InputError(
                f"spec.registry.credentialsSecret: the Secret {reference.name!r} has no key "
                f"{' and no key '.join(missing_keys)}; add the keys of the bucket"
            )
        return environment

    def _open_cached_store(self, url: str, environment: Environment) -> Store:
        key = (url, frozenset((name, value) for name, value in environment.items() if name.startswith("AWS_")))
        if key not in self._stores:
            store = self._options.open_store(url, environment)
            self._stores[key] = CachedStore(store, before_write=self._cluster.ensure_leader)
        return self._stores[key]


def _names_update_of(approval: UpdateApproval, model: str) -> bool:
    """Whether it names an update that this model might have had: the name's part before the digest."""
    return (approval.spec.update or "").rpartition("-")[0] == name_prefix(model)[:-1]


def _creation_order(resource: ModelUpdate | UpdateApproval) -> tuple[float, str]:
    created_at = resource.metadata.creation_timestamp
    return (created_at.timestamp() if created_at else 0.0, resource.metadata.name)
