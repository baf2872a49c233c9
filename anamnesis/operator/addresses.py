"""The addresses that resources name: registries, stores, sources, keys. Pure functions."""

from pathlib import Path

from anamnesis.operator.api import LoadedResource
from anamnesis.operator.api.model import ContinualModel, SplitKeySpec
from anamnesis.operator.api.site import Site, SourceSpec
from anamnesis.records import InputError

SPLIT_KEY_VARIABLE = "ANAMNESIS_SPLIT_KEY"
"""Environment variable that holds the split key where the model names a Secret."""
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


def store_url(site: LoadedResource[Site]) -> str:
    """Returns the URL of the site's own store."""
    return absolute_url(site.resource.spec.store, site.folder)


def split_key_reference(model: LoadedResource[ContinualModel], default: Path) -> str:
    """Returns where the split key is: ``env:NAME`` or ``file:///path``, by default the file ``default``."""
    spec: SplitKeySpec | None = model.resource.spec.split_key
    if spec is None:
        return default.resolve().as_uri()
    if spec.environment is not None:
        return f"env:{spec.environment.name}"
    if spec.secret is not None:
        return f"env:{SPLIT_KEY_VARIABLE}"
    return absolute_url(spec.file.path if spec.file else "", model.folder)


def source_url(source: SourceSpec, folder: Path | None) -> str:
    """Returns the URL of a site's source, as ``SiteConfig.source`` has it.

    Args:
        source: of the spec.
        folder: the folder of relative paths; none on a cluster.

    Raises:
        InputError: the path is relative, and there is no folder.
    """
    if source.s3:
        return source.s3.url.rstrip("/")
    if source.dicomweb:
        return f"dicomweb+{source.dicomweb.url.rstrip('/')}"
    if source.orthanc:
        return f"orthanc+{source.orthanc.url.rstrip('/')}"
    path = source.folder.path if source.folder else ""
    if folder is None and not path.startswith(("/", "file:///")):
        raise InputError(f"spec.source.folder.path: expected an absolute path on a cluster, found {path!r}")
    return absolute_url(path, folder or Path("/"))
