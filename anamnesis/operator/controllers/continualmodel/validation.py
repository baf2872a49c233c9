"""What must hold before a model is worked on, that neither types nor API server can see."""

from collections.abc import Mapping, Sequence

from anamnesis.operator.addresses import registry_url, store_url
from anamnesis.operator.api import ContinualModel, LoadedResource, Site
from anamnesis.records import InputError, IntegrityError, LogEntry
from anamnesis.registry import LogPosition

LOST_HEAD_ANNOTATION = "registry.anamnesis.dev/lost"
"""Annotation of a ContinualModel: the head of its registry's log that a person knows to be lost, as after a restore."""


def check_registry_url(model: LoadedResource[ContinualModel]) -> None:
    """Refuses what only a file on a laptop can be relative to.

    Raises:
        InputError: the registry's URL is relative.
    """
    url = model.resource.spec.registry.url
    if not url.startswith(("s3://", "file:///")):
        raise InputError(f"spec.registry.url: expected s3://... or file:///... on a cluster, found {url!r}")


def check_store_urls(model: LoadedResource[ContinualModel], sites: Mapping[str, LoadedResource[Site]]) -> None:
    """Refuses a store of images that only a laptop finds, or that lies where weights lie, which others may read.

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
                f"{field_path}: {url} and the registry lie in each other: who may read weights would find images there; "
                "name a bucket or folder that only this site's steps can read"
            )


def check_log_head(model: ContinualModel, entries: Sequence[LogEntry], lost_head: str = "") -> None:
    """Holds the registry's log to what the status last saw of it: whoever cuts the one cannot reach the other.

    Args:
        model: its status has the head.
        entries: of the log.
        lost_head: the head ``<number>:<digest>`` that a person knows to be lost; the log need not have that one. It is
            never a head again, so their word counts once.

    Raises:
        IntegrityError: the log was cut or rewritten.
    """
    recorded_head = model.status.log_head
    if not recorded_head or (
        len(entries) >= recorded_head.number and entries[recorded_head.number - 1].digest == recorded_head.digest
    ):
        return
    head = str(LogPosition(recorded_head.number, recorded_head.digest))
    if lost_head != head:
        raise IntegrityError(
            f"the registry's log has {len(entries)} entries, and its entry {recorded_head.number} is not the one that "
            "status.head names: it was cut or rewritten; restore a copy that has this entry, or where there is none, "
            f"after 'anamnesis registry verify', go on without it: kubectl annotate --overwrite continualmodel "
            f"{model.metadata.name} {LOST_HEAD_ANNOTATION}={head}"
        )


def check_task_definitions(model: LoadedResource[ContinualModel], sites: Mapping[str, LoadedResource[Site]]) -> None:
    """Refuses two sites that mean different things by one task's name.

    Raises:
        InputError: names both.
    """
    first_sites: dict[str, LoadedResource[Site]] = {}
    for site in sites.values():
        task = site.resource.spec.task
        other_site = first_sites.setdefault(task.name, site)
        if other_site.resource.spec.task != task:
            raise InputError(
                f"spec.sites: {task.name!r} is another task on Site {site.name} than on Site {other_site.name}; "
                "equal names need equal types, classes and metrics"
            )
