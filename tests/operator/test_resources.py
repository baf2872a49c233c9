import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from anamnesis.operator.api import load_resources
from anamnesis.records import InputError

Write = Callable[..., Path]

# what is replaced, by what, and what the message must say: kind and name, path of the field, the finding
BAD = [
    ('floor: "0.80"', "floor: 0.80", 'ContinualModel chest: spec.gate.floor: expected a decimal in quotes, like'),
    ('floor: "0.80"', 'floor: "high"', "spec.gate.floor: expected a decimal, like \"0.80\", found 'high'"),
    ('floor: "0.80"', 'floor: "1.80"', "spec.gate.floor: expected at most 1, found 1.80"),
    ('floor: "0.80"', 'floor: "NaN"', "spec.gate.floor: expected a decimal, like \"0.80\", found 'NaN'"),
    ('floor: "0.80", ', "", "spec.gate.floor: missing"),
    ('saliencyFloor: "0.40"', 'saliencyFloor: "Same"', "spec.gate.saliencyFloor: expected"),
    ("approval: Required", "approval: Maybe", "spec.gate.approval: expected one of Required, Automatic, found Maybe"),
    ("approval: Required", "aproval: Required", "spec.gate.aproval: unknown field; valid fields are floor, margin"),
    ("ResNet18", "ResNet19", "spec.network.type: expected SmallCNN, ResNet18, timm/<model>, or a network of MONAI"),
    ("size: [64, 64]", "size: [64]", "spec.network.input.size"),
    ("64]}}", "64]}, options: {norm: Group, width: 12}}",
     "spec.network: options.width: norm Group needs a width that is a multiple of 8, because it splits"),
    ("channels: 1", "channels: 2", "spec.network.input.channels: expected one of 1, 3, found 2"),
    ("name: EWCPrototype,", "name: EWK,", "spec.method: name: expected one of DERPP, EWC, EWCPrototype, Finetune"),
    ("EWCPrototype, ewcPrototype: {consolidation: {penalty: \"3000\"}, fisher: {kind: Sampled}}", "DERPP",
     "ContinualModel chest: spec: method DERPP keeps real images of patients in every version: choose another method"),
    ("penalty", "penalti", "spec.method: ewcPrototype.consolidation.penalti: unknown field; valid fields are penalty"),
    ("consolidation", "consolidate", "spec.method: ewcPrototype.consolidate: unknown field; valid fields are"),
    ('ewcPrototype: {', 'ewcPrototype: {penalty: "1", ',
     "ewcPrototype.penalty: unknown field; write consolidation: {penalty: ...}; valid fields are consolidation"),
    ("fisher: {kind: Sampled}", "fisher: Sampled",
     "ewcPrototype.fisher: expected fields, found 'Sampled'; its fields are kind, images"),
    ('{penalty: "3000"}', '"3000"', "spec.method: ewcPrototype.consolidation: expected fields, found '3000'"),
    ('penalty: "3000"', "penalty: 3000", "spec.method: ewcPrototype.consolidation.penalty: expected a decimal in"),
    ("Sampled", "Guessed", "spec.method: ewcPrototype.fisher.kind: expected one of Exact, Sampled,"),
    ("ewcPrototype:", "finetune:", "spec.method: finetune: unknown field; valid fields are name, ewcPrototype"),
    ("{name: bethesda}]", "{name: guangzhou}]", "spec.sites: 'guangzhou' is listed twice"),
    ("{name: bethesda}]", "{name: boston}]", "spec.sites[1].name: the files define no Site 'boston'"),
    ("sites: [{name: guangzhou}, {name: bethesda}]", "sites: []", "spec.sites"),
    ("registry: {url: registry/chest}", "registry: {url: 'ftp://x'}", "spec.registry.url"),
    ("name: chest", "name: Chest", "metadata.name: expected lower-case letters, digits and dashes, found 'Chest'"),
    ("kind: ContinualModel", "kind: Model", "document 3: kind: expected one of ContinualModel, ModelUpdate"),
    ("metadata: {name: chest}", "metadata: {}", "metadata.name: missing"),
    ("primaryMetric: AUROC", "primaryMetric: AUC", "Site guangzhou: spec.task.primaryMetric: expected one of AUROC"),
    ("primaryMetric: AUROC", "primaryMetric: Dice", "spec.task: primaryMetric: type Classification needs AUROC"),
    ("classes: [normal, pneumonia]", "classes: [normal]", "spec.task: type Classification needs two classes or more"),
    ("classes: [normal, pneumonia]", "classes: [a, a]", "spec.task.classes: 'a' is listed twice"),
    ("classes: [normal, pneumonia]", "classes: [yes, no]", "spec.task.classes[0]: expected text, found True; put it"),
    ("classes: [normal, pneumonia]", "classes: normal", "spec.task.classes"),
    ("modalities: [DX]", "modalities: [x-ray]", "spec.modalities[0]: expected a DICOM modality code"),
    ("type: Folder, folder: {path", "type: S3, folder: {path", "spec.source: type S3 needs the field s3 and exc"),
    ("folder: {path: data/cxr}", "folder: null", "spec.source: type Folder needs the field folder"),
    ("{from: Container}", "{from: Manifest}", "spec.labels: from: Manifest needs the field manifest"),
    ("{from: Container}", "{ignoredColumns: [comment]}", "spec.labels: from: Container excludes the fields patients"),
    ("apiVersion: anamnesis.dev/v1alpha1", "apiVersion: anamnesis.dev/v1", "apiVersion: expected anamnesis"),
    ("  store: images/guangzhou\n", "", "Site guangzhou: spec.store: missing; add it. The Site's own store"),
    ("  modalities: [DX]", "  modalities: [DX]\n  modalities: [CT]", "line 6, column 3: the key 'modalities' is"),
    ("  modalities: [DX]", "  modalities: [DX", "line "),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), BAD, ids=[case[2][:60] for case in BAD])
def test_a_bad_document_is_refused_with_file_field_and_finding(
    old: str, new: str, message: str, both_sites: str, model_text: str, resource_file: Write
) -> None:
    text = both_sites + "---\n" + model_text
    assert old in text
    path = resource_file(text.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        load_resources(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")


def test_the_good_document_is_read(both_sites: str, model_text: str, resource_file: Write) -> None:
    resources = load_resources(resource_file(both_sites + "---\n" + model_text))
    assert list(resources.models) == ["chest"]
    assert [site.name for site in resources.sites_of(resources.models["chest"])] == ["guangzhou", "bethesda"]


def test_a_method_that_stores_images_is_read_where_the_change_plan_allows_it(
    both_sites: str, model_text: str, resource_file: Write
) -> None:
    text = model_text.replace(
        'EWCPrototype, ewcPrototype: {consolidation: {penalty: "3000"}, fisher: {kind: Sampled}}', "DERPP"
    )
    allowed = text.replace("  method:", "  changePlan: {storedImages: Allowed}\n  method:")
    model = load_resources(resource_file(both_sites + "---\n" + allowed)).models["chest"].resource
    assert model.spec.method.entry.stores_exemplars
    with pytest.raises(InputError, match="storedImages: Allowed"):
        load_resources(resource_file(both_sites + "---\n" + allowed.replace("Allowed", "Forbidden")))


def test_every_error_of_a_file_is_reported_at_once(both_sites: str, model_text: str, resource_file: Write) -> None:
    text = (both_sites + "---\n" + model_text).replace("[DX]", "[dx]").replace('"0.80"', "0.80")
    with pytest.raises(InputError) as caught:
        load_resources(resource_file(text))
    assert len(str(caught.value).splitlines()) == 3


def test_the_same_name_twice_is_refused(both_sites: str, resource_file: Write, tmp_path: Path) -> None:
    first_file = resource_file(both_sites, "a.yaml")
    second_file = resource_file(both_sites, "b.yaml")
    with pytest.raises(InputError, match=r"b.yaml: Site guangzhou: already defined in .*a.yaml"):
        load_resources(first_file, second_file)
    with pytest.raises(InputError, match="already defined"):
        load_resources(tmp_path)


def test_resources_may_be_spread_over_files(
    both_sites: str, model_text: str, resource_file: Write, tmp_path: Path
) -> None:
    resource_file(both_sites, "sites.yaml")
    resource_file(model_text, "model.yml")
    assert set(load_resources(tmp_path).sites) == {"guangzhou", "bethesda"}


def test_equal_task_names_need_equal_tasks(both_sites: str, model_text: str, resource_file: Write) -> None:
    text = both_sites.replace("[normal, pneumonia]", "[healthy, ill]", 1) + "---\n" + model_text
    with pytest.raises(InputError, match=r"spec.task: Site guangzhou defines task 'pneumonia' with another type"):
        load_resources(resource_file(text))


@pytest.mark.parametrize("text", ["- a\n- b\n", "just text\n", "\x00"])
def test_a_document_that_is_not_a_resource_is_refused(text: str, resource_file: Write) -> None:
    with pytest.raises(InputError):
        load_resources(resource_file(text))


def test_a_missing_file_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        load_resources(tmp_path / "none.yaml")
    with pytest.raises(InputError, match=r"no \*.yaml"):
        load_resources(tmp_path)


def test_an_approval_is_read_and_bounded(both_sites: str, resource_file: Write) -> None:
    approval = (
        "---\napiVersion: anamnesis.dev/v1alpha1\nkind: UpdateApproval\nmetadata: {generateName: chest-}\n"
        "spec: {update: chest-1, version: VERSION, decision: Approve, approver: dr.rossi, reason: seen}\n"
    )
    load_resources(resource_file(both_sites + approval.replace("VERSION", "sha256:" + "a" * 64)))
    with pytest.raises(InputError, match=r"UpdateApproval chest-: spec.version: expected sha256: and 64 hex digits"):
        load_resources(resource_file(both_sites + approval.replace("VERSION", "sha256:abc")))


def test_operator_and_registry_import_without_torch_and_numpy() -> None:
    code = (
        "import sys; import anamnesis.local.updates, anamnesis.local.pipeline_runner; "
        "print([name for name in ('torch', 'numpy', 'monai', 'kfp') if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
