"""A known site, task or body part decides whose classes compete; nothing else does."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from anamnesis.local.prediction_scope import (
    AnsweredBy,
    AnswerScope,
    choose_scope,
    find_reading_sites,
    find_refused_task,
    find_scope,
)
from anamnesis.local.study_files import open_study_files
from anamnesis.local.study_images import choose_images
from anamnesis.methods import MethodCapabilities
from anamnesis.records import InputError, RefusedError, SiteConfig, Task, TaskType

LUNG = Task("lung", TaskType.CLASSIFICATION, ("normal", "pneumonia"))
BRAIN = Task("brain", TaskType.CLASSIFICATION, ("glioma", "meningioma"))
DECLARED = {
    "chest": SiteConfig("chest", "", ("DX",), LUNG, body_parts=("CHEST", "LUNG")),
    "clinic": SiteConfig("clinic", "", ("DX",), LUNG, body_parts=("CHEST",)),
    "head": SiteConfig("head", "", ("MR",), BRAIN),
    "new": SiteConfig("new", "", ("DX",), LUNG),
    "foot": SiteConfig("foot", "", ("DX",), Task("foot", TaskType.CLASSIFICATION, ("normal", "fracture"))),
}
LEARNED = {name: DECLARED[name].task for name in ("chest", "clinic", "head")}


@pytest.mark.parametrize(
    ("site", "task", "answered_by", "sites"),
    [
        ("chest", "", AnsweredBy.SITE, ("chest",)),
        ("chest", "lung", AnsweredBy.SITE, ("chest",)),
        ("new", "", AnsweredBy.SITE, ("chest", "clinic")),
        ("", "lung", AnsweredBy.TASK, ("chest", "clinic")),
    ],
)
def test_an_option_decides(site: str, task: str, answered_by: AnsweredBy, sites: tuple[str, ...]) -> None:
    scope = choose_scope(LEARNED, DECLARED, site=site, task=task, site_required=True)
    assert scope is not None
    assert (scope.answered_by, scope.sites) == (answered_by, sites)
    names = [config.name for config in find_reading_sites(scope, LEARNED, DECLARED, site)]
    assert names == ([site] if site else list(sites)), "images are read by the rules of these sites alone"


def test_what_the_options_cannot_mean_is_refused() -> None:
    with pytest.raises(InputError, match="'chest' has the task 'lung', found 'brain'"):
        choose_scope(LEARNED, DECLARED, site="chest", task="brain", site_required=False)
    with pytest.raises(InputError, match="has not learned the task 'foot' of site 'foot'"):
        choose_scope(LEARNED, DECLARED, site="foot", task="", site_required=False)
    with pytest.raises(InputError, match="--task: expected one of lung, brain, found 'foot'"):
        choose_scope(LEARNED, DECLARED, site="", task="foot", site_required=False)
    assert choose_scope(LEARNED, DECLARED, site="", task="", site_required=False) is None
    with pytest.raises(RefusedError, match=r"siteRequired: .* give --site, or --task"):
        choose_scope(LEARNED, DECLARED, site="", task="", site_required=True)


@pytest.mark.parametrize(
    ("learned", "body_part", "expected"),
    [
        (("chest", "clinic", "head"), "CHEST", (AnsweredBy.BODY_PART, ("chest", "clinic"))),
        (("chest", "clinic", "head"), "LUNG", (AnsweredBy.BODY_PART, ("chest",))),
        (("new", "head"), "CHEST", (AnsweredBy.ALL_CLASSES, ("new", "head"))),  # modality alone
        (("chest", "foot"), "CHEST", (AnsweredBy.ALL_CLASSES, ("chest", "foot"))),  # foot takes any body part
        (("new", "head"), "", (AnsweredBy.ALL_CLASSES, ("new", "head"))),
    ],
)
def test_modality_and_declared_body_part_decide_together(
    awaiting_folder: Path, tmp_path: Path, learned: tuple[str, ...], body_part: str, expected: object
) -> None:
    dataset = pydicom.dcmread(next((awaiting_folder / "data").rglob("IM*")))
    dataset.BodyPartExamined = body_part
    dataset.save_as(tmp_path / "study.dcm")
    tasks: Mapping[str, Task] = {name: DECLARED[name].task for name in learned}
    with open_study_files(tmp_path / "study.dcm") as files:
        (study,) = choose_images(files, [DECLARED[name] for name in learned], MethodCapabilities())
    scope = find_scope(study, tasks, DECLARED)
    assert (scope.answered_by, scope.sites) == expected
    all_classes = AnswerScope(AnsweredBy.ALL_CLASSES, learned)
    assert find_refused_task(study, all_classes, "brain/glioma", tasks) == "brain", "no site of MR takes an X-ray"
    assert find_refused_task(study, all_classes, f"{tasks[learned[0]].name}/normal", tasks) == ""
    assert find_refused_task(study, AnswerScope(AnsweredBy.TASK, ("head",)), "brain/glioma", tasks) == ""


def test_a_picture_without_a_body_part_is_of_no_known_site(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(tmp_path / "a.png")
    with open_study_files(tmp_path / "a.png") as files:
        (study,) = choose_images(files, [DECLARED["chest"]], MethodCapabilities())
    assert find_scope(study, {"chest": LUNG}, DECLARED).answered_by is AnsweredBy.ALL_CLASSES
