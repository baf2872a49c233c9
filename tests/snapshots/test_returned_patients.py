import csv
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from anamnesis.records import InputError, LabelOrigin, LabelSource, Split
from anamnesis.snapshots import issue_test_set, list_test_sets, returned_patients, small_version_store
from anamnesis.snapshots.keys import pseudonymise_patient, split_by_key
from anamnesis.snapshots.quarantine import QuarantineReason
from anamnesis.snapshots.returned_patients import MINIMUM_CORRELATION
from anamnesis.snapshots.small_versions import best_correlations, small_versions, to_grey_plane

RETURNED = QuarantineReason.TEST_PATIENT_RETURNED


def _picture(seed, side=96):
    """Structures of several sizes, as anatomy has them."""
    generator = np.random.default_rng(seed)
    sizes = (6, 12, 24)
    layers = [Image.fromarray(generator.normal(0, 1, (n, n)).astype(np.float32)) for n in sizes]
    field = sum(np.asarray(layer.resize((side, side), Image.Resampling.BICUBIC)) for layer in layers)
    return np.clip(110 + 30 * field, 0, 255).astype(np.uint8)


def _jpeg(pixels, quality=60):
    file = BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def _resized(pixels, side):
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize((side, side), Image.Resampling.BILINEAR))


COPIES = {
    "equal": lambda pixels: pixels,
    "mirrored": lambda pixels: pixels[:, ::-1],
    "turned": np.rot90,
    "upside down": lambda pixels: pixels[::-1, ::-1],
    "JPEG": _jpeg,
    "smaller": lambda pixels: _resized(pixels, 64),
    "larger": lambda pixels: _resized(pixels, 150),
    "brighter": lambda pixels: np.clip(pixels * 1.1 + 12.0, 0, 255).astype(np.uint8),
    "inverted": lambda pixels: 255 - pixels,
    "all": lambda pixels: _jpeg(np.rot90(_resized((pixels * 0.7).astype(np.uint8)[:, ::-1], 80))),
}


@pytest.mark.parametrize("edit", COPIES.values(), ids=COPIES)
def test_a_copy_correlates_and_another_image_does_not(edit):
    originals = np.stack([_picture(seed) for seed in range(12)])
    copies = np.stack([edit(original) for original in originals])
    correlations = best_correlations(small_versions(copies), small_versions(originals))
    assert (correlations.diagonal() > MINIMUM_CORRELATION).all()
    assert (correlations[~np.eye(12, dtype=bool)] < 0.8).all()


@pytest.mark.parametrize("length", [9, 10])
@pytest.mark.parametrize(
    "edit", [lambda volume: volume[::-1], lambda volume: volume[::-1, ::-1], lambda volume: volume[1:]]
)
def test_a_volume_that_was_turned_over_or_lost_a_slice_correlates(length, edit):
    volumes = [_volume(seed, length) for seed in range(6)]
    originals = small_versions(np.stack([to_grey_plane(volume, "ZYX", 0) for volume in volumes]))
    copies = small_versions(np.stack([to_grey_plane(edit(volume), "ZYX", 0) for volume in volumes]))
    correlations = best_correlations(copies, originals)
    assert (correlations.diagonal() > MINIMUM_CORRELATION).all()
    assert (correlations[~np.eye(6, dtype=bool)] < 0.8).all()


def _volume(seed, length):
    """Slices that change from one picture to another."""
    first, last = _picture(2 * seed).astype(np.float32), _picture(2 * seed + 1).astype(np.float32)
    return np.stack([first + (last - first) * share for share in np.linspace(0, 1, length)])


def test_constant_images_and_sixteen_bits_resemble_nothing_by_accident():
    flat = small_versions(np.full((2, 40, 50), 3.0))
    assert (best_correlations(flat, flat) == 0).all()
    deep = _picture(1).astype(np.int32) * 200 - 1024
    vectors = small_versions(np.stack([deep, _picture(1)]))
    assert best_correlations(vectors[:1], vectors[1:]) > MINIMUM_CORRELATION


def _fill(site, pictures, column="patient"):
    """Pictures: (file, pixels, patient); the label is that of the patient's number."""
    for path in site.folder.iterdir():
        path.unlink()
    rows = []
    for name, pixels, patient in pictures:
        site.png(name, np.ascontiguousarray(pixels))
        rows.append([name, ("no", "yes")[int(patient.strip("nPx")) % 2], patient])
    with (site.folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file", "label", column], *rows])
    site.config = replace(site.config, labels=LabelSource(LabelOrigin.MANIFEST, "labels.csv"))


def _people(count):
    return [(f"{n:03}.png", _picture(n), f"P{n}") for n in range(count)]


def _tested_people(site, result, people):
    tested = {sample.patient for sample in list_test_sets(site.store)[0].samples}
    return [row for row in people if pseudonymise_patient(site.key, site.config.name, row[2].casefold()) in tested]


def test_copies_of_test_patients_are_quarantined_and_the_rest_goes_on(make_site):
    site, people = make_site(), _people(60)
    _fill(site, people)
    first = site.ingest()
    tested = _tested_people(site, first, people)
    edits = list(COPIES.values())
    copies = [
        (f"new{n}.png", edits[n % len(edits)](pixels), f"n{patient}")
        for n, (_, pixels, patient) in enumerate(tested[:6])
    ]
    strangers = [(f"x{n}.png", _picture(1000 + n), f"x{n}") for n in range(4)]
    _fill(site, [*people, *copies, *strangers])
    second = site.ingest()
    assert {file for file, reason in site.quarantine().items() if reason == RETURNED} == {name for name, *_ in copies}
    assert second.reasons == {RETURNED: 6}
    assert len(site.manifest(second).samples) == 64
    assert second.test_set == first.test_set


def test_many_returned_images_stop_the_ingest_by_the_share(make_site):
    site, people = make_site(test_fraction=0.5), _people(40)
    _fill(site, people)
    tested = _tested_people(site, site.ingest(), people)
    _fill(site, [*people, *[(f"new{name}", pixels[:, ::-1], f"n{patient}") for name, pixels, patient in tested]])
    with pytest.raises(InputError, match="copy of a test or calibration patient's image under another name"):
        site.ingest()


def test_copies_inside_the_first_source_stay_out_of_training(make_site):
    site = make_site(maximum_quarantine_share=0.5, test_fraction=0.3)
    people = _people(40)
    _fill(site, [*people, *[(f"new{name}", pixels[:, ::-1], f"n{patient}") for name, pixels, patient in people]])
    result = site.ingest()
    originals = small_versions(np.stack([_picture(n) for n in range(40)]))
    is_present = {}
    for split in (Split.TEST, Split.TRAIN):
        images = np.stack([sample.images["DX"].pixels for sample in site.samples(result, split)])
        is_present[split] = (best_correlations(originals, small_versions(images)) > MINIMUM_CORRELATION).any(1)
    assert not (is_present[Split.TEST] & is_present[Split.TRAIN]).any()
    assert (is_present[Split.TEST] | is_present[Split.TRAIN]).all()
    assert result.reasons[RETURNED] > 0


def test_where_all_images_are_alike_only_equal_pixels_count(make_site):
    site, base = make_site(test_fraction=0.5), _picture(0).astype(int)
    noise = np.random.default_rng(0)
    pictures = [np.clip(base + noise.integers(-2, 3, base.shape), 0, 255).astype(np.uint8) for _ in range(30)]
    people = [(f"{number}.png", pixels, f"P{number}") for number, pixels in enumerate(pictures)]
    _fill(site, people)
    assert site.ingest().counts["quarantined"] == 0


def test_another_image_of_a_test_patient_waits_in_reserve(make_site):
    site, people = make_site(), _people(40)
    _fill(site, people)
    _, pixels, patient = _tested_people(site, site.ingest(), people)[0]
    _fill(site, [*people, ("again.png", _jpeg(pixels), patient)])
    result = site.ingest()
    assert (result.counts["quarantined"], result.counts["reserve"]) == (0, 1)


def test_nothing_is_computed_or_compared_twice(make_site, monkeypatch):
    site, people = make_site(), _people(30)
    _fill(site, people)
    site.ingest()
    _fill(site, [*people, ("one.png", _picture(500), "P500")])
    computed, compared = [], []
    compute, compare = small_version_store.small_versions, returned_patients.count_alike
    monkeypatch.setattr(
        small_version_store, "small_versions", lambda planes: computed.append(planes) or compute(planes)
    )
    monkeypatch.setattr(
        returned_patients, "count_alike", lambda queries, *rest: compared.append(queries) or compare(queries, *rest)
    )
    site.ingest()
    assert [len(planes) for planes in computed] == [len(queries) for queries in compared] == [1]


@pytest.mark.parametrize("name", ["2026/{}", "img_{}", "{}"])
def test_renamed_files_of_known_patients_change_nothing(make_site, name):
    site, people = make_site(), _people(40)
    _fill(site, people)
    first = site.ingest()
    (site.folder / "2026").mkdir(exist_ok=True)
    for file in site.folder.glob("*.png"):
        file.rename(site.folder / name.format(file.name))
    table = (site.folder / "labels.csv").read_text().splitlines()
    rows = [name.format(row) if number else row for number, row in enumerate(table)]
    (site.folder / "labels.csv").write_text("\n".join(rows))
    second = site.ingest()
    assert (second.snapshot, second.counts) == (first.snapshot, first.counts)


def test_renamed_files_without_a_patient_keep_their_split(make_site):
    site = make_site()
    site.fill(40)
    first = site.ingest()
    for number, file in enumerate(sorted(site.folder.glob("*/*.png"))):
        file.rename(file.with_name(f"export-{number}.png"))
    second = site.ingest()
    assert second.snapshot == first.snapshot
    assert second.counts["quarantined"] == 0


def test_a_copy_of_a_trained_image_never_comes_to_the_next_test_set(make_site):
    site, people = make_site(), _people(60)
    _fill(site, people)
    first = site.ingest()
    tested = _tested_people(site, first, people)
    trained = next(row for row in people if row not in tested)
    reserved = [name for n in range(200) if split_by_key(site.key, name := f"x{n}", 0.2) is Split.TEST]
    new = [(f"{name}.png", _picture(900 + n), name) for n, name in enumerate(reserved[:12])]
    copy = ("copy.png", trained[1][:, ::-1], reserved[12])
    _fill(site, [*people, *new, copy])
    assert site.ingest().counts["reserve"] == 13
    issued = issue_test_set(site.config, site.store, site.key, workers=1)
    patients = {sample.patient for sample in issued.samples}
    pseudonyms = {row[2]: pseudonymise_patient(site.key, site.config.name, row[2]) for row in [*new, copy]}
    assert {name for name, pseudonym in pseudonyms.items() if pseudonym in patients} == {row[2] for row in new}
