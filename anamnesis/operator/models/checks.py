"""What must hold before a model is worked on, that neither types nor API server can see."""

from collections.abc import Mapping, Sequence

from anamnesis.operator.api import ContinualModel, Loaded, Site
from anamnesis.records import InputError, IntegrityError, LogEntry


def check_absolute(model: Loaded[ContinualModel]) -> None:
    """Refuses what only a file on a laptop can be relative to.

    Raises:
        InputError: the registry's URL is relative.
    """
    url = model.resource.spec.registry.url
    if not url.startswith(("s3://", "file:///")):
        raise InputError(f"spec.registry.url: expected s3://... or file:///... on a cluster, found {url!r}")


def check_anchor(model: ContinualModel, entries: Sequence[LogEntry]) -> None:
    """Holds the registry's log to what the status last saw of it: whoever cuts the one cannot reach the other.

    Raises:
        IntegrityError: the log was cut or rewritten.
    """
    head = model.status.head
    if head and (len(entries) < head.number or entries[head.number - 1].digest != head.digest):
        raise IntegrityError(
            f"the registry's log has {len(entries)} entries, and its entry {head.number} is not the one that "
            "status.head names: it was cut or rewritten; restore it, or delete and apply the model to begin anew"
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
