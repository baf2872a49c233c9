"""Reads the tensors of a weights file: safetensors, PyTorch, or a MONAI bundle. No code of the file runs."""

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from anamnesis.records import InputError, WeightsFormat, digest_bytes

STATE_KEYS = ("state_dict", "model_state_dict", "model")
"""Names under which training programs put the tensors, beside the state of an optimiser."""
BUNDLE_WEIGHTS, BUNDLE_METADATA = "models/model.pt", "configs/metadata.json"
"""The only two files of a MONAI bundle that are read; its configuration can name code, so that it is never opened."""
_PARALLEL_PREFIX = "module."
"""In the names of networks that were trained with DataParallel."""
_NUMBER_TYPES = frozenset(
    {
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
        *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool),
    }
)
"""Types of tensors in a file; a network needs floats, counts and tables of indices are integers."""
_MAXIMUM_EXPANSION, _SMALL_BYTES = 16, 1 << 30
_TORCHSCRIPT_PART = "/constants.pkl"
"""Part of every TorchScript archive."""
_READ_ERRORS = (
    SafetensorError,
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    EOFError,
    LookupError,
    AttributeError,
)
"""Errors of the readers on damaged files."""


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """The content of a weights file.

    Attributes:
        tensors: by the file's own names.
        location: of the file, for messages.
        metadata: of a MONAI bundle, its ``configs/metadata.json``; empty for the other formats.
    """

    tensors: Mapping[str, Tensor]
    location: str
    metadata: Mapping[str, object] = field(default_factory=dict)


def check_digest(data: bytes, sha256: str, location: str) -> None:
    """Compares the bytes with the digest in the configuration, before anything of them is parsed.

    Raises:
        InputError: they differ.
    """
    if (actual_digest := digest_bytes(data)) != sha256:
        raise InputError(
            f"{location}: network.weights.sha256 is {sha256}, but the digest of the file's {len(data)} bytes is "
            f"{actual_digest}: the file is incomplete, was changed, or is another one; copy it again from its origin, "
            "or set sha256 to this digest if the file is the right one"
        )


def read_weights_file(data: bytes, file_format: WeightsFormat, location: str) -> WeightsFile:
    """Reads the tensors of a file.

    Args:
        data: all bytes of the file.
        file_format: of the file.
        location: of the file, for messages.

    Raises:
        InputError: the file is damaged, has another format, holds more than tensors, or has NaN or infinity in it.
    """
    _check_expansion(sum(entry.file_size for entry in _list_zip(data)), data, location)
    try:
        if file_format is WeightsFormat.SAFETENSORS:
            weights = WeightsFile(load_safetensors(data), location)
        elif file_format is WeightsFormat.MONAI_BUNDLE:
            weights = _read_bundle(data, location)
        else:
            weights = WeightsFile(_read_pytorch(data, location), location)
    except UnpicklingError as error:  # PyTorch's own message advises an unsafe option
        raise InputError(
            f"{location}: the file is damaged, or contains other objects than tensors, which could run code; save "
            "model.state_dict() alone, with torch.save or as safetensors"
        ) from error
    except _READ_ERRORS as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{location}: unreadable as {file_format.value}: {_first_line(error)}; {_advise_format(data, file_format)}"
        ) from error
    weights = WeightsFile(_strip_parallel_prefix(weights.tensors), location, weights.metadata)
    _check_expansion(sum(tensor.numel() * tensor.element_size() for tensor in weights.tensors.values()), data, location)
    _check_numbers(weights)
    return weights


def detect_format(data: bytes) -> WeightsFormat:
    """Returns the format that the first bytes and the names inside suggest."""
    if any(entry.filename.endswith(BUNDLE_WEIGHTS) for entry in _list_zip(data)):
        return WeightsFormat.MONAI_BUNDLE
    return WeightsFormat.SAFETENSORS if data[8:9] == b"{" else WeightsFormat.PYTORCH


def _list_zip(data: bytes) -> list[zipfile.ZipInfo]:
    """Returns the entries of a zip file; none of another file, or of a damaged one."""
    try:
        return zipfile.ZipFile(io.BytesIO(data)).infolist() if data.startswith(b"PK\x03\x04") else []
    except (zipfile.BadZipFile, ValueError):
        return []


def _check_expansion(size: int, data: bytes, location: str) -> None:
    """Refuses a file whose content would fill the memory: weights are hardly smaller when they are compressed."""
    if size > max(_MAXIMUM_EXPANSION * len(data), _SMALL_BYTES):
        raise InputError(
            f"{location}: the file has {len(data)} bytes, but its content would have {size}: more than "
            f"{_MAXIMUM_EXPANSION} times as many; save the weights again as safetensors"
        )


def _read_pytorch(data: bytes, location: str) -> Mapping[str, Tensor]:
    if any(entry.filename.endswith(_TORCHSCRIPT_PART) for entry in _list_zip(data)):
        raise InputError(
            f"{location}: the file is a TorchScript program, which is code; save model.state_dict() alone, with "
            "torch.save or as safetensors"
        )
    content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    tensors = content
    for key in STATE_KEYS:
        if isinstance(tensors, Mapping) and isinstance(tensors.get(key), Mapping):
            tensors = tensors[key]
    if not isinstance(tensors, Mapping) or not tensors or not all(map(_is_named_tensor, tensors.items())):
        raise InputError(
            f"{location}: expected a state_dict of tensors, found {_describe_content(content)}; save the weights again "
            "with torch.save(model.state_dict(), FILE)"
        )
    return {name: tensor.detach() for name, tensor in tensors.items()}


def _read_bundle(data: bytes, location: str) -> WeightsFile:
    """Reads the two files of a bundle that was packed as a zip file, with or without a folder around them."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = {
            part: name for part in (BUNDLE_WEIGHTS, BUNDLE_METADATA) for name in archive.namelist()
            if name == part or name.endswith(f"/{part}")
        }  # fmt: skip
        if BUNDLE_WEIGHTS not in names:
            raise InputError(
                f"{location}: the bundle has no {BUNDLE_WEIGHTS}; pack the folder of the bundle with its weights, for "
                "example with: anamnesis backbones import FOLDER"
            )
        tensors = _read_pytorch(archive.read(names[BUNDLE_WEIGHTS]), f"{location}: {BUNDLE_WEIGHTS}")
        metadata = json.loads(archive.read(names[BUNDLE_METADATA])) if BUNDLE_METADATA in names else {}
    return WeightsFile(tensors, location, metadata if isinstance(metadata, Mapping) else {})


def _is_named_tensor(entry: tuple[object, object]) -> bool:
    return isinstance(entry[0], str) and isinstance(entry[1], Tensor)


def _describe_content(content: object) -> str:
    if not isinstance(content, Mapping):
        return type(content).__name__
    return f"a mapping with the keys {', '.join(map(str, list(content)[:5]))}" if content else "an empty mapping"


def _strip_parallel_prefix(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    if all(name.startswith(_PARALLEL_PREFIX) for name in tensors):
        return {name.removeprefix(_PARALLEL_PREFIX): tensor for name, tensor in tensors.items()}
    return tensors


def _check_numbers(weights: WeightsFile) -> None:
    for name, tensor in weights.tensors.items():
        if tensor.dtype not in _NUMBER_TYPES or tensor.layout is not torch.strided or tensor.is_meta:
            kind = "without numbers" if tensor.is_meta else str(tensor.layout if tensor.is_sparse else tensor.dtype)
            raise InputError(
                f"{weights.location}: tensor {name!r} is {kind.removeprefix('torch.')}; expected dense tensors of "
                "float16, bfloat16, float32, float64 or integers; convert it before you save the weights"
            )
        # The network computes in float32: a larger number would become infinite.
        if tensor.is_floating_point() and (count := int((~torch.isfinite(tensor.float())).sum())):
            raise InputError(
                f"{weights.location}: tensor {name!r} has {count} numbers that are NaN, infinite or too large for "
                "float32: a training that failed wrote this file; use the weights of an earlier epoch"
            )


def _first_line(error: Exception) -> str:
    return (str(error) or "the file is incomplete").splitlines()[0]


def _advise_format(data: bytes, file_format: WeightsFormat) -> str:
    suggested_format = detect_format(data)
    if suggested_format is not file_format:
        return f"its first bytes are those of {suggested_format.value}: set network.weights.format, or copy it again"
    return "copy the file again, or save the weights again as safetensors or with torch.save(model.state_dict(), FILE)"
