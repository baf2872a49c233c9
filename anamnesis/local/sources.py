"""Inspects and ingests the data of sites on this machine."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import anamnesis
from anamnesis import steps
from anamnesis.local.context import SelectedModel
from anamnesis.local.plan_input import InspectSite, SiteContents
from anamnesis.local.progress import Reporter
from anamnesis.local.updates import create_split_key
from anamnesis.operator.addresses import store_url
from anamnesis.operator.api import LoadedResource, Site
from anamnesis.records import CORRECTED_TEST_LABELS, AnamnesisError, InputError, describe_changes, encode_object
from anamnesis.storage import open_store


def make_site_inspector(
    selected_model: SelectedModel, failures: Mapping[str, AnamnesisError] = MappingProxyType({})
) -> InspectSite:
    """Returns the function that inspects the sites of a model.

    Args:
        selected_model: the model.
        failures: site -> the error of its ingest or update in this command; the site counts as failed.
    """

    def inspect_site(site: LoadedResource[Site]) -> SiteContents:
        from anamnesis.snapshots import find_ingest_result, list_test_sets, read_site_key
        from anamnesis.snapshots.training_selection import preview_training_set

        test_set = ""
        if site.name in failures:
            return SiteContents(failure=str(failures[site.name]))
        try:
            store = open_store(store_url(site))
            issued_test_sets = list_test_sets(store)
            test_set = issued_test_sets[-1].digest if issued_test_sets else ""
            if not issued_test_sets:
                return SiteContents()  # never ingested: there may be no split key yet
            key = read_site_key(store, site.name, selected_model.split_key(site))
            ingest_result = find_ingest_result(selected_model.config(site), store, key)
            if ingest_result is None:
                return SiteContents("", test_set)
            corrected_labels = ingest_result.counts.get(CORRECTED_TEST_LABELS, 0)
            minimum_patients = selected_model.model.resource.spec.change_plan.minimum_patients
            selection = preview_training_set(store, ingest_result.snapshot, minimum_patients)
            return SiteContents(
                ingest_result.snapshot,
                test_set,
                training_set=selection.training_set.digest,
                held_back=selection.held_back_text,
                corrected_labels=corrected_labels,
                hold=ingest_result.hold,
                changes=describe_changes(ingest_result.counts, masked_counts=()),
            )
        except AnamnesisError as error:  # the site's status reports it; the other sites continue
            return SiteContents("", test_set, str(error))

    return inspect_site


def make_ingester(
    selected_model: SelectedModel, progress_reporter: Reporter, workers: int
) -> Callable[[LoadedResource[Site]], None]:
    """Returns the function that ingests a site of a model."""

    def ingest(site: LoadedResource[Site]) -> None:
        ingest_site(selected_model, site, progress_reporter, workers)

    return ingest


def ingest_site(
    selected_model: SelectedModel, site: LoadedResource[Site], progress_reporter: Reporter, workers: int
) -> dict[str, object]:
    """Makes a snapshot of a site's data, unless there is one; returns the encoded ``IngestResult``."""
    config, store, split_key = (
        encode_object(selected_model.config(site)),
        store_url(site),
        selected_model.split_key(site),
    )
    selected_model.check_registry()
    create_split_key(store, site.name, split_key)
    progress = progress_reporter.track(f"ingest {site.name}")
    result = steps.ingest_site(config, store, split_key, workers=workers, progress=progress)
    progress(1, 1, "as before" if result["reused"] else "done")
    return result


def real_images_folder(environment: Mapping[str, str]) -> Path | None:
    """Returns the folder of real images: ``ANAMNESIS_DATA``, else ``../shared/data`` beside the checkout, or none."""
    if "ANAMNESIS_DATA" in environment:
        folder = Path(environment["ANAMNESIS_DATA"])
        if not folder.is_dir():
            raise InputError(f"ANAMNESIS_DATA: the folder {folder} does not exist; correct or unset the variable")
        return folder
    folder = Path(anamnesis.__file__).resolve().parents[2] / "shared" / "data"
    return folder if folder.is_dir() else None
