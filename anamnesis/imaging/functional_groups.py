"""Functional groups of enhanced DICOM objects (PS3.3 C.7.6.16) as the attributes of an ordinary object."""

from pydicom import Dataset

SEQUENCES = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")


def flatten_functional_groups(dataset: Dataset) -> None:
    """Copies the attributes of the groups of a single frame to the top level, where ordinary objects have them.

    The groups of the frame come after the shared groups; both come before the top level, which an enhanced object uses
    for a summary of all frames.
    """
    for name in SEQUENCES:
        for groups in list(dataset.get(name) or [])[:1]:
            for group in list(groups):
                if group.VR == "SQ" and len(group.value) == 1:
                    for element in group.value[0]:
                        dataset[element.tag] = element
    if frame_type := dataset.get("FrameType"):
        dataset.ImageType = frame_type
