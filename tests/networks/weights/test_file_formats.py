"""Weights files: every format is read as tensors alone, and a bad file is a clear error."""

import io
import json
import pickle
import zipfile

import pytest
import torch
from safetensors.torch import save
from torch import Tensor, nn

from anamnesis.networks.weights import check_digest, detect_format, read_weights_file
from anamnesis.records import InputError, WeightsFormat, digest_bytes

TENSORS = {"conv.weight": torch.arange(12.0).reshape(1, 3, 2, 2), "bn.num_batches_tracked": torch.tensor(3)}


def pytorch_bytes(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def bundle_bytes(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


METADATA = json.dumps({"version": "0.1"}).encode()
FILES = {
    "safetensors": (save(TENSORS), WeightsFormat.SAFETENSORS),
    "state_dict": (pytorch_bytes(TENSORS), WeightsFormat.PYTORCH),
    "checkpoint": (pytorch_bytes({"epoch": 3, "state_dict": TENSORS}), WeightsFormat.PYTORCH),
    "parallel": (pytorch_bytes({f"module.{name}": value for name, value in TENSORS.items()}), WeightsFormat.PYTORCH),
    "bundle": (
        bundle_bytes({"b/models/model.pt": pytorch_bytes(TENSORS), "b/configs/metadata.json": METADATA}),
        WeightsFormat.MONAI_BUNDLE,
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_same_tensors(name: str) -> None:
    data, file_format = FILES[name]
    weights = read_weights_file(data, file_format, "w")
    assert weights.tensors.keys() == TENSORS.keys()
    assert all(torch.equal(weights.tensors[key], value) for key, value in TENSORS.items())
    assert detect_format(data) is file_format
    assert weights.metadata == ({"version": "0.1"} if name == "bundle" else {})


def test_a_bundle_that_names_code_runs_none() -> None:
    config = b'{"network": {"_target_": "os.system", "command": "touch /tmp/never"}}'
    data = bundle_bytes({"models/model.pt": pytorch_bytes(TENSORS), "configs/inference.json": config})
    assert read_weights_file(data, WeightsFormat.MONAI_BUNDLE, "w").tensors.keys() == TENSORS.keys()


def test_a_bundle_without_weights_is_refused() -> None:
    with pytest.raises(InputError, match=r"no models/model\.pt"):
        read_weights_file(bundle_bytes({"configs/metadata.json": METADATA}), WeightsFormat.MONAI_BUNDLE, "w")


class _Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("code of the file was executed",))


@pytest.mark.parametrize("content", [pytorch_bytes({"x": _Code()}), pickle.dumps({"x": _Code()})])
def test_code_in_a_file_is_refused_and_not_executed(content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="other objects than tensors, which could run code"):
        read_weights_file(content, WeightsFormat.PYTORCH, "w.pth")
    assert not capsys.readouterr().out


def test_a_whole_module_is_refused() -> None:
    with pytest.raises(InputError, match="which could run code"):
        read_weights_file(pytorch_bytes(nn.Linear(2, 2)), WeightsFormat.PYTORCH, "w.pth")


@pytest.mark.parametrize("content", [{"epoch": 3}, [TENSORS], {}, {"a": TENSORS, "b": TENSORS}])
def test_files_without_a_state_dict_are_refused(content: object) -> None:
    with pytest.raises(InputError, match="expected a state_dict of tensors"):
        read_weights_file(pytorch_bytes(content), WeightsFormat.PYTORCH, "w.pth")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.95])
def test_truncated_files_are_refused(name: str, share: float) -> None:
    data, file_format = FILES[name]
    with pytest.raises(InputError, match=r"w: (unreadable as|the bundle has no)"):
        read_weights_file(data[: int(share * len(data))], file_format, "w")


def test_another_format_than_the_stated_is_named() -> None:
    with pytest.raises(InputError, match=r"those of pytorch: set network\.weights\.format"):
        read_weights_file(FILES["state_dict"][0], WeightsFormat.SAFETENSORS, "w")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_numbers_that_are_not_finite_are_refused(number: float, dtype: torch.dtype) -> None:
    values: Tensor = torch.zeros(4, dtype=dtype)
    values[2] = number
    with pytest.raises(InputError, match="tensor 'a' has 1 numbers that are NaN, infinite"):
        read_weights_file(save({"a": values}), WeightsFormat.SAFETENSORS, "w")


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.tensor([1e300], dtype=torch.float64), "1 numbers that are NaN, infinite or too large for float32"),
        (torch.zeros(4, dtype=torch.complex64), "'a' is complex64; expected dense tensors"),
        (torch.zeros(4).to(torch.float8_e4m3fn), "'a' is float8_e4m3fn; expected dense tensors"),
        (torch.eye(4).to_sparse(), "'a' is sparse_coo; expected dense tensors"),
        (torch.empty(4, device="meta"), "'a' is without numbers; expected dense tensors"),
        (torch.zeros(1).expand(1 << 40), "its content would have 4398046511104"),
    ],
)
def test_tensors_that_a_network_cannot_have_are_refused(tensor: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_weights_file(pytorch_bytes({"a": tensor}), WeightsFormat.PYTORCH, "w")


def test_a_file_that_unpacks_to_far_more_than_its_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anamnesis.networks.weights.file_formats._SMALL_BYTES", 1 << 20)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("models/model.pt", bytes(2 << 20))
    with pytest.raises(InputError, match="more than 16 times as many"):
        read_weights_file(buffer.getvalue(), WeightsFormat.MONAI_BUNDLE, "w")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_torchscript_program_is_refused_without_the_advice_to_run_it() -> None:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), buffer)
    with pytest.raises(InputError, match=r"TorchScript program, which is code; save model\.state_dict\(\) alone"):
        read_weights_file(buffer.getvalue(), WeightsFormat.PYTORCH, "w")


def test_the_digest_is_checked() -> None:
    data = FILES["safetensors"][0]
    check_digest(data, digest_bytes(data), "w")
    changed = bytearray(data)
    changed[-1] ^= 1
    for other in (bytes(changed), data[:-1]):
        with pytest.raises(InputError, match=r"w: network\.weights\.sha256 is"):
            check_digest(other, digest_bytes(data), "w")
