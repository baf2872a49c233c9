"""One run: from its setting to its result."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from anamnesis.records import digest_json, encode
from benchmarks.scoreboard.result import code_digest, describe_environment
from benchmarks.sites224.frozen_maps import write_maps
from benchmarks.sites224.learning import LearnedSite, learn, pretrained_backbone
from benchmarks.sites224.measure import (
    Answer,
    SiteAnswers,
    SiteMaps,
    answer_site,
    balanced_accuracy,
    explain_site,
    maps_are_faithful,
    probe_rows,
    retained_iou,
)
from benchmarks.sites224.prepared import PreparedSite, prepare_site
from benchmarks.sites224.result import AnswerResult, SequenceRun
from benchmarks.sites224.second_answer import PROTOTYPES, own_answer
from benchmarks.sites224.setting import SequenceSetting, readme_configuration
from benchmarks.sites224.sites import SEQUENCES, SITES, WORK_FOLDER, ingest_entry


def prepare(name: str, folder: Path = WORK_FOLDER) -> Path:
    """Ingests a site, draws its views and computes its frozen maps, and returns the file of maps."""
    network = readme_configuration().network
    network_digest = digest_json(encode(network)).removeprefix("sha256:")[:16]  # another network has other maps
    path = folder / "maps" / f"{name}-{network_digest}.npy"
    backbone = pretrained_backbone(network)

    def arrays() -> Iterator[npt.NDArray[np.uint8]]:
        for development in (False, True):
            site = prepare_site(ingest_entry(SITES[name], folder), network, development, folder)
            yield from (site.train.images, *site.views, site.held_out.images)

    write_maps(backbone, path, arrays())
    return path


def run(setting: SequenceSetting, folder: Path = WORK_FOLDER) -> SequenceRun:
    """Learns the sequence, and judges every answer of the method after each site."""
    names = SEQUENCES[setting.sequence][:: -1 if setting.order else 1]
    maps = tuple(prepare(name, folder) for name in names)
    is_development = setting.sequence.startswith("development")
    sites = tuple(
        prepare_site(ingest_entry(SITES[name], folder), setting.network, is_development, folder) for name in names
    )
    measured = _Measurements(sites, explains=not is_development)
    seconds, sizes = [], []
    for learned in learn(sites, setting, maps):
        measured.add(learned)
        seconds.append(round(learned.seconds, 2))
        sizes.append(learned.state_bytes)
    return SequenceRun(
        setting=setting,
        command=setting.command,
        code=code_digest(setting.method),
        environment=describe_environment(),
        sites=names,
        seconds=tuple(seconds),
        state_bytes=tuple(sizes),
        patients={site.name: tuple(site.held_out.patients.tolist()) for site in sites},
        labels={site.name: tuple(site.held_out.labels.tolist()) for site in sites},
        probes={site.name: tuple(probe_rows(site).tolist()) for site in sites},
        answers=measured.results(),
    )


def answers_of(learned: LearnedSite) -> list[Answer]:
    """Returns the classifiers of a learned method."""
    own = Answer(own_answer(learned.method), learned.method)
    return [own, *(Answer(name, answer) for name, answer in learned.second_answers.items())]


class _Measurements:
    """What was measured so far, by answer."""

    def __init__(self, sites: tuple[PreparedSite, ...], explains: bool) -> None:
        self.sites, self.explains = sites, explains
        self.rows: dict[str, list[dict[str, SiteAnswers]]] = {}
        self.maps_own: dict[str, dict[str, SiteMaps]] = {}
        self.maps_last: dict[str, dict[str, SiteMaps]] = {}
        self.faithful: dict[str, dict[str, bool]] = {}

    def add(self, learned: LearnedSite) -> None:
        """Judges all sites whose classes are known, and explains the site that was learned; at the end all."""
        known_sites = [site for site in self.sites if set(site.site.task.labels) <= set(learned.labels)]
        is_last = learned.number == len(self.sites) - 1
        all_answers = answers_of(learned)
        judged = PROTOTYPES if PROTOTYPES in [answer.name for answer in all_answers] else all_answers[0].name
        for answer in all_answers:
            answers = {site.name: answer_site(answer, site, learned.labels) for site in known_sites}
            self.rows.setdefault(answer.name, []).append(answers)
            if not self.explains or answer.name != judged:
                continue
            own, last = (part.setdefault(answer.name, {}) for part in (self.maps_own, self.maps_last))
            self._explain(answer, self.sites[learned.number], learned.labels, own)
            for site in self.sites if is_last else ():
                self._explain(answer, site, learned.labels, last)
            if is_last:
                self.faithful[answer.name] = {
                    name: maps_are_faithful(answer, site, learned.labels)
                    for site in self.sites[:-1]
                    if (name := site.name) in own
                }

    def _explain(
        self, answer: Answer, site: PreparedSite, labels: tuple[str, ...], target: dict[str, SiteMaps]
    ) -> None:
        if maps := explain_site(answer, site, labels):
            target[site.name] = maps

    def results(self) -> dict[str, AnswerResult]:
        """Returns the results of all answers."""
        return {name: self._result(name) for name in self.rows}

    def _result(self, name: str) -> AnswerResult:
        rows, own, last = self.rows[name], self.maps_own.get(name, {}), self.maps_last.get(name, {})

        def table(field: str) -> tuple[tuple[float | None, ...], ...]:
            return tuple(
                tuple(
                    round(balanced_accuracy(getattr(row[site.name], field), site.held_out.labels), 6)
                    if site.name in row
                    else None
                    for site in self.sites
                )
                for row in rows
            )

        return AnswerResult(
            class_incremental=table("class_right"),
            task_incremental=table("task_right"),
            images=rows[-1],
            iou={
                site.name: retained_iou(own[site.name].learned, last[site.name].learned)
                for site in self.sites[:-1]
                if site.name in own and site.name in last
            },
            energy_own={site: maps.energy for site, maps in own.items() if maps.energy},
            energy_last={site: maps.energy for site, maps in last.items() if maps.energy},
            faithful=self.faithful.get(name, {}),
        )
