"""Five sites learned one after another, here and with Avalanche 0.6: the same network, images, steps and optimiser.

The sites are those of the sequence *development*, evaluated on held-out training patients; all classes seen compete.
Both sides run in turns, each in a process of its own with one thread. Seconds are those of the processor.
``python -m benchmarks end_to_end`` needs the images (``ANAMNESIS_DATA``) and Avalanche. Its requirements change other
packages; so install it into a folder, and name the folder in ``PYTHONPATH``: ``pip install --no-deps --target FOLDER``
``avalanche-lib==0.6.0`` and its requirements except torch, torchvision and numpy.
"""

import argparse
import multiprocessing
import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.data import TensorDataset

from anamnesis.methods.finetune import Finetune
from anamnesis.records import Configuration, InputError, NetworkSettings, TrainingSettings, label_space
from benchmarks.scoreboard.learning import learn, split_of
from benchmarks.scoreboard.sequences import load_sequence
from benchmarks.scoreboard.sites import BenchmarkSite

SIZE, STORED_IMAGES, PENALTY, WARM_UP_IMAGES = 64, 200, 100.0, 16
NETWORK = NetworkSettings(channels=1, size=(SIZE, SIZE))
OUR_METHODS: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "naive": ("finetune", {}),
    "ewc": ("ewc", {"penalty": PENALTY, "images": STORED_IMAGES}),
    "replay": ("derpp", {"alpha": 0.0, "beta": 1.0, "buffer": STORED_IMAGES}),
}
"""By Avalanche's name: our method and its options."""


@dataclass(frozen=True, slots=True)
class LearnedSequence:
    """One side after the last site.

    Attributes:
        seconds: of the processor, for learning all sites; both sides use one thread.
        accuracy: mean over the sites of the share of correct answers to held-out images.
    """

    seconds: float
    accuracy: float


def run(options: Sequence[str] = ()) -> list[dict[str, object]]:
    """Returns a row for each algorithm: the median seconds of both sides, their ratio, and both accuracies.

    Raises:
        InputError: Avalanche is not installed.
    """
    arguments = _parse(options)
    _avalanche_strategies()
    rows: list[dict[str, object]] = []
    for name in OUR_METHODS:
        turns = [
            [_in_new_process(side, name, arguments) for side in (_learn_here, _learn_with_avalanche)]
            for _ in range(arguments.turns)
        ]
        ours, theirs = zip(*turns, strict=True)
        rows.append(
            {
                "algorithm": name,
                "seconds": statistics.median(side.seconds for side in ours),
                "Avalanche's seconds": statistics.median(side.seconds for side in theirs),
                "ratio": statistics.median(here.seconds / there.seconds for here, there in turns),
                "accuracy": ours[0].accuracy,
                "Avalanche's accuracy": theirs[0].accuracy,
            }
        )
    return rows


def _in_new_process(side: Callable[..., LearnedSequence], name: str, arguments: argparse.Namespace) -> LearnedSequence:
    """Runs one side as its users do: settings of a process, such as those of its memory, are its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as processes:
        return processes.submit(_learn, side, name, arguments).result()


def _learn(side: Callable[..., LearnedSequence], name: str, arguments: argparse.Namespace) -> LearnedSequence:
    torch.set_num_threads(1)
    sites = load_sequence("development", images=arguments.images, size=SIZE)
    settings = TrainingSettings(epochs=arguments.epochs, learning_rate=1e-3, augment=False, precision="float32")
    method, method_options = OUR_METHODS[name]
    configuration = Configuration(method, method_options, NETWORK, settings)
    side(name, configuration, load_sequence("development", images=WARM_UP_IMAGES, size=SIZE))  # imports take seconds
    return side(name, configuration, sites)


def _parse(options: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks end_to_end")
    parser.add_argument("--images", type=int, default=400, help="training images of each site")
    parser.add_argument("--epochs", type=int, default=2, help="passes over the images of each site")
    parser.add_argument("--turns", type=int, default=3, help="measured turns of each algorithm")
    return parser.parse_args(options)


def _avalanche_strategies() -> Mapping[str, Callable[..., Any]]:
    """Avalanche's algorithms by name, with their own options, at their defaults otherwise."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from avalanche.training.supervised import EWC, Naive, Replay
    except ImportError as error:
        raise InputError(
            f"Avalanche cannot be imported: {error}; install avalanche-lib 0.6.0 into a folder and name it in "
            "PYTHONPATH, as benchmarks/end_to_end.py says"
        ) from error
    return {
        "naive": Naive,
        "ewc": lambda **arguments: EWC(ewc_lambda=PENALTY, **arguments),
        "replay": lambda **arguments: Replay(mem_size=STORED_IMAGES, **arguments),
    }


def _learn_here(name: str, configuration: Configuration, sites: tuple[BenchmarkSite, ...]) -> LearnedSequence:
    start = time.process_time()
    *_, learned_method = learn(sites, configuration)
    return LearnedSequence(time.process_time() - start, _accuracy(learned_method.method.network, sites))


def _learn_with_avalanche(name: str, configuration: Configuration, sites: tuple[BenchmarkSite, ...]) -> LearnedSequence:
    from avalanche.benchmarks import benchmark_from_datasets
    from avalanche.benchmarks.utils import DataAttribute
    from avalanche.benchmarks.utils.classification_dataset import ClassificationDataset

    settings, labels = configuration.training, label_space(site.task for site in sites)
    network = Finetune(Finetune.options_class(), NETWORK, settings.seed).network  # the same start as ours
    network.head.grow(len(labels), torch.Generator().manual_seed(settings.seed))
    datasets = []
    for site in sites:
        split = split_of(site, site.train, labels)
        targets = DataAttribute(split.classes.tolist(), "targets")
        datasets.append(
            ClassificationDataset([TensorDataset(split.images.float(), split.classes)], data_attributes=[targets])
        )
    strategy = _avalanche_strategies()[name](
        model=network,
        optimizer=torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=settings.batch_size,
        train_epochs=settings.epochs,
        evaluator=None,
    )
    start = time.process_time()
    for experience in benchmark_from_datasets(train=datasets).train_stream:
        strategy.train(experience)
    return LearnedSequence(time.process_time() - start, _accuracy(network, sites))


@torch.no_grad()
def _accuracy(network: nn.Module, sites: tuple[BenchmarkSite, ...]) -> float:
    labels = label_space(site.task for site in sites)
    network.eval()
    shares = []
    for site in sites:
        split = split_of(site, site.held_out, labels)
        answers = torch.cat([network(images.float()).argmax(1) for images in torch.split(split.images, 64)])
        shares.append(float((answers == split.classes).double().mean()))
    return statistics.fmean(shares)
