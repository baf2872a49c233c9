"""Fields that mean nothing, or that contradict another resource."""

from collections.abc import Callable
from pathlib import Path

import pytest
from builders.resource_documents import Json, document, model_spec, site_spec

from anamnesis.local.context import select_model, select_models
from anamnesis.operator.api import ContinualModel, LoadedResource, Site
from anamnesis.operator.spec_checks import describe_unread_modalities, find_problems, find_site_problem
from anamnesis.records import InputError

FOLDER = Path("/resources/x")
SEGMENTATION = {"name": "lungs", "type": "Segmentation", "classes": ["lung"], "primaryMetric": "Dice"}
PROGNOSIS = {"name": "lungs", "type": "Prognosis", "primaryMetric": "CIndex"}
DISTANCE = {**SEGMENTATION, "primaryMetric": "SurfaceDistance"}


def loaded_site(name: str = "north", **changes: object) -> LoadedResource[Site]:
    spec = site_spec({"type": "S3", "s3": {"url": f"s3://arrivals/{name}"}}, f"s3://images/{name}")
    return LoadedResource(Site.model_validate(document("Site", name, {**spec, **changes})), FOLDER)


def problems(*sites: LoadedResource[Site], **changes: object) -> str:
    names = [site.name for site in sites]
    model = ContinualModel.model_validate(document("ContinualModel", "chest", model_spec(names, changes)))
    return "\n".join(find_problems(LoadedResource(model, FOLDER), {site.name: site for site in sites}))


def gate(**changes: object) -> Json:
    return {"floor": "0.8", "margin": "0.05", **changes}


NORTH, SOUTH = loaded_site(), loaded_site("south")


def test_good_resources_have_no_problem() -> None:
    assert problems(NORTH, SOUTH) == ""
    assert problems(NORTH, SOUTH, gate=gate(saliencyFloor="0.4", tasks=[{"name": "bars", "floor": "0.9"}])) == ""


@pytest.mark.parametrize(
    ("sites", "changes", "message"),
    [
        ([NORTH], {"gate": gate(tasks=[{"name": "pnuemonia", "floor": "0.9"}])},
         "spec.gate.tasks[0].name: no Site of the model has a task 'pnuemonia'; correct the name, or remove the "
         "limits. Tasks: bars"),
        ([loaded_site(task=SEGMENTATION)], {},
         "spec.method.name: Finetune cannot learn the task of Site north, because its type is Segmentation; it learns "
         "Classification"),
        ([loaded_site(task=PROGNOSIS)], {},
         "spec.method.name: Finetune cannot learn the task of Site north, because its type is Prognosis; it learns "
         "Classification"),
        ([loaded_site(task=SEGMENTATION)], {"gate": gate(tasks=[{"name": "lungs", "saliencyFloor": "0.4"}])},
         "spec.gate.tasks[0].saliencyFloor: task 'lungs' has no saliency maps"),
        ([loaded_site(task=SEGMENTATION)], {"gate": gate(saliencyFloor="0.4")},
         "spec.gate.saliencyFloor: no task of the model has saliency maps"),
        ([loaded_site(task=SEGMENTATION)], {"gate": gate(recallFloor="0.4")},
         "spec.gate.recallFloor: no task of the model has recall of a class; remove recallFloor"),
        ([loaded_site(task=SEGMENTATION)], {"gate": gate(tasks=[{"name": "lungs", "calibrationError": "0.4"}])},
         "spec.gate.tasks[0].calibrationError: task 'lungs' has no probabilities of classes"),
        ([loaded_site(task=DISTANCE)], {"gate": gate(tasks=[{"name": "lungs", "floor": "0.4"}])},
         "spec.gate.tasks[0].floor: lower is better for SurfaceDistance of task 'lungs'; declare a ceiling in "
         "input pixels"),
        ([loaded_site(task=SEGMENTATION)], {"gate": gate(tasks=[{"name": "lungs", "ceiling": "0.4"}])},
         "spec.gate.tasks[0].ceiling: higher is better for Dice of task 'lungs'; declare a floor instead"),
        ([NORTH], {"gate": gate(tasks=[{"name": "bars", "margin": "2"}])},
         "spec.gate.tasks[0].margin: Accuracy is from 0 to 1, so a limit of 2 judges nothing"),
        ([NORTH], {"registry": {"url": "s3://arrivals/north/registry"}},
         "spec.registry.url: s3://arrivals/north/registry overlaps spec.source of Site north"),
        ([NORTH], {"registry": {"url": "s3://arrivals/x/..//north/registry"}}, "overlaps spec.source of Site north"),
        ([loaded_site(store="s3://images/other/../north"), loaded_site("south", store="s3://images//north")], {},
         "Site south: spec.store is also that of Site north"),
        ([NORTH], {"registry": {"url": "s3://arrivals"}}, "overlaps spec.source of Site north"),
        ([NORTH], {"registry": {"url": "s3://images/north"}}, "overlaps spec.store of Site north: users who may read"),
        ([loaded_site(store="s3://arrivals/north/store")], {},
         "Site north: spec.store: s3://arrivals/north/store overlaps spec.source, so the Site would ingest what it"),
        ([NORTH, loaded_site("south", store="s3://arrivals/north/south")], {},
         "Site south: spec.store overlaps spec.source of Site north"),
        ([NORTH, loaded_site("south", store="s3://images/north/")], {},
         "Site south: spec.store is also that of Site north"),
    ],
)  # fmt: skip
def test_a_problem_names_the_field(sites: list[LoadedResource[Site]], changes: Json, message: str) -> None:
    assert message in problems(*sites, **changes)


def test_a_name_that_begins_alike_is_another_place() -> None:
    assert problems(NORTH, loaded_site("south", store="s3://arrivals/northern"), registry={"url": "s3://image"}) == ""


def test_a_task_of_a_site_that_is_not_there_yet_is_not_called_wrong() -> None:
    model = model_spec(["north", "later"], {"gate": gate(tasks=[{"name": "pneumonia", "floor": "0.9"}])})
    resource = ContinualModel.model_validate(document("ContinualModel", "chest", model))
    assert find_problems(LoadedResource(resource, FOLDER), {"north": NORTH}) == ()


@pytest.mark.parametrize("store", ["/data/x-rays", "/data", "/data/x-rays/store"])
def test_a_site_does_not_ingest_its_own_store(store: str) -> None:
    source = {"type": "Folder", "folder": {"path": "/data/x-rays"}}
    site = loaded_site(source=source, store=f"file://{store}")
    assert "overlaps spec.source" in find_site_problem(site)
    assert find_site_problem(loaded_site(source=source, store="file:///data/x-rays-store")) == ""


def test_on_a_laptop_the_same_problems_are_an_error_with_the_file(
    both_sites: str, model_text: str, resource_file: Callable[..., Path]
) -> None:
    good = both_sites + "---\n" + model_text
    misspelt = resource_file(good.replace("approval: Required", "tasks: [{name: pnuemonia, floor: '0.9'}]"))
    inside = resource_file(good.replace("url: registry/chest", "url: data/cxr/registry"), "inside.yaml")
    for select in (select_model, select_models):
        with pytest.raises(InputError, match=r"model.yaml: ContinualModel chest: spec.gate.tasks\[0\].name: no Site"):
            select([misspelt])
        with pytest.raises(InputError, match=r"ContinualModel chest: spec.registry.url: data/cxr/registry overlaps"):
            select([inside])


def test_modalities_that_the_method_does_not_read_are_told() -> None:
    model = LoadedResource(
        ContinualModel.model_validate(document("ContinualModel", "chest", model_spec(["north"], {}))), FOLDER
    )
    assert describe_unread_modalities(model, loaded_site(modalities=["CT"])) == ""
    assert (
        describe_unread_modalities(model, loaded_site(modalities=["CT", "PT"]))
        == "Finetune reads the first of spec.modalities of the Site, CT; it does not read PT"
    )
