from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from anamnesis.imaging import Header
from anamnesis.records import ignore_progress
from anamnesis.snapshots.body_parts import is_other_body_part
from anamnesis.snapshots.inspection import inspect_source
from anamnesis.snapshots.parallel import serial_map
from anamnesis.snapshots.phantoms import write_phantom_site
from anamnesis.snapshots.quarantine import QuarantineReason
from anamnesis.snapshots.source_files import fetch_files, list_source_items


def test_the_ingest_counts_another_body_part_as_not_for_the_site(tmp_path: Path) -> None:
    config = write_phantom_site(tmp_path, "xray", 3, 0)
    for path, body_part in zip(sorted(tmp_path.rglob("IM*")), ("CHEST", "chest ", "FOOT", "", "CHEST"), strict=False):
        dataset = pydicom.dcmread(path)
        dataset.BodyPartExamined = body_part
        dataset.save_as(path)
    for body_parts, expected in (((), 6), (("CHEST",), 3), (("CHEST", "FOOT"), 4)):
        changed = replace(config, body_parts=body_parts)
        with fetch_files(config.source, list_source_items(changed), ignore_progress) as files:
            joined = inspect_source(changed, files, serial_map, ignore_progress)
        assert len(joined.studies) == joined.image_count == expected
        assert [entry.reason for entry in joined.quarantine_entries] == [QuarantineReason.OTHER_BODY_PART] * (
            6 - expected
        )


@pytest.mark.parametrize(
    ("body_parts", "header", "is_other"),
    [
        ((), Header(modality="DX", body_part="FOOT"), False),
        (("CHEST",), Header(modality="DX", body_part="CHEST"), False),
        (("CHEST",), Header(modality="DX", body_part="FOOT"), True),
        (("CHEST",), Header(modality="DX"), True),
        (("CHEST",), Header(), False),  # a PNG has no tag
    ],
)
def test_only_a_dicom_image_can_have_another_body_part(
    tmp_path: Path, body_parts: tuple[str, ...], header: Header, is_other: bool
) -> None:
    config = replace(write_phantom_site(tmp_path, "xray", 1, 0), body_parts=body_parts)
    assert is_other_body_part(config, header) is is_other
