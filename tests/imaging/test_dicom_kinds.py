import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import (
    BasicTextSRStorage,
    CTImageStorage,
    EncapsulatedPDFStorage,
    EnhancedCTImageStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    MediaStorageDirectoryStorage,
    MRImageStorage,
    RLELossless,
    RTDoseStorage,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
    VLWholeSlideMicroscopyImageStorage,
)

from anamnesis.imaging import (
    FOREIGN_REASONS,
    PixelSource,
    ReadError,
    ReadErrorReason,
    load_image,
    load_slice,
    read_headers,
)

RAMP = np.arange(48, dtype=np.uint16).reshape(6, 8)
NO_IMAGE = {"Rows": None, "Columns": None, "PixelData": None}
CT = {"Modality": "CT", "RescaleSlope": 1, "RescaleIntercept": -1024}


@pytest.mark.parametrize(
    ("fields", "reason", "is_foreign"),
    [
        ({"SOPClassUID": BasicTextSRStorage, **NO_IMAGE}, ReadErrorReason.STRUCTURED_REPORT, True),
        ({"SOPClassUID": EncapsulatedPDFStorage, **NO_IMAGE}, ReadErrorReason.DOCUMENT, True),
        ({"SOPClassUID": RTStructureSetStorage, **NO_IMAGE}, ReadErrorReason.RADIOTHERAPY, True),
        ({"SOPClassUID": RTDoseStorage, "NumberOfFrames": 3}, ReadErrorReason.RADIOTHERAPY, True),
        ({"SOPClassUID": SegmentationStorage}, ReadErrorReason.SEGMENTATION_OBJECT, True),
        ({"SOPClassUID": GrayscaleSoftcopyPresentationStateStorage, **NO_IMAGE}, ReadErrorReason.OTHER_OBJECT, True),
        ({"SOPClassUID": MediaStorageDirectoryStorage, **NO_IMAGE}, ReadErrorReason.OTHER_OBJECT, True),
        ({"SOPClassUID": "1.3.12.2.1107.5.9.1", **NO_IMAGE}, ReadErrorReason.OTHER_OBJECT, True),
        ({"SOPClassUID": CTImageStorage, "Modality": "SR", **NO_IMAGE}, ReadErrorReason.STRUCTURED_REPORT, True),
        ({"SOPClassUID": MRImageStorage, **NO_IMAGE}, ReadErrorReason.NO_PIXELS, False),
        ({"SOPClassUID": VLWholeSlideMicroscopyImageStorage}, ReadErrorReason.WHOLE_SLIDE, False),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], **CT}, ReadErrorReason.LOCALIZER, True),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "syntax": RLELossless}, ReadErrorReason.LOCALIZER, True),
        ({"SeriesDescription": "AAHScout_MPR_sag"}, ReadErrorReason.LOCALIZER, True),
        ({"SeriesDescription": "Survey_32ch"}, ReadErrorReason.LOCALIZER, True),
        ({"SeriesDescription": "Topogram  0.6  T20f", **CT}, ReadErrorReason.LOCALIZER, True),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]}, ReadErrorReason.MOSAIC, False),
        ({"SOPClassUID": SecondaryCaptureImageStorage, **CT}, ReadErrorReason.SCREEN_CAPTURE, True),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"], **CT}, ReadErrorReason.SCREEN_CAPTURE, True),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, ReadErrorReason.SCREEN_CAPTURE, True),
        ({"PhotometricInterpretation": "RGB", "Modality": "US"}, ReadErrorReason.UNSUPPORTED_COLOURS, False),
    ],
    ids=str,
)
def test_objects_that_are_not_for_a_task_are_refused_by_their_header(write_dicom, fields, reason, is_foreign):
    raw = {"raw": b"\xfe\xff\x00\xe0\x00\x00\x00\x00"} if "syntax" in fields else {}
    with pytest.raises(ReadError) as caught:
        read_headers(write_dicom("a", RAMP, **fields, **raw))
    assert caught.value.reason is reason
    assert (reason in FOREIGN_REASONS) is is_foreign


@pytest.mark.parametrize(
    "fields",
    [
        {"SeriesDescription": "knee, scouting excluded"},
        {"SeriesDescription": "Skeletal survey low dose"},
        {"SOPClassUID": SecondaryCaptureImageStorage, "Modality": "OT"},
        {"SOPClassUID": CTImageStorage, "ImageType": ["DERIVED", "SECONDARY", "MPR"], **CT},
    ],
    ids=str,
)
def test_other_images_are_read(write_dicom, fields):
    assert read_headers(write_dicom("a", RAMP, **fields))


@pytest.mark.parametrize(
    ("orientation", "image_type", "is_scout"),
    [
        ([1, 0, 0, 0, 0, -1], None, True),
        ([0, 1, 0, 0, 0, -1], ["ORIGINAL", "PRIMARY"], True),
        ([0, 1, 0, 0, 0, -1], ["DERIVED", "SECONDARY", "MPR"], False),
        ([1, 0, 0, 0, 0.95, -0.312], ["ORIGINAL", "PRIMARY", "AXIAL"], False),
    ],
)
def test_a_single_slice_of_a_ct_that_is_not_axial_is_a_scout(write_dicom, orientation, image_type, is_scout):
    path = write_dicom("a", RAMP, ImageOrientationPatient=orientation, ImageType=image_type, **CT)
    if not is_scout:
        assert load_image(PixelSource((path,))).axes == "YX"
        return
    with pytest.raises(ReadError) as caught:
        load_image(PixelSource((path,)))
    assert caught.value.reason is ReadErrorReason.LOCALIZER
    assert load_slice(path).axes == "YX"  # as one of a series


def test_pictures_without_a_position_are_not_slices(write_dicom):
    assert not read_headers(write_dicom("a", RAMP, Modality="OT"))[0].series
    assert read_headers(write_dicom("b", RAMP, Modality="CT", SeriesInstanceUID=None))[0].series
    assert read_headers(write_dicom("c", RAMP, Modality="OT", ImagePositionPatient=[0, 0, 0]))[0].series


def _group(**sequences):
    group = Dataset()
    for name, fields in sequences.items():
        item = Dataset()
        for field, value in fields.items():
            setattr(item, field, value)
        setattr(group, name, [item])
    return group


def test_an_enhanced_object_of_one_frame_is_read_with_its_functional_groups(write_dicom):
    groups = {
        "SharedFunctionalGroupsSequence": [
            _group(
                PixelValueTransformationSequence={"RescaleSlope": 1, "RescaleIntercept": -1000, "RescaleType": "HU"},
                PixelMeasuresSequence={"PixelSpacing": [0.5, 0.25], "SliceThickness": 1},
                PlaneOrientationSequence={"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]},
            )
        ],
        "PerFrameFunctionalGroupsSequence": [
            _group(
                PixelValueTransformationSequence={"RescaleSlope": 1, "RescaleIntercept": -1024, "RescaleType": "HU"},
                PlanePositionSequence={"ImagePositionPatient": [3, 4, 5]},
            )
        ],
    }
    enhanced = {"SOPClassUID": EnhancedCTImageStorage, "NumberOfFrames": 1, "Modality": "CT", **groups}
    path = write_dicom("a", RAMP, **enhanced)
    image = load_image(PixelSource((path,)))
    np.testing.assert_array_equal(image.pixels, RAMP.astype(int) - 1024)
    assert (image.spacing, [row[2] for row in image.affine]) == ((0.5, 0.25), [3, 4, 5])
    frame_type = _group(CTImageFrameTypeSequence={"FrameType": ["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"]})
    localizer = write_dicom("b", RAMP, **(enhanced | {"PerFrameFunctionalGroupsSequence": [frame_type]}))
    with pytest.raises(ReadError) as caught:
        read_headers(localizer)
    assert caught.value.reason is ReadErrorReason.LOCALIZER
