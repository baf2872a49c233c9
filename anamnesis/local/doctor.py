"""What ``doctor`` examines."""

import importlib.util
import os
import platform
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

from anamnesis.local.context import Selected, select_all
from anamnesis.local.sources import real_images
from anamnesis.operator.addresses import store_url
from anamnesis.operator.requests import configuration
from anamnesis.pipelines.training.continual_update import compiled_pipeline
from anamnesis.records import AnamnesisError, SiteConfig
from anamnesis.storage import Store, open_store

PACKAGES = {
    "learning": ("torch", "monai", "numpy", "safetensors", "pydicom", "nibabel", "pillow"),
    "reports": ("jinja2", "matplotlib"),
    "pipelines": ("kfp",),
    "cluster": ("kopf", "kubernetes"),
}


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes:
        name: what was examined.
        state: ``ok``, ``bad``, or ``absent`` where only some commands need it.
        found: what there is, or what to do.
    """

    name: str
    state: str
    found: str


def examine(files: Sequence[Path], model: str) -> list[Check]:
    """Returns every finding about this machine and, where files are given, about their models."""
    found = [Check("python", "ok", f"{platform.python_version()} on {platform.machine()}, {os.cpu_count()} processors")]
    found += [Check(group, *_packages(names)) for group, names in PACKAGES.items()]
    found += [_device(), _browser(), _images()]
    if files:
        for selected in select_all(files, model):
            found += _model(selected)
    return found


def _packages(names: Sequence[str]) -> tuple[str, str]:
    versions, missing = [], []
    for name in names:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    return ("absent", f"not installed: {', '.join(missing)}") if missing else ("ok", ", ".join(versions))


def _device() -> Check:
    if importlib.util.find_spec("torch") is None:
        return Check("device", "absent", "no torch: this installation cannot learn")
    import torch

    if torch.cuda.is_available():
        return Check("device", "ok", f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}")
    return Check("device", "ok", f"processor ({torch.backends.cpu.get_cpu_capability()})")


def _browser() -> Check:
    found = os.environ.get("ANAMNESIS_CHROMIUM") or shutil.which("chromium")
    return Check("browser", "ok", found) if found else Check("browser", "absent", "tests of the report need chromium")


def _images() -> Check:
    folder = real_images(os.environ)
    return (
        Check("images", "ok", str(folder))
        if folder
        else Check("images", "absent", "no ANAMNESIS_DATA: the demo uses phantoms")
    )


def _model(selected: Selected) -> Iterator[Check]:
    from anamnesis.snapshots import key_fingerprint, split_key

    name = selected.model.name
    yield _tried(f"{name}: registry", lambda: _probed(selected.registry))
    yield _tried(
        f"{name}: pipeline", lambda: str(compiled_pipeline(configuration(selected.model.resource.spec).method))
    )
    key = selected.split_key
    if key.startswith("file://") and not Path(key.removeprefix("file://")).exists():
        yield Check(f"{name}: split key", "ok", f"{key} will be made by the first run; keep it")
    else:
        yield _tried(f"{name}: split key", lambda: f"{key}, fingerprint {key_fingerprint(split_key(key))[:19]}")
    for site in selected.resources.sites_of(selected.model):
        yield _tried(f"{site.name}: source", partial(_listed, selected.config(site)))
        yield _tried(f"{site.name}: store", partial(_opened, store_url(site)))


def _listed(config: SiteConfig) -> str:
    from anamnesis.snapshots.source_files import scan

    return f"{config.source}: {len(scan(config))} files"


def _opened(url: str) -> str:
    return _probed(open_store(url))


def _probed(store: Store) -> str:
    store.probe()
    return f"{store.url}: reachable, writes if absent"


def _tried(name: str, examine: Callable[[], str]) -> Check:
    try:
        return Check(name, "ok", examine())
    except (AnamnesisError, OSError) as error:
        return Check(name, "bad", str(error))
