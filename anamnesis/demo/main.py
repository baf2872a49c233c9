"""Sets the stage, runs what ``anamnesis run`` runs for three models, and shows what came out."""

import os
import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

from anamnesis.cli.output import note, show
from anamnesis.cli.progress import Stoppable, reporter
from anamnesis.demo.resources import METHODS, model_name, write_resources
from anamnesis.demo.results import results
from anamnesis.demo.sites import have_all, phantom_sites, real_sites
from anamnesis.local.context import Selected, login, select
from anamnesis.local.learning import Outcome, learn
from anamnesis.local.progress import Reporter
from anamnesis.local.reporting import write
from anamnesis.local.sources import ingest_site, real_images
from anamnesis.records import InputError

MARKER = "README.txt"
SIDE_BY_SIDE = 2
"""Methods at work at the same time."""


def run_demo(folder: Path, fresh: bool, as_json: bool) -> None:
    """Runs the demonstration, or what is left of it, and shows its results.

    Args:
        folder: where everything goes.
        fresh: delete what an earlier call left there.
        as_json: print the report's JSON in place of text.

    Raises:
        InputError: the folder holds something that is no demonstration.
    """
    with reporter() as tell:
        _set_stage(folder, fresh, tell)
        models = [select([folder], model_name(method)) for method in METHODS]
        _ingest(models[0], tell)
        outcomes = _learn_all(models, tell)
    if not any(outcome.updates for outcome in outcomes):
        note(f"{folder} is complete: nothing new to learn, here are its results; --fresh starts anew")
    page = write(models, folder / "report")
    report = results(page)
    show(report.document, report.lines(), as_json)


def _set_stage(folder: Path, fresh: bool, tell: Reporter) -> None:
    """Writes resource files, and phantoms where there are no real images; once."""
    marker = folder / MARKER
    if folder.exists() and any(folder.iterdir()) and not marker.exists():
        raise InputError(f"{folder}: is not empty and no demonstration of ours; name another with --folder")
    if fresh and folder.exists():
        shutil.rmtree(folder)
    if all((folder / f"model-{model_name(method)}.yaml").exists() for method in METHODS):
        tell.say(f"continues in {folder}")
        return
    folder.mkdir(parents=True, exist_ok=True)
    marker.write_text("Made by `anamnesis demo`, which continues here; `anamnesis demo --fresh` deletes it.\n")
    data = real_images(os.environ)
    sites = real_sites(data) if data else ()
    if not data or not have_all(sites):
        tell.say("no real images (ANAMNESIS_DATA): four sites of phantoms are written as DICOM files")
        shutil.rmtree(folder / "phantoms", ignore_errors=True)
        sites = phantom_sites(folder / "phantoms", tell.track("phantoms"))
    write_resources(folder, sites)


def _ingest(model: Selected, tell: Reporter) -> None:
    """Ingests each site once; the pipelines of all methods then find it done."""
    for site in model.resources.sites_of(model.model):
        ingest_site(model, site, tell, SIDE_BY_SIDE)


def _learn_all(models: Sequence[Selected], tell: Reporter) -> list[Outcome]:
    """Learns with every method, some side by side; when one fails or a person interrupts, all stop."""
    stop = threading.Event()
    stoppable = Stoppable(tell, stop)
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        # The last one, joint, learns all data again at every update: it starts first, or the others wait for it.
        futures = [pool.submit(learn, model, stoppable, login(), 1) for model in reversed(models)]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            stop.set()  # nothing is left to stop when all went well
            pool.shutdown(cancel_futures=True)
    failed = [future.exception() for future in futures if not future.cancelled()]
    for error in failed:
        if error and not isinstance(error, KeyboardInterrupt):  # the others were interrupted because of this one
            raise error
    return [future.result() for future in reversed(futures)]
