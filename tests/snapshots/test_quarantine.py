import numpy as np
import pytest
from PIL import Image

from anamnesis.records import InputError, Split
from anamnesis.snapshots.phantoms import write_phantom_site


def _text(path):
    path.write_text("not an image")


def _empty(path):
    path.touch()


def _cut_png(path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40), dtype=np.uint8)).save(path, format="PNG")
    path.write_bytes(path.read_bytes()[:-300])


def _bomb(path):
    Image.new("1", (20_000, 20_000)).save(path, format="PNG")


def _pickle(path):
    np.savez(path.with_suffix(".npz"), images=np.array([{}, {}], dtype=object))
    path.with_suffix(".npz").rename(path)


def _nan(path):
    np.savez(path.with_suffix(".npz"), images=np.full((1, 8, 8), np.nan, np.float32), labels=np.array(["no"]))
    path.with_suffix(".npz").rename(path)


def _dicom(path, change):
    import pydicom

    write_phantom_site(path.parents[2] / "phantom", "xray", 2, 0)
    dataset = pydicom.dcmread(path.parents[2] / "phantom" / "normal" / "IM000000")
    change(dataset)
    dataset.save_as(path, enforce_file_format=True)


def _wrong_modality(path):
    _dicom(path, lambda dataset: setattr(dataset, "Modality", "CT"))


def _compressed(path):
    from pydicom.encaps import encapsulate
    from pydicom.uid import RLELossless

    def change(dataset):
        dataset.file_meta.TransferSyntaxUID = RLELossless
        dataset.PixelData = encapsulate([b"1234"])
        dataset["PixelData"].is_undefined_length = True

    _dicom(path, change)


def _cut_dicom(path):
    _dicom(path, lambda dataset: None)
    path.write_bytes(path.read_bytes()[:-2000])


BROKEN = [
    (_text, "the file format is not supported"),
    (_empty, "the file is empty"),
    (_cut_png, "the file is damaged or has the wrong format"),
    (_bomb, "the image is too large for memory; give the ingest more memory, or export a smaller image"),
    (_pickle, "the arrays of the file have an unexpected layout"),
    (_nan, "some pixels are not finite numbers"),
    (_wrong_modality, "the modality is not one of the site's modalities"),
    (_compressed, "compressed DICOM is not supported yet"),
    (_cut_dicom, "the file is damaged or has the wrong format"),
]


def test_broken_files_are_quarantined_and_the_others_are_ingested(site):
    for number, (write, _) in enumerate(BROKEN):
        write(site.folder / "no" / f"broken{number}.png")
    result = site.ingest(maximum_quarantine_share=0.2)
    listed = {file.split("#")[0]: reason for file, reason in site.quarantine().items()}
    assert listed == {f"no/broken{number}.png": reason for number, (_, reason) in enumerate(BROKEN)}
    assert result.counts["quarantined"] == len(BROKEN) - 1 == sum(result.reasons.values())
    assert result.foreign_reasons == {"the modality is not one of the site's modalities": 1}
    assert result.counts["train"] + result.counts["test"] == 60


def test_masks_that_the_task_does_not_need_are_listed(site):
    first = site.ingest()
    site.png("no/no3_mask.png", np.eye(8, 10, dtype=np.uint8))
    result = site.ingest()
    assert (result.snapshot, result.counts["quarantined"], result.counts["foreign"]) == (first.snapshot, 0, 1)
    assert site.quarantine() == {"no/no3_mask.png": "the file is the mask of an image, and the task needs no masks"}


def test_too_many_quarantined_images_fail_with_share_reasons_and_list(site):
    for number in range(15):
        _text(site.folder / "no" / f"Rossi{number}.png")
    with pytest.raises(InputError, match=r"15 of 75 images are unusable.*15 x the file format is not") as caught:
        site.ingest()
    assert "Rossi" not in str(caught.value)
    (listed,) = site.store.list("quarantine/")
    assert f"{site.store.url}/{listed.key}" in str(caught.value)
    assert b"Rossi14" in site.store.get(listed.key)
    assert site.ingest(maximum_quarantine_share=0.2).counts["quarantined"] == 15


def test_equal_pixels_stay_with_one_patient(site):
    first = site.ingest()
    (tested, *_) = site.samples(first, Split.TEST)
    (trained, *_) = site.samples(first, Split.TRAIN)
    for sample in (tested, trained):
        site.png(f"{('no', 'yes')[sample.target.index]}/copy {sample.id[-8:]}.png", sample.images["DX"].pixels)
    result = site.ingest()
    assert not result.reasons
    assert result.counts["copies"] == 2
    assert {record.id for record in site.manifest(result).samples_of(Split.TEST)} == {
        record.id for record in site.manifest(first).samples_of(Split.TEST)
    }
    contents = [record.images["DX"].content for record in site.manifest(result).samples]
    assert len(contents) == len(set(contents))


def test_equal_slices_of_one_study_are_kept(make_site):
    site = make_site()
    images = np.random.default_rng(0).integers(0, 255, (60, 6, 6), dtype=np.uint8)
    images[1] = images[0]
    groups = np.array([f"g{n // 2}" for n in range(60)])
    np.savez(site.folder / "a.npz", images=images, labels=np.arange(60) // 2 % 2, groups=groups)
    result = site.ingest()
    assert result.counts["quarantined"] == 0
    ids = [record.id for record in site.manifest(result).samples]
    assert len(set(ids)) == 60
