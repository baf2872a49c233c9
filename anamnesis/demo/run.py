"""Prepares the demonstration, learns with three models as ``anamnesis run`` does, and prints the results."""

import os
import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

from anamnesis.cli.output import print_note, print_result
from anamnesis.cli.progress import StoppableReporter, open_reporter
from anamnesis.demo.resources import METHODS, PRETRAINED, SMALL, model_name, write_resources
from anamnesis.demo.results import read_results
from anamnesis.demo.sites import have_images, phantom_sites, real_sites
from anamnesis.local import default_network
from anamnesis.local.context import SelectedModel, login_name, select_model
from anamnesis.local.learning import LearningResult, learn
from anamnesis.local.progress import Reporter
from anamnesis.local.reporting import write_model_report
from anamnesis.local.sources import ingest_site, real_images_folder
from anamnesis.records import InputError

MARKER_FILE = "README.txt"
PARALLEL_METHODS = 2
"""Methods that run in parallel."""


def run_demo(folder: Path, fresh: bool, as_json: bool) -> None:
    """Runs or continues the demonstration and prints its results.

    Args:
        folder: folder for all files.
        fresh: delete the files of an earlier call.
        as_json: print the report as JSON, not as text.

    Raises:
        InputError: the folder contains files that are not from a demonstration.
    """
    with open_reporter() as progress_reporter:
        _prepare_folder(folder, fresh, progress_reporter)
        models = [select_model([folder], model_name(method)) for method in METHODS]
        _ingest_sites(models[0], progress_reporter)
        learning_results = _learn_models(models, progress_reporter)
    if not any(learning_result.updates for learning_result in learning_results):
        print_note(f"{folder} is complete: nothing new to learn; these are its results; --fresh starts over")
    report_page = write_model_report(models, folder / "report")
    report = read_results(report_page)
    print_result(report.document, report.lines(), as_json)


def _prepare_folder(folder: Path, fresh: bool, progress_reporter: Reporter) -> None:
    """Writes resource files, and phantoms when there are no real images, unless they exist."""
    marker = folder / MARKER_FILE
    if folder.exists() and any(folder.iterdir()) and not marker.exists():
        raise InputError(
            f"{folder}: the folder is not empty and was not made by anamnesis demo; use --folder for another folder"
        )
    if fresh and folder.exists():
        shutil.rmtree(folder)
    if all((folder / f"model-{model_name(method)}.yaml").exists() for method in METHODS):
        progress_reporter.print_line(f"continuing in {folder}")
        return
    folder.mkdir(parents=True, exist_ok=True)
    marker.write_text("Made by `anamnesis demo`, which continues here; `anamnesis demo --fresh` deletes it.\n")
    image_folder = real_images_folder(os.environ)
    sites = real_sites(image_folder) if image_folder else ()
    if not image_folder or not have_images(sites):
        progress_reporter.print_line("no real images (ANAMNESIS_DATA): writing four sites of phantoms as DICOM files")
        shutil.rmtree(folder / "phantoms", ignore_errors=True)
        sites = phantom_sites(folder / "phantoms", progress_reporter.track("phantoms"))
    network = PRETRAINED if default_network.has_pretrained_network() else SMALL
    progress_reporter.print_line(f"network: {network.description}")
    write_resources(folder, sites, network)


def _ingest_sites(model: SelectedModel, progress_reporter: Reporter) -> None:
    """Ingests each site once; the pipelines of all methods reuse the snapshot."""
    for site in model.resources.sites_of(model.model):
        ingest_site(model, site, progress_reporter, PARALLEL_METHODS)


def _learn_models(models: Sequence[SelectedModel], progress_reporter: Reporter) -> list[LearningResult]:
    """Learns with every method, ``PARALLEL_METHODS`` at a time; after a failure or an interrupt all stop."""
    stop_event = threading.Event()
    stoppable_reporter = StoppableReporter(progress_reporter, stop_event)
    with ThreadPoolExecutor(PARALLEL_METHODS) as pool:
        # The last method, joint, is the slowest: it learns all data again at every update, so it starts first.
        futures = [
            pool.submit(learn, model, stoppable_reporter, author=login_name(), workers=1) for model in reversed(models)
        ]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            stop_event.set()  # no effect when all methods succeeded
            pool.shutdown(cancel_futures=True)
    errors = [future.exception() for future in futures if not future.cancelled()]
    for error in errors:
        if error and not isinstance(error, KeyboardInterrupt):  # this error caused the interrupts of the others
            raise error
    return [future.result() for future in reversed(futures)]
