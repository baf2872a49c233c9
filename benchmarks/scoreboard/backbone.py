"""A backbone trained on natural images, for the rows that freeze one: CIFAR-10 without the classes of *development*."""

from pathlib import Path

from safetensors.torch import save_file

from anamnesis.records import Configuration, NetworkSettings, TrainingSettings
from benchmarks.scoreboard.learning import learn
from benchmarks.scoreboard.run import WIDTH
from benchmarks.scoreboard.sequences import SIZE
from benchmarks.scoreboard.sites import HeldOut, SiteEntry, data_folder, read_site

CLASSES = ("bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
IMAGES = 9600


def train_backbone(path: Path, epochs: int = 8) -> Path:
    """Trains the scoreboard's network on eight classes, grey, with its budget, and writes the weights of the backbone.

    Raises:
        InputError: the images are missing.
    """
    site = read_site(data_folder(), SiteEntry("cifar10", "natural", CLASSES), HeldOut.VALIDATION, SIZE, cap=IMAGES)
    network = NetworkSettings(size=(SIZE, SIZE), options={"width": WIDTH, "norm": "group"})
    (learned_method,) = learn((site,), Configuration("finetune", {}, network, TrainingSettings(epochs=epochs)))
    weights = {
        name: tensor for name, tensor in learned_method.method.network.state_dict().items() if "backbone" in name
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, path)
    return path
