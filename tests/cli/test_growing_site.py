"""A site on a laptop whose source drops files, corrects labels and withdraws patients."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from builders.sample_store import prepared_images

from anamnesis.imaging import read_headers
from anamnesis.snapshots.withdrawals import list_withdrawals
from anamnesis.storage import open_store

Call = Callable[..., Any]


def ingest(call: Call, file: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(call("ingest", "-f", file, "--json").out)["xray"]
    return document


def test_a_shrunken_source_holds_the_run_and_its_files_end_that(call: Call, promoted_model_file: Path) -> None:
    file = promoted_model_file
    before = ingest(call, file)
    files = {path: path.read_bytes() for path in (file.parent / "data" / "opacity").iterdir()}
    for path in list(files)[::2]:
        path.unlink()
    held = call("run", "-f", file)
    assert held.code != 0
    assert "the update is held: the source no longer lists" in held.err
    assert "SourceShrank" in call("status", "-f", file).out
    assert "the update is held" in call("update", "-f", file, "--site", "xray").err
    for path, content in files.items():
        path.write_bytes(content)
    assert call("run", "-f", file).code == 0
    assert ingest(call, file)["snapshot"] == before["snapshot"]
    next(iter(files)).unlink()
    assert call("run", "-f", file).code == 0
    status = call("status", "-f", file).out
    assert "Learned" in status


def test_patients_are_withdrawn_from_the_input_and_named_nowhere(call: Call, promoted_model_file: Path) -> None:
    file = promoted_model_file
    before = ingest(call, file)
    paths = sorted((file.parent / "data" / "normal").iterdir())
    numbers = sorted({read_headers(path)[0].patient for path in paths})[:3]
    store = open_store((file.parent / "images").as_uri())
    has_prepared_images = prepared_images(store.url)
    command = [sys.executable, "-m", "anamnesis.cli", "patient", "withdraw", "-f", str(file), "--reason", "consent"]
    done = subprocess.run([*command, "--json"], input="\n".join(numbers), capture_output=True, text=True, check=True)
    assert not has_prepared_images()
    counts = json.loads(done.stdout)
    assert (counts["site"], counts["patients"], counts["stored_patients"]) == ("xray", 3, 3)
    after = ingest(call, file)
    assert (after["reused"], after["counts"]["withdrawn"] >= 3) == (False, True)
    assert sum(after["counts"][split] for split in ("train", "test", "reserve")) < sum(
        before["counts"][split] for split in ("train", "test", "reserve")
    )
    (withdrawal,) = list_withdrawals(store)
    assert (withdrawal.reason, bool(withdrawal.author), bool(withdrawal.contents)) == ("consent", True, True)
    written = b"".join(path.read_bytes() for path in file.parent.rglob("*.json") if "quarantine" not in path.parts)
    assert not any(number.encode() in written + done.stderr.encode() for number in numbers)
    assert call("run", "-f", file).code == 0
    missing = call("patient", "withdraw", "-f", file, "--reason", "consent", "4711")
    assert (missing.code, "4711" in missing.err, "not readable" in missing.err) == (2, False, True)
