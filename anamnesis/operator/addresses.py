"""The addresses that resources name: registries, stores, sources, keys. Pure functions."""

import re
from pathlib import Path

from anamnesis.operator.api import LoadedResource
from anamnesis.operator.api.model import ContinualModel
from anamnesis.operator.api.site import DICOMwebSource, OrthancSource, Site, SiteSpec
from anamnesis.operator.api.split_key import SplitKeySpec
from anamnesis.records import InputError
from anamnesis.snapshots.site_keys import OWN_KEY_PREFIX
from anamnesis.sources.study_filter import StudyFilter, parse_dicom_date

SPLIT_KEY_VARIABLE = "ANAMNESIS_SPLIT_KEY"
"""Environment variable that holds the network key where the model names a Secret."""
RUN_KEY_VARIABLE = "ANAMNESIS_RUN_KEY"
"""Environment variable that holds the private key with which a run signs its records."""


def absolute_url(url: str, folder: Path) -> str:
    """Returns ``url`` as ``s3://...`` or ``file:///...``; a relative path starts at ``folder``."""
    if url.startswith(("s3://", "file://")):
        return url.rstrip("/")
    return (folder / url).resolve().as_uri()


def registry_url(model: LoadedResource[ContinualModel]) -> str:
    """Returns the URL of the model's registry."""
    return absolute_url(model.resource.spec.registry.url, model.folder)


def weights_url(url: str, folder: Path) -> str:
    """Returns the URL of a file of weights; a relative path starts at ``folder``."""
    return url if url.startswith("package://") else absolute_url(url, folder)


def store_url(site: LoadedResource[Site]) -> str:
    """Returns the URL of the site's own store."""
    return absolute_url(site.resource.spec.store, site.folder)


def split_key_reference(model: LoadedResource[ContinualModel], site: LoadedResource[Site] | None, default: Path) -> str:
    """Returns where the key of a site is, as ``snapshots.read_site_key`` takes it; without a site, the network key.

    Args:
        model: the model, whose network key counts where the site has no own key.
        site: the site.
        default: the file of the network key where the model names none.
    """
    if site and (own_key := site.resource.spec.split_key):
        return OWN_KEY_PREFIX + _key_reference(own_key, site_key_variable(site.name), site.folder)
    network_key = model.resource.spec.split_key
    return _key_reference(network_key, SPLIT_KEY_VARIABLE, model.folder) if network_key else default.resolve().as_uri()


def site_key_variable(site: str) -> str:
    """Returns the environment variable of a site's own key, where the Site names a Secret."""
    return f"{SPLIT_KEY_VARIABLE}_{re.sub('[^A-Z0-9]', '_', site.upper())}"


def _key_reference(spec: SplitKeySpec, secret_variable: str, folder: Path) -> str:
    if spec.environment is not None:
        return f"env:{spec.environment.name}"
    if spec.secret is not None:
        return f"env:{secret_variable}"
    return absolute_url(spec.file.path if spec.file else "", folder)


def source_url(site: SiteSpec, folder: Path | None) -> str:
    """Returns the URL of a site's source, as ``SiteConfig.source`` has it.

    Args:
        site: the spec of the site. A DICOM server has the query of its studies in the URL.
        folder: the folder of relative paths; none on a cluster.

    Raises:
        InputError: the path is relative, and there is no folder.
    """
    source = site.source
    if source.s3:
        return source.s3.url.rstrip("/")
    if source.dicomweb:
        return f"dicomweb+{_dicom_address(source.dicomweb, site.modalities)}"
    if source.orthanc:
        return f"orthanc+{_dicom_address(source.orthanc, site.modalities)}"
    path = source.folder.path if source.folder else ""
    if folder is None and not path.startswith(("/", "file:///")):
        raise InputError(f"spec.source.folder.path: expected an absolute path on a cluster, found {path!r}; correct it")
    return absolute_url(path, folder or Path("/"))


def _dicom_address(server: DICOMwebSource | OrthancSource, site_modalities: tuple[str, ...]) -> str:
    query = server.query
    study_filter = StudyFilter(
        modalities=site_modalities if query.modalities is None else query.modalities,
        first_date=parse_dicom_date(query.first_date or ""),
        last_date=parse_dicom_date(query.last_date or ""),
        description=query.description or "",
    )
    return server.url.rstrip("/") + study_filter.encode()
