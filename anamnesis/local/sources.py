"""Looks at what sites hold, and ingests it."""

from collections.abc import Callable, Mapping
from pathlib import Path

import anamnesis
from anamnesis import steps
from anamnesis.local.context import Selected
from anamnesis.local.plan_input import Holding, Look
from anamnesis.local.progress import Reporter
from anamnesis.local.updates import make_split_key
from anamnesis.operator.addresses import store_url
from anamnesis.operator.api import Loaded, Site
from anamnesis.records import AnamnesisError, InputError, encode_object
from anamnesis.storage import open_store


def looker(selected: Selected) -> Look:
    """Returns a ``Look`` at the sites of a model."""

    def look(site: Loaded[Site]) -> Holding:
        from anamnesis.snapshots import recall, split_key, test_sets

        test_set = ""
        try:
            store = open_store(store_url(site))
            issued = test_sets(store)
            test_set = issued[-1].digest if issued else ""
            if not issued:
                return Holding()  # never ingested; there may be no key yet
            known = recall(selected.config(site), store, split_key(selected.split_key))
            return Holding(known.snapshot if known else "", test_set)
        except AnamnesisError as error:  # told in the site's status; the other sites go on
            return Holding("", test_set, str(error))

    return look


def ingester(selected: Selected, tell: Reporter, workers: int) -> Callable[[Loaded[Site]], None]:
    """Returns what makes a snapshot of a site's data."""

    def ingest(site: Loaded[Site]) -> None:
        ingest_site(selected, site, tell, workers)

    return ingest


def ingest_site(selected: Selected, site: Loaded[Site], tell: Reporter, workers: int) -> steps.Result:
    """Makes a snapshot of a site's data, or finds it made; returns the encoded ``IngestResult``."""
    make_split_key(selected.split_key)
    config, store = encode_object(selected.config(site)), store_url(site)
    progress = tell.track(f"ingest {site.name}")
    result = steps.ingest_site(config, store, selected.split_key, workers, progress)
    progress(1, 1, "as before" if result["reused"] else "done")
    return result


def real_images(environment: Mapping[str, str]) -> Path | None:
    """Returns the folder of real images: ``ANAMNESIS_DATA``, else ``../shared/data`` beside the checkout, or none."""
    if "ANAMNESIS_DATA" in environment:
        folder = Path(environment["ANAMNESIS_DATA"])
        if not folder.is_dir():
            raise InputError(f"ANAMNESIS_DATA: there is no folder {folder}")
        return folder
    folder = Path(anamnesis.__file__).resolve().parents[2] / "shared" / "data"
    return folder if folder.is_dir() else None
