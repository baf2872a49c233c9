"""The checks of the command ``doctor``."""

import importlib.util
import os
import platform
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

from anamnesis.local.context import SelectedModel, select_models
from anamnesis.local.sources import real_images_folder
from anamnesis.operator.addresses import store_url
from anamnesis.operator.api import LoadedResource, Site
from anamnesis.operator.requests import configuration
from anamnesis.pipelines.training.continual_update import compiled_pipeline
from anamnesis.records import AnamnesisError, SiteConfig
from anamnesis.storage import Store, open_store
from anamnesis.storage.scratch import Scratch, describe_scratch

PACKAGE_GROUPS = {
    "learning": ("torch", "monai", "numpy", "safetensors", "pydicom", "nibabel", "pillow"),
    "reports": ("jinja2", "matplotlib"),
    "pipelines": ("kfp",),
    "cluster": ("urllib3", "kubernetes"),
}


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check.

    Attributes:
        name: the subject of the check.
        state: ``ok``, ``bad``, or ``absent`` for a part that only some commands need.
        detail: what was found, or what to do.
    """

    name: str
    state: str
    detail: str


def run_checks(files: Sequence[Path], model: str) -> list[Check]:
    """Returns the results for this machine and, with files, for their models."""
    checks = [
        Check("python", "ok", f"{platform.python_version()} on {platform.machine()}, {os.cpu_count()} processors")
    ]
    checks += [Check(group, *_check_packages(names)) for group, names in PACKAGE_GROUPS.items()]
    checks += [_check_device(), _check_browser(), _check_images(), _run_check("scratch", _describe_scratch)]
    if files:
        for selected_model in select_models(files, model):
            checks += _check_model(selected_model)
    return checks


def _check_packages(names: Sequence[str]) -> tuple[str, str]:
    versions, missing = [], []
    for name in names:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    return ("absent", f"not installed: {', '.join(missing)}") if missing else ("ok", ", ".join(versions))


def _check_device() -> Check:
    if importlib.util.find_spec("torch") is None:
        return Check("device", "absent", "torch is not installed: this installation cannot train")
    import torch

    if torch.cuda.is_available():
        return Check("device", "ok", f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}")
    return Check("device", "ok", f"processor ({torch.backends.cpu.get_cpu_capability()})")


def _check_browser() -> Check:
    path = os.environ.get("ANAMNESIS_CHROMIUM") or shutil.which("chromium")
    return Check("browser", "ok", path) if path else Check("browser", "absent", "tests of the report need chromium")


def _check_images() -> Check:
    folder = real_images_folder(os.environ)
    return (
        Check("images", "ok", str(folder))
        if folder
        else Check("images", "absent", "no ANAMNESIS_DATA: the demo uses phantoms")
    )


def _describe_scratch() -> str:
    return describe_scratch(Scratch.of_environment(os.environ))


def _check_model(selected_model: SelectedModel) -> Iterator[Check]:
    from anamnesis.snapshots import key_fingerprint, read_split_key

    name = selected_model.model.name
    yield _run_check(f"{name}: registry", lambda: _check_registry(selected_model.registry))
    yield _run_check(
        f"{name}: pipeline", lambda: str(compiled_pipeline(configuration(selected_model.model.resource.spec).method))
    )
    key = selected_model.network_key
    if key.startswith("file://") and not Path(key.removeprefix("file://")).exists():
        yield Check(f"{name}: network key", "ok", f"the first run will create {key}; keep a copy of this file")
    else:
        yield _run_check(
            f"{name}: network key", lambda: f"{key}, fingerprint {key_fingerprint(read_split_key(key))[:19]}"
        )
    for site in selected_model.resources.sites_of(selected_model.model):
        yield _run_check(f"{site.name}: source", partial(_count_source_files, selected_model.config(site)))
        yield _run_check(f"{site.name}: store", partial(_probe_store_at, store_url(site)))
        yield _run_check(f"{site.name}: split key", partial(_describe_site_key, selected_model, site))


def _describe_site_key(selected_model: SelectedModel, site: LoadedResource[Site]) -> str:
    """Says where the key of a site comes from: a network key that gives another one is not used for it."""
    from anamnesis.snapshots import key_fingerprint, read_site_key
    from anamnesis.snapshots.site_keys import declared_site_key
    from anamnesis.snapshots.store_binding import read_store_binding

    reference, store = selected_model.split_key(site), open_store(store_url(site))
    if read_store_binding(store) is None:
        return "the first ingest will put it into the site's store"
    key = read_site_key(store, site.name, reference)
    try:
        is_declared = declared_site_key(site.name, reference) == key
    except AnamnesisError:
        is_declared = False
    source = reference if is_declared else f"the site's store only: {reference} is missing, or gives another key"
    return f"{key_fingerprint(key)[:19]}, from {source}"


def _count_source_files(config: SiteConfig) -> str:
    from anamnesis.snapshots.source_files import list_source_items

    return f"{config.source}: {len(list_source_items(config))} files"


def _probe_store_at(url: str) -> str:
    return _probe_store(open_store(url))


def _check_registry(store: Store) -> str:
    """Also reads the log: a registry with another schema is refused here as by all other commands."""
    from anamnesis.registry import Log

    text = _probe_store(store)
    return f"{text}, {len(Log(store).entries())} entries in its log"


def _probe_store(store: Store) -> str:
    store.check_conditional_writes()
    return f"{store.url}: reachable, supports conditional writes"


def _run_check(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, "ok", check())
    except (AnamnesisError, OSError) as error:
        return Check(name, "bad", str(error))
