"""One run: a setting in, a result out."""

import json
import shlex
from pathlib import Path

from torch import Tensor

from anamnesis.records import NetworkSpec, TrainingSettings, encode_object
from benchmarks.scoreboard.learn import Learned, learn, peak_memory
from benchmarks.scoreboard.measure import Answers, Saliency, answers, maps_of, saliency
from benchmarks.scoreboard.packing import pack
from benchmarks.scoreboard.result import Result, Scores, Setting, code_of, environment
from benchmarks.scoreboard.sequences import SIZE, load
from benchmarks.scoreboard.sites import Site

QUICK_IMAGES = 160
QUICK_SIZE = 32
WIDTH, QUICK_WIDTH = 16, 8


def run(setting: Setting, folder: Path | None = None) -> Result:
    """Learns the sequence and judges the method after each site.

    Raises:
        InputError: unknown sequence, method or option, missing images, or a loss that is not finite.
    """
    size = QUICK_SIZE if setting.quick else SIZE
    sites = load(setting.sequence, setting.order, QUICK_IMAGES if setting.quick else 0, size, folder)
    network = NetworkSpec(size=(size, size), width=QUICK_WIDTH if setting.quick else WIDTH)
    settings = TrainingSettings(epochs=setting.epochs, learning_rate=setting.learning_rate, seed=setting.seed)
    rows: list[tuple[Learned, dict[str, Answers]]] = []
    own_maps: dict[str, Tensor] = {}
    for state in learn(sites, setting.method, setting.options, network, settings):
        rows.append((state, {site.name: answers(state, site) for site in state.known}))
        site = sites[len(rows) - 1]
        if not state.method.needs.earlier_data and (maps := maps_of(state, site)) is not None:
            own_maps[site.name] = maps
    last, found = rows[-1]
    names = [site.name for site in sites]
    return Result(
        setting=setting,
        command=command(setting),
        code=code_of(setting.method),
        environment=environment(),
        sites=tuple(names),
        classes=tuple(site.task.classes for site in sites),
        network=encode_object(network),
        training=encode_object(settings),
        seconds=tuple(round(state.seconds, 2) for state, _ in rows),
        state_bytes=tuple(state.state_bytes for state, _ in rows),
        peak_memory=peak_memory(),
        class_incremental=_table(rows, names, "class_right"),
        task_incremental=_table(rows, names, "task_right"),
        site_inference=_table(rows, names, "site_right"),
        patients={name: {k: tuple(v) for k, v in found[name].by_patient().items()} for name in names},
        saliency=_kept(last, sites[:-1], own_maps),
        maps={site.name: pack(m) for site in sites if (m := maps_of(last, site)) is not None}
        if last.method.needs.earlier_data
        else {},
        losses=tuple(state.log[-1] if state.log else {} for state, _ in rows),
    )


def command(setting: Setting) -> str:
    """Returns the command line that repeats a run."""
    options = " ".join(f"--option {shlex.quote(f'{name}={_text(value)}')}" for name, value in setting.options.items())
    words = f"--sequence {setting.sequence} --method {setting.method} {options}".rstrip()
    numbers = f"--seed {setting.seed} --order {setting.order}"
    budget = f"--epochs {setting.epochs} --learning-rate {setting.learning_rate:g}"
    return f"python -m benchmarks.scoreboard run {words} {numbers} {budget}" + (" --quick" if setting.quick else "")


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _table(rows: list[tuple[Learned, dict[str, Answers]]], names: list[str], what: str) -> Scores:
    return tuple(
        tuple(round(float(getattr(found[n], what).float().mean()), 6) if n in found else None for n in names)
        for _, found in rows
    )


def _kept(last: Learned, old: tuple[Site, ...], own_maps: dict[str, Tensor]) -> dict[str, Saliency]:
    pairs = ((site, maps_of(last, site)) for site in old if site.name in own_maps)
    return {site.name: saliency(site, own_maps[site.name], maps) for site, maps in pairs if maps is not None}
