"""A real step process writes its events and nothing else: no name of a file or a person, whatever is broken."""

import csv
import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from builders.leak_search import find_texts
from PIL import Image, PngImagePlugin
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from anamnesis.records import (
    Configuration,
    LabelSource,
    NetworkSettings,
    SiteConfig,
    Task,
    TaskType,
    TrainingSettings,
    encode_object,
)
from anamnesis.records.site import LabelOrigin
from anamnesis.updates.requests import UpdateRequest

NAMES = ("Lindqvist", "Astrid", "19501224", "Ketterer")
"""In names of files and folders, in headers, in cells of tables, in comments of images."""
STEP = """
import json, sys
from anamnesis.components.data_processing.ingest_site.component import ingest_site
from kfp import dsl
metrics = dsl.Metrics(uri="/tmp/none")
ingest_site.python_func(request=sys.argv[1], model="", site="", workers=2, counts=metrics)
"""
HOSTILE_LIBRARY = """
import gc, logging, os, sys, threading, warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from anamnesis.components.step_reporter import report_step
from anamnesis.snapshots.parallel import ordered_executor_map
from tests_of_output import Quoting, complain

if __name__ == "__main__":
    os.environ.pop("ANAMNESIS_EVENTS", None)
    with report_step("ingest_site"):
        complain(1)
        thread = threading.Thread(target=complain, args=(None,))
        thread.start()
        thread.join()
        Quoting()
        gc.collect()
        with ordered_executor_map(2, use_processes=True) as ordered_map:
            assert list(ordered_map(complain, [1, 2])) == [1, 2]
            list(ordered_map(complain, [None]))
"""
LIBRARY = """
import logging, warnings

class Quoting:
    def __del__(self):
        raise ValueError("Lindqvist")

def complain(number):
    handler = logging.StreamHandler()
    logging.getLogger("own.handler").addHandler(handler)
    logging.getLogger("own.handler").error("Lindqvist")
    logging.getLogger("pydicom").warning("Invalid value for VR UI: 'Lindqvist^Astrid'")
    warnings.warn("value 'Lindqvist^Astrid' is not valid")
    if number is None:
        try:
            raise KeyError("Ketterer")
        except KeyError:
            raise ValueError("patient Lindqvist")
    return number
"""


def run_python(folder: Path, script: str, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    file = folder / "step.py"
    file.write_text(script)
    return subprocess.run([sys.executable, file, *arguments], capture_output=True, check=False, timeout=240, cwd=folder)


def events_of(output: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def test_no_word_of_a_library_reaches_the_output(tmp_path: Path) -> None:
    (tmp_path / "tests_of_output.py").write_text(LIBRARY)
    done = run_python(tmp_path, HOSTILE_LIBRARY)
    output = done.stdout + done.stderr
    assert find_texts(output, NAMES) == set(), output.decode()
    assert done.returncode == 1
    assert [event["event"] for event in events_of(done.stdout)] == ["start", "error"]
    assert b"ValueError" in done.stderr  # the place of an error stays
    assert b"in complain" in done.stderr


def test_the_twin_without_the_block_leaks(tmp_path: Path) -> None:
    (tmp_path / "tests_of_output.py").write_text(LIBRARY)
    done = run_python(tmp_path, "from tests_of_output import complain\ncomplain(None)")
    assert find_texts(done.stdout + done.stderr, NAMES) == {"Lindqvist", "Astrid", "Ketterer"}


def request(folder: Path, **changes: Any) -> str:
    task = Task("find", TaskType.CLASSIFICATION, ("left", "right"), "Accuracy")
    labels = LabelSource(origin=LabelOrigin.MANIFEST, manifest="labels.csv")
    site = SiteConfig("north", str(folder / "source"), ("DX",), task, labels=labels, **changes)
    configuration = Configuration(
        "finetune",
        {},
        NetworkSettings("SmallCNN", 1, size=(16, 16), options={"norm": "batch", "width": 8}),
        TrainingSettings(),
    )
    update = UpdateRequest(
        "chest", str(folder / "registry"), site, str(folder / "store"), configuration, (folder / "key").as_uri()
    )
    return json.dumps(encode_object(update))


def write_dicom(path: Path, **fields: Any) -> None:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    dataset.PatientName, dataset.PatientID, dataset.Modality = "Lindqvist^Astrid", "Ketterer-19501224", "DX"
    dataset.Rows = dataset.Columns = 32
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 0
    dataset.PixelData = np.arange(1024, dtype=np.uint16).tobytes()
    for name, value in fields.items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)


def write_broken_site(folder: Path) -> None:
    """Files of each format that are broken in ways in which readers quote them."""
    source = folder / "source" / "Lindqvist_Astrid"
    source.mkdir(parents=True)
    write_dicom(source / "Ketterer_good.dcm")
    write_dicom(source / "Ketterer_short.dcm", PixelData=b"Lindqvist1950")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_dicom(source / "Ketterer_uid.dcm", StudyInstanceUID="Lindqvist^Astrid")
        write_dicom(source / "Ketterer_charset.dcm", SpecificCharacterSet="Lindqvist")
    whole = (source / "Ketterer_good.dcm").read_bytes()
    (source / "Ketterer_cut.dcm").write_bytes(whole[:700])
    (source / "Ketterer_value.dcm").write_bytes(whole.replace(b"MONOCHROME2 ", b"Lindqvist  "))
    (source / "Ketterer_decimal.dcm").write_bytes(whole.replace(b"DX", b"\xff\xfe"))
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "Lindqvist 19501224")
    Image.fromarray(np.arange(1024, dtype=np.uint8).reshape(32, 32)).save(source / "Ketterer.png", pnginfo=text)
    png = (source / "Ketterer.png").read_bytes()
    (source / "Ketterer_cut.png").write_bytes(png[: len(png) // 2])
    (source / "Ketterer_crc.png").write_bytes(png.replace(b"19501224", b"19501225"))
    (source / "Ketterer.nii").write_bytes(b"\x5c\x01\x00\x00" + b"Lindqvist " * 60)
    (source / "Ketterer.nii.gz").write_bytes(b"\x1f\x8b Lindqvist")
    (source / "Ketterer.npz").write_bytes(b"PK\x03\x04 Lindqvist")
    (folder / "key").write_text("k" * 64)


TABLES = {
    "a label": [["file", "label", "patient"], ["Lindqvist_Astrid/Ketterer_good.dcm", "Lindqvist", "Ketterer"]],
    "a cell too many": [["file", "label", "patient"], ["x.dcm", "left", "Ketterer", "19501224"]],
    "no header": [["Ketterer.dcm", "left", "Lindqvist"]],
    "a file of nobody": [["file", "label", "patient"], ["Lindqvist.dcm", "left", "Ketterer"]],
    "an unknown column": [["file", "label", "patient", "remark"], ["x.dcm", "left", "Ketterer", "Lindqvist"]],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_an_ingest_of_broken_files_names_nobody(tmp_path: Path, name: str) -> None:
    write_broken_site(tmp_path)
    with (tmp_path / "source" / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(TABLES[name])
    done = run_python(tmp_path, STEP, request(tmp_path, maximum_quarantine_share=1.0))
    output = done.stdout + done.stderr
    assert b'"event"' in done.stdout, output.decode()
    assert find_texts(output.replace(str(tmp_path).encode(), b""), NAMES) == set(), output.decode()
