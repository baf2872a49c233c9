"""Asks a version about one study. The study is read, answered and forgotten: nothing of it is stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from anamnesis.local.context import Selected
from anamnesis.local.versions import find_version
from anamnesis.records import InputError, Sample, Target, columns_of

if TYPE_CHECKING:
    from anamnesis.imaging import RawImage
    from anamnesis.updates.model import Description


@dataclass(frozen=True, slots=True)
class Answer:
    """What a version says of one study.

    Attributes:
        version: digest.
        images: how many images the study has; their probabilities are averaged.
        probabilities: ``task/class`` -> softmax over the classes that compete, highest first. Not calibrated.
    """

    version: str
    images: int
    probabilities: Mapping[str, float]


def predict_study(selected: Selected, study: Path, site: str, task: str, text: str) -> Answer:
    """Returns what a version says of the study at ``study``.

    Args:
        selected: the model.
        study: a file or folder.
        site: whose images it is like; empty: the file's modality decides.
        task: which task's classes compete; empty: all.
        text: which version.

    Raises:
        InputError: the study cannot be read, or it is unclear what it is.
    """
    import torch

    from anamnesis.imaging import read
    from anamnesis.methods import PredictRequest
    from anamnesis.training import numerics_for, tensors_of
    from anamnesis.updates.model import load_model

    digest = find_version(selected.registry, text)
    model = load_model(selected.registry, digest)
    description, labels = model.description, model.description.labels
    columns = _columns(description, task)
    raw = read(study)
    modality = _modality(selected, raw, site)
    first = description.visits[0].task  # tensors need a target; it is not looked at
    samples = [Sample("study", "", "", {modality: each.image}, Target(index=0)) for each in raw]
    images = tensors_of(samples, first, modality, labels, description.configuration.network).images
    numerics = numerics_for(description.configuration)
    model.method.network.to(numerics.device, memory_format=numerics.layout)  # type: ignore[call-overload]
    with numerics.applied(), numerics.autocast():
        logits = model.method.predict(images.to(numerics.device, torch.float32), PredictRequest(columns)).logits
    if logits is None:
        raise InputError(f"version {digest}: it answers with something else than classes")
    chances = logits.float().softmax(1).mean(0).tolist()
    answers = {labels[column]: chances[column] for column in columns or range(len(labels))}
    return Answer(digest, len(raw), dict(sorted(answers.items(), key=lambda item: -item[1])))


def _columns(description: "Description", task: str) -> tuple[int, ...]:
    if not task:
        return ()
    known = {visit.task.name: visit.task for visit in description.visits}
    if task not in known:
        raise InputError(f"--task: expected one of {', '.join(known)}, found {task!r}")
    return columns_of(known[task], description.labels)


def _modality(selected: Selected, raw: "list[RawImage]", site: str) -> str:
    sites = selected.resources.sites_of(selected.model)
    if site or len(sites) == 1:
        return selected.config(selected.site(site)).modalities[0]
    declared = {code for each in sites for code in selected.config(each).modalities}
    found = {each.header.modality for each in raw}
    if len(found) != 1 or not found <= declared:
        said = ", ".join(sorted(filter(None, found))) or "nothing"
        raise InputError(f"--site: the study says {said} of its modality; name the site whose images it is like")
    return found.pop()
