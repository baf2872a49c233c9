import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless

from anamnesis.imaging import PixelSource, ReadError, ReadErrorReason, load_image, read_headers

RAMP = np.arange(48, dtype=np.uint16).reshape(6, 8)


def _load(*paths):
    return load_image(PixelSource(paths))


@pytest.mark.parametrize(
    ("pixels", "fields", "dtype", "first"),
    [
        (RAMP, {}, "uint16", 0),
        (RAMP.astype(np.uint8), {}, "uint8", 0),
        (RAMP, {"BitsStored": 12, "HighBit": 11, "RescaleSlope": 1, "RescaleIntercept": -1024}, "int16", -1024),
        (RAMP, {"RescaleSlope": 1, "RescaleIntercept": -1024}, "int32", -1024),
        (RAMP.astype(np.int16), {"RescaleSlope": 2, "RescaleIntercept": 1}, "int32", 1),
        (RAMP, {"RescaleSlope": 0.5, "RescaleIntercept": 3}, "float32", 3.0),
    ],
)
def test_modality_rescale_stays_an_integer_where_that_is_exact(write_dicom, pixels, fields, dtype, first):
    image = _load(write_dicom("a", pixels, **fields))
    slope, intercept = fields.get("RescaleSlope", 1), fields.get("RescaleIntercept", 0)
    assert image.pixels.dtype.name == dtype
    assert image.pixels[0, 0] == first
    np.testing.assert_array_equal(image.pixels, pixels * float(slope) + intercept)
    assert image.axes == "YX"


def test_the_type_depends_on_the_header_not_on_the_values(write_dicom):
    dark = _load(write_dicom("a", RAMP * 0, BitsStored=12, HighBit=11, RescaleIntercept=-1024, RescaleSlope=1))
    bright = _load(write_dicom("b", RAMP * 80, BitsStored=12, HighBit=11, RescaleIntercept=-1024, RescaleSlope=1))
    assert dark.pixels.dtype == bright.pixels.dtype


def test_monochrome1_is_inverted_within_its_bits(write_dicom):
    image = _load(write_dicom("a", RAMP, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11))
    np.testing.assert_array_equal(image.pixels, 4095 - RAMP)


def test_colour_comes_last(write_dicom):
    colour = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
    image = _load(write_dicom("a", colour, Modality="US", PixelSpacing=[0.5, 0.25]))
    assert (image.axes, image.spacing) == ("YXC", (0.5, 0.25))
    np.testing.assert_array_equal(image.pixels, colour)
    planar = write_dicom(
        "b", colour, Modality="XC", PlanarConfiguration=1, PixelData=colour.transpose(2, 0, 1).tobytes()
    )
    np.testing.assert_array_equal(_load(planar).pixels, colour)


def test_big_endian_gives_the_same_pixels(write_dicom, tmp_path):
    import pydicom

    dataset = pydicom.dcmread(write_dicom("a", RAMP))
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    dataset.PixelData = RAMP.astype(">u2").tobytes()
    pydicom.dcmwrite(tmp_path / "b", dataset, implicit_vr=False, little_endian=False)
    np.testing.assert_array_equal(_load(tmp_path / "b").pixels, RAMP)


def test_implicit_syntax_is_read(write_dicom):
    np.testing.assert_array_equal(_load(write_dicom("a", RAMP, ImplicitVRLittleEndian)).pixels, RAMP)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"NumberOfFrames": 3}, ReadErrorReason.MULTI_FRAME),
        ({"BurnedInAnnotation": "YES"}, ReadErrorReason.BURNED_IN_ANNOTATIONS),
        ({"PhotometricInterpretation": "PALETTE COLOR", "Modality": "US"}, ReadErrorReason.UNSUPPORTED_COLOURS),
        ({"Modality": ""}, ReadErrorReason.NO_MODALITY),
        ({"Rows": 0}, ReadErrorReason.NO_PIXELS),
        ({"Rows": 65535, "Columns": 65535}, ReadErrorReason.TOO_LARGE),
        ({"syntax": JPEGBaseline8Bit, "raw": encapsulate([b"\xff\xd8\xff\xd9"])}, ReadErrorReason.COMPRESSED),
        ({"syntax": RLELossless, "raw": encapsulate([b"12"])}, ReadErrorReason.COMPRESSED),
    ],
)
def test_unsupported_files_are_refused_by_their_header(write_dicom, fields, reason):
    path = write_dicom("a", RAMP, **fields)
    with pytest.raises(ReadError) as caught:
        read_headers(path)
    assert caught.value.reason is reason


def test_missing_pixels_are_found_when_they_are_read(write_dicom):
    path = write_dicom("a", RAMP)
    path.write_bytes(path.read_bytes()[:-40])
    assert read_headers(path)[0].patient == "P1"
    with pytest.raises(ReadError) as caught:
        _load(path)
    assert caught.value.reason is ReadErrorReason.UNREADABLE


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"PatientAge": "045Y", "PatientSex": "F"}, {"AgeBand": "40-49", "Sex": "F"}),
        ({"PatientAge": "089Y"}, {"AgeBand": "80-89"}),
        ({"PatientAge": "090Y"}, {"AgeBand": "90+"}),
        ({"PatientAge": "104Y"}, {"AgeBand": "90+"}),
        ({"PatientAge": "007M"}, {"AgeBand": "0-9"}),
        ({"PatientBirthDate": "19500602", "StudyDate": "20200601"}, {"AgeBand": "60-69"}),
        ({"PatientBirthDate": "19500601", "StudyDate": "20200601"}, {"AgeBand": "70-79"}),
        ({"Manufacturer": "SIEMENS Healthineers", "PatientSex": "X"}, {"Manufacturer": "Siemens"}),
        ({"Manufacturer": "scanner of St. Mary, room 4"}, {"Manufacturer": "Other"}),
        ({}, {}),
    ],
)
def test_attributes_are_generalised(write_dicom, fields, expected):
    assert read_headers(write_dicom("a", RAMP, **fields))[0].attributes == expected


def test_projections_of_one_series_are_views_not_slices(write_dicom):
    assert read_headers(write_dicom("a", RAMP, Modality="CT"))[0].series
    assert not read_headers(write_dicom("a", RAMP, Modality="DX"))[0].series


def test_the_modality_has_one_form(write_dicom):
    with pytest.warns(UserWarning, match="Invalid value for VR CS"):
        path = write_dicom("a", RAMP, Modality="mr ")
    assert read_headers(path)[0].modality == "MR"


def test_a_file_without_a_patient_number_has_none(write_dicom):
    assert read_headers(write_dicom("a", RAMP, PatientID=None))[0].patient == ""


def test_a_hospital_series_equals_its_nifti(data_folder, tmp_path):
    import zipfile

    sample = data_folder / "sts_native_sample"
    with zipfile.ZipFile(sample / "STS_019_dicom.zip") as archive:
        archive.extractall(tmp_path, [name for name in archive.namelist() if "/CT/image/" in name])
    volume = _load(*sorted(path for path in tmp_path.rglob("*") if path.is_file()))
    nifti = _load(sample / "STS_019_nifti" / "CT_image.nii.gz")
    assert (volume.axes, volume.pixels.dtype, volume.slice_axis) == ("ZYX", np.int16, nifti.slice_axis)
    assert volume.spacing == pytest.approx(nifti.spacing, abs=1e-4)
    np.testing.assert_array_equal(volume.pixels, nifti.pixels)
    np.testing.assert_allclose(volume.affine, nifti.affine, atol=1e-2)
