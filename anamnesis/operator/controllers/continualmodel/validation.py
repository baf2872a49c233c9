"""Checks of a model before it is reconciled, which neither the types nor the API server can make."""

from collections.abc import Mapping, Sequence

from anamnesis.operator.addresses import registry_url, store_url
from anamnesis.operator.api import ContinualModel, LoadedResource, Site
from anamnesis.operator.api.annotations import LOST_LOG_HEAD
from anamnesis.records import InputError, IntegrityError, LogEntry
from anamnesis.registry import LogPosition


def check_registry_url(model: LoadedResource[ContinualModel]) -> None:
    """Refuses a relative URL: only a file on a laptop has a folder that a URL can be relative to.

    Raises:
        InputError: the registry's URL is relative.
    """
    url = model.resource.spec.registry.url
    if not url.startswith(("s3://", "file:///")):
        raise InputError(f"spec.registry.url: expected s3://... or file:///... on a cluster, found {url!r}")


def check_store_urls(model: LoadedResource[ContinualModel], sites: Mapping[str, LoadedResource[Site]]) -> None:
    """Refuses a relative store, and a store that overlaps the registry, which more users may read than images.

    Raises:
        InputError: names the site.
    """
    registry_prefix = f"{registry_url(model)}/"
    for site in sites.values():
        field_path, url = f"Site {site.name}: spec.store", site.resource.spec.store
        if not url.startswith(("s3://", "file:///")):
            raise InputError(f"{field_path}: expected s3://... or file:///... on a cluster, found {url!r}")
        store_prefix = f"{store_url(site)}/"
        if store_prefix.startswith(registry_prefix) or registry_prefix.startswith(store_prefix):
            raise InputError(
                f"{field_path}: {url} overlaps the registry: users who may read weights could read images; "
                "use a bucket or folder that only the steps of this site can read"
            )


def check_split_keys(model: LoadedResource[ContinualModel], sites: Mapping[str, LoadedResource[Site]]) -> None:
    """Refuses a site on Kubeflow whose pods could not read a split key.

    Raises:
        InputError: names the site.
    """
    spec = model.resource.spec
    if spec.backend.type != "Kubeflow":
        return
    for site in sites.values():
        own_key = site.resource.spec.split_key
        if own_key is None and spec.split_key is None:
            raise InputError(
                f"spec.splitKey: backend Kubeflow needs a splitKey of type Secret or Environment, because Site "
                f"{site.name} has no spec.splitKey; set one of them"
            )
        if own_key and own_key.type == "File":
            raise InputError(
                f"Site {site.name}: spec.splitKey: backend Kubeflow excludes type File, because its pods cannot read "
                "your files; set type: Secret"
            )


def check_log_head(model: ContinualModel, entries: Sequence[LogEntry], lost_head: str = "") -> None:
    """Compares the registry's log with the head in the status: a user who can cut the log cannot change the status.

    Args:
        model: its status has the head.
        entries: of the log.
        lost_head: the head ``<number>:<digest>`` that a person knows to be lost: the log need not have it. No later
            log has this head, so the annotation counts once.

    Raises:
        IntegrityError: the log was cut or rewritten.
    """
    recorded_head = model.status.log_head
    if not recorded_head or (
        len(entries) >= recorded_head.number and entries[recorded_head.number - 1].digest == recorded_head.digest
    ):
        return
    head, metadata = str(LogPosition(recorded_head.number, recorded_head.digest)), model.metadata
    if lost_head != head:
        raise IntegrityError(
            f"the registry's log was cut or rewritten: it has {len(entries)} entries, and its entry "
            f"{recorded_head.number} is not the one that status.logHead names. Restore a copy of the registry "
            "that has this entry. If there is none, run "
            f"'anamnesis registry verify --registry {model.spec.registry.url}', then continue without the entry: "
            f"kubectl -n {metadata.namespace} annotate --overwrite continualmodel {metadata.name} "
            f"{LOST_LOG_HEAD}={head}"
        )


def check_task_definitions(model: LoadedResource[ContinualModel], sites: Mapping[str, LoadedResource[Site]]) -> None:
    """Refuses two sites that define one task differently.

    Raises:
        InputError: names both.
    """
    first_sites: dict[str, LoadedResource[Site]] = {}
    for site in sites.values():
        task = site.resource.spec.task
        other_site = first_sites.setdefault(task.name, site)
        if other_site.resource.spec.task != task:
            raise InputError(
                f"spec.sites: task {task.name!r} differs between Site {other_site.name} and Site {site.name}; "
                "remove one of them from spec.sites, or replace it by a Site with equal type, classes and primaryMetric"
            )
