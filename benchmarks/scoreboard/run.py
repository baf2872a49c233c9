"""One run: from its setting to its result."""

import json
import shlex
from pathlib import Path

from torch import Tensor

from anamnesis.records import Configuration, NetworkSettings, TrainingSettings, encode_object
from benchmarks.scoreboard.learning import LearnedMethod, learn, peak_memory
from benchmarks.scoreboard.measure import (
    HeldOutPredictions,
    Saliency,
    compare_saliency,
    learned_maps,
    measure_faithfulness,
    predict_held_out,
)
from benchmarks.scoreboard.options import flatten_options
from benchmarks.scoreboard.packing import pack
from benchmarks.scoreboard.result import RunResult, RunSetting, Scores, code_digest, describe_environment
from benchmarks.scoreboard.sequences import SIZE, load_sequence
from benchmarks.scoreboard.sites import BenchmarkSite

QUICK_IMAGES = 160
QUICK_SIZE = 32
WIDTH, QUICK_WIDTH = 16, 8


def run_setting(setting: RunSetting, folder: Path | None = None) -> RunResult:
    """Learns the sequence and evaluates the method after each site.

    Raises:
        InputError: unknown sequence, method or option, missing images, or a loss that is not finite.
    """
    size = QUICK_SIZE if setting.quick else SIZE
    sites = load_sequence(
        setting.sequence, setting.order, images=QUICK_IMAGES if setting.quick else 0, size=size, folder=folder
    )
    network = NetworkSettings(
        size=(size, size), options={"width": QUICK_WIDTH if setting.quick else WIDTH, "norm": "group"}
    )
    settings = TrainingSettings(epochs=setting.epochs, learning_rate=setting.learning_rate, seed=setting.seed)
    rows: list[tuple[LearnedMethod, dict[str, HeldOutPredictions]]] = []
    own_maps: dict[str, Tensor] = {}
    configuration = Configuration(setting.method, setting.options, network, settings)
    for learned_method in learn(sites, configuration):
        rows.append(
            (learned_method, {site.name: predict_held_out(learned_method, site) for site in learned_method.known_sites})
        )
        site = sites[len(rows) - 1]
        if (
            not learned_method.method.capabilities.opens_earlier_data
            and (maps := learned_maps(learned_method, site)) is not None
        ):
            own_maps[site.name] = maps
    last_method, last_predictions = rows[-1]
    names = [site.name for site in sites]
    return RunResult(
        setting=setting,
        command=command(setting),
        code=code_digest(setting.method),
        environment=describe_environment(),
        sites=tuple(names),
        classes=tuple(site.task.classes for site in sites),
        network=encode_object(network),
        training=encode_object(settings),
        seconds=tuple(round(learned_method.seconds, 2) for learned_method, _ in rows),
        state_bytes=tuple(learned_method.state_bytes for learned_method, _ in rows),
        peak_memory=peak_memory(),
        class_incremental=_share_table(rows, names, "class_right"),
        task_incremental=_share_table(rows, names, "task_right"),
        site_inference=_share_table(rows, names, "site_right"),
        patients={
            name: {count_name: tuple(counts) for count_name, counts in last_predictions[name].by_patient().items()}
            for name in names
        },
        saliency=_compare_old_sites(last_method, sites[:-1], own_maps),
        maps={
            site.name: pack(saliency_map)
            for site in sites
            if (saliency_map := learned_maps(last_method, site)) is not None
        }
        if last_method.method.capabilities.opens_earlier_data
        else {},
        faithfulness={site.name: measure_faithfulness(last_method, site) for site in sites},
        losses=tuple(learned_method.log[-1] if learned_method.log else {} for learned_method, _ in rows),
    )


def command(setting: RunSetting) -> str:
    """Returns the command line that repeats a run."""
    options = " ".join(
        f"--option {shlex.quote(f'{path}={_format_option(value)}')}"
        for path, value in flatten_options(setting.options).items()
    )
    words = f"--sequence {setting.sequence} --method {setting.method} {options}".rstrip()
    numbers = f"--seed {setting.seed} --order {setting.order}"
    budget = f"--epochs {setting.epochs} --learning-rate {setting.learning_rate:g}"
    return f"python -m benchmarks.scoreboard run {words} {numbers} {budget}" + (" --quick" if setting.quick else "")


def _format_option(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _share_table(
    rows: list[tuple[LearnedMethod, dict[str, HeldOutPredictions]]], names: list[str], field: str
) -> Scores:
    return tuple(
        tuple(
            round(float(getattr(predictions[name], field).float().mean()), 6) if name in predictions else None
            for name in names
        )
        for _, predictions in rows
    )


def _compare_old_sites(
    last_method: LearnedMethod, old_sites: tuple[BenchmarkSite, ...], own_maps: dict[str, Tensor]
) -> dict[str, Saliency]:
    pairs = ((site, learned_maps(last_method, site)) for site in old_sites if site.name in own_maps)
    return {site.name: compare_saliency(site, own_maps[site.name], maps) for site, maps in pairs if maps is not None}
