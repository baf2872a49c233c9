"""Checks of a model before it is reconciled, which neither the types nor the API server can make."""

from collections.abc import Mapping

from anamnesis.operator.addresses import registry_url, store_url
from anamnesis.operator.api import ContinualModel, LoadedResource, Site
from anamnesis.records import InputError


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
