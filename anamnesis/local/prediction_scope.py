"""Whose classes compete for the answer about a study: a known site or task implies the task, else all compete."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from anamnesis.local.study_images import StudyImages
from anamnesis.records import InputError, RefusedError, SiteConfig, Task


class AnsweredBy(StrEnum):
    """How the task of a study became known."""

    SITE = "site"
    """By the option --site."""
    TASK = "task"
    """By the option --task."""
    BODY_PART = "body_part"
    """By its modality and BodyPartExamined, which only sites of one task declare."""
    ALL_CLASSES = "all_classes"
    """It is not known: the classes of all tasks compete."""


@dataclass(frozen=True, slots=True)
class AnswerScope:
    """The learned sites that a study may be of.

    Attributes:
        answered_by: how they became known.
        sites: their names.
    """

    answered_by: AnsweredBy
    sites: tuple[str, ...]


def choose_scope(
    learned_tasks: Mapping[str, Task], declared: Mapping[str, SiteConfig], site: str, task: str, site_required: bool
) -> AnswerScope | None:
    """Returns the scope that the options give to all studies, or none without options.

    Args:
        learned_tasks: site -> task that the version has learned.
        declared: site -> settings, as the resource files declare them.
        site: the option --site; a site that the version has not learned stands for the learned sites of its task.
        task: the option --task.
        site_required: whether the model answers only where the site or the task is known.

    Raises:
        InputError: the version has not learned the site's task or the task, or the options contradict each other.
        RefusedError: the model requires one of the options.
    """
    if site:
        site_task = learned_tasks.get(site, declared[site].task)
        if task not in ("", site_task.name):
            raise InputError(f"--task: site {site!r} has the task {site_task.name!r}, found {task!r}; leave out --task")
        sites = (site,) if site in learned_tasks else _sites_of_task(learned_tasks, site_task.name)
        if not sites:
            raise InputError(
                f"--site: the version has not learned the task {site_task.name!r} of site {site!r}; choose one of "
                f"{', '.join(learned_tasks)}, or another --version"
            )
        return AnswerScope(AnsweredBy.SITE, sites)
    if task:
        sites = _sites_of_task(learned_tasks, task)
        if not sites:
            names = dict.fromkeys(learned.name for learned in learned_tasks.values())
            raise InputError(f"--task: expected one of {', '.join(names)}, found {task!r}")
        return AnswerScope(AnsweredBy.TASK, sites)
    if site_required:
        raise RefusedError(
            "spec.answers.siteRequired: the model answers only where the site is known; give --site, or --task"
        )
    return None


def find_scope(
    study: StudyImages, learned_tasks: Mapping[str, Task], declared: Mapping[str, SiteConfig]
) -> AnswerScope:
    """Returns the scope of a study without options.

    Its modality alone does not decide: a model of lungs would answer a head CT. The body part does, where every
    learned site that takes the study declares body parts, and all these sites have one task.
    """
    sites = tuple(site for site in study.sites if site in learned_tasks)
    are_declared = all(set(study.body_parts) <= set(declared[site].body_parts) for site in sites)
    if sites and study.body_parts and are_declared and len({learned_tasks[site] for site in sites}) == 1:
        return AnswerScope(AnsweredBy.BODY_PART, sites)
    return AnswerScope(AnsweredBy.ALL_CLASSES, tuple(learned_tasks))


def find_refused_task(study: StudyImages, scope: AnswerScope, answer: str, learned_tasks: Mapping[str, Task]) -> str:
    """Returns the task of an answer that a study must not get, else an empty text.

    Where all classes compete, pixels alone would answer a CT from a task that only MR taught. The answer is refused
    where no learned site of its task takes images of the study's modality and body part.

    Args:
        study: with the sites that take it.
        scope: whose classes competed.
        answer: ``task/class``, or empty.
        learned_tasks: site -> task that the version has learned.
    """
    task = answer.partition("/")[0]
    taking_tasks = {learned_tasks[site].name for site in study.sites if site in learned_tasks}
    return task if scope.answered_by is AnsweredBy.ALL_CLASSES and task not in taking_tasks else ""


def _sites_of_task(learned_tasks: Mapping[str, Task], task: str) -> tuple[str, ...]:
    return tuple(site for site, learned_task in learned_tasks.items() if learned_task.name == task)


def find_reading_sites(
    scope: AnswerScope | None, learned_tasks: Mapping[str, Task], declared: Mapping[str, SiteConfig], site: str
) -> list[SiteConfig]:
    """Returns the settings by whose rules images are read: of the named site, or of the learned sites of the scope.

    Args:
        scope: the one of the options, or none.
        learned_tasks: site -> task that the version has learned.
        declared: site -> settings.
        site: the option --site.

    Raises:
        InputError: the named site has another modality than the learned sites.
    """
    learned_sites = scope.sites if scope else tuple(learned_tasks)
    configs = [declared[name] for name in learned_sites if name in declared] or list(declared.values())
    if not site:
        return configs
    config = declared[site]
    if config.modalities[0] not in {learned.modalities[0] for learned in configs}:
        raise InputError(
            f"--site: the version has not learned images of modality {config.modalities[0]}, as site {site!r} has; "
            f"choose one of {', '.join(learned.name for learned in configs)}, or another --version"
        )
    return [config]
