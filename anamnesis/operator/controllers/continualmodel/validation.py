"""What must hold before a model is worked on, that neither types nor API server can see."""

from collections.abc import Mapping, Sequence

from anamnesis.operator.addresses import registry_url, store_url
from anamnesis.operator.api import ContinualModel, Loaded, Site
from anamnesis.records import InputError, IntegrityError, LogEntry
from anamnesis.registry import Head

LOST = "registry.anamnesis.dev/lost"
"""Annotation of a ContinualModel: the head of its registry's log that a person knows to be lost, as after a restore."""


def check_absolute(model: Loaded[ContinualModel]) -> None:
    """Refuses what only a file on a laptop can be relative to.

    Raises:
        InputError: the registry's URL is relative.
    """
    url = model.resource.spec.registry.url
    if not url.startswith(("s3://", "file:///")):
        raise InputError(f"spec.registry.url: expected s3://... or file:///... on a cluster, found {url!r}")


def check_stores(model: Loaded[ContinualModel], sites: Mapping[str, Loaded[Site]]) -> None:
    """Refuses a store of images that only a laptop finds, or that lies where weights lie, which others may read.

    Raises:
        InputError: names the site.
    """
    registry = f"{registry_url(model)}/"
    for site in sites.values():
        place, url = f"Site {site.name}: spec.store", site.resource.spec.store
        if not url.startswith(("s3://", "file:///")):
            raise InputError(f"{place}: expected s3://... or file:///... on a cluster, found {url!r}")
        own = f"{store_url(site)}/"
        if own.startswith(registry) or registry.startswith(own):
            raise InputError(
                f"{place}: {url} and the registry lie in each other: who may read weights would find images there; "
                "name a bucket or folder that only this site's steps can read"
            )


def check_anchor(model: ContinualModel, entries: Sequence[LogEntry], lost: str = "") -> None:
    """Holds the registry's log to what the status last saw of it: whoever cuts the one cannot reach the other.

    Args:
        model: its status has the head.
        entries: of the log.
        lost: the head ``<number>:<digest>`` that a person knows to be lost; the log need not have that one. It is
            never a head again, so their word counts once.

    Raises:
        IntegrityError: the log was cut or rewritten.
    """
    seen = model.status.head
    if not seen or (len(entries) >= seen.number and entries[seen.number - 1].digest == seen.digest):
        return
    head = str(Head(seen.number, seen.digest))
    if lost != head:
        raise IntegrityError(
            f"the registry's log has {len(entries)} entries, and its entry {seen.number} is not the one that "
            "status.head names: it was cut or rewritten; restore a copy that has this entry, or where there is none, "
            f"after 'anamnesis registry verify', go on without it: kubectl annotate --overwrite continualmodel "
            f"{model.metadata.name} {LOST}={head}"
        )


def check_tasks(model: Loaded[ContinualModel], sites: Mapping[str, Loaded[Site]]) -> None:
    """Refuses two sites that mean different things by one task's name.

    Raises:
        InputError: names both.
    """
    first: dict[str, Loaded[Site]] = {}
    for site in sites.values():
        task = site.resource.spec.task
        other = first.setdefault(task.name, site)
        if other.resource.spec.task != task:
            raise InputError(
                f"spec.sites: {task.name!r} is another task on Site {site.name} than on Site {other.name}; "
                "equal names need equal types, classes and metrics"
            )
