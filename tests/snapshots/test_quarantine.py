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
    (_text, "not a format that is read here"),
    (_empty, "the file is empty"),
    (_cut_png, "the file is damaged or not what it says it is"),
    (_bomb, "the image would not fit into memory"),
    (_pickle, "the arrays of the file are not laid out as expected"),
    (_nan, "some pixels are not finite numbers"),
    (_wrong_modality, "the modality does not belong to this site"),
    (_compressed, "compressed DICOM is not read yet"),
    (_cut_dicom, "the file is damaged or not what it says it is"),
]


def test_what_is_broken_is_listed_and_the_rest_goes_on(site):
    for number, (write, _) in enumerate(BROKEN):
        write(site.folder / "no" / f"broken{number}.png")
    result = site.ingest(maximum_quarantine_share=0.2)
    listed = {file.split("#")[0]: reason for file, reason in site.quarantine().items()}
    assert listed == {f"no/broken{number}.png": reason for number, (_, reason) in enumerate(BROKEN)}
    assert result.counts["quarantined"] == len(BROKEN) == sum(result.reasons.values())
    assert result.counts["train"] + result.counts["test"] == 60


def test_too_much_fails_and_says_how_much_why_and_where(site):
    for number in range(15):
        _text(site.folder / "no" / f"Rossi{number}.png")
    with pytest.raises(InputError, match=r"15 of 75 images cannot be used.*15 x not a format") as caught:
        site.ingest()
    assert "Rossi" not in str(caught.value)
    (listed,) = site.store.list("quarantine/")
    assert f"{site.store.url}/{listed.key}" in str(caught.value)
    assert b"Rossi14" in site.store.get(listed.key)
    assert site.ingest(maximum_quarantine_share=0.2).counts["quarantined"] == 15


def test_equal_pixels_stay_with_one_patient(site):
    first = site.ingest()
    (tested, *_) = site.samples(first, Split.TEST)
    site.png("no/copy of a tested one.png", tested.images["DX"].pixels)
    (trained, *_) = site.samples(first, Split.TRAIN)
    site.png("yes/copy of a trained one.png", trained.images["DX"].pixels)
    result = site.ingest()
    assert result.reasons == {"the same pixels came from another patient or study": 2}
    assert {record.id for record in site.manifest(result).of(Split.TEST)} == {
        record.id for record in site.manifest(first).of(Split.TEST)
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
