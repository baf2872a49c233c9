import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

Call = Callable[..., Any]


def entries(file: Path) -> list[Path]:
    return sorted((file.parent / "registry" / "log").iterdir())


def test_verify_is_content_with_what_was_written(call: Call, promoted_model_file: Path) -> None:
    result = call("registry", "verify", "-f", promoted_model_file)
    assert result.code == 0, result.err
    assert "no problems found (compared with the head 2:sha256:" in result.out


def test_verify_finds_a_cut_tail_by_the_head_that_this_machine_saw(call: Call, promoted_model_file: Path) -> None:
    entries(promoted_model_file)[-1].unlink()
    result = call("registry", "verify", "-f", promoted_model_file, "--json")
    assert result.code == 5
    assert "the last entries were removed" in json.loads(result.out)["problems"][0]
    without_head = call("registry", "verify", "--registry", promoted_model_file.parent / "registry")
    assert (without_head.code, "missing entries at the end are not detected" in without_head.out) == (0, True)


def test_nobody_undoes_a_withdrawal_by_cutting_the_log(call: Call, promoted_model_file: Path) -> None:
    file = promoted_model_file
    assert call("withdraw", "-f", file, "--reason", "stop\n  \x1b[2Jall is well").code == 0
    shown = call(
        "registry", "show", "-f", file, json.loads(call("registry", "list", "-f", file, "--json").out)[0]["version"]
    )
    assert r"stop \x1b[2Jall is well" in shown.out
    last = entries(file)[-1]
    content = last.read_bytes()
    last.unlink()
    for command in (["predict", "-f", file, file.parent / "data"], ["run", "-f", file], ["status", "-f", file]):
        result = call(*command)
        assert (result.code, "the log was cut or rewritten" in result.err) == (5, True)
    last.write_bytes(content)
    assert call("status", "-f", file).code == 0


def test_verify_finds_a_changed_byte(call: Call, promoted_model_file: Path) -> None:
    blob = next((promoted_model_file.parent / "registry" / "blobs").iterdir())
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.write_bytes(data)
    result = call("registry", "verify", "-f", promoted_model_file)
    assert (result.code, "its bytes were changed" in result.out) == (5, True)


def test_a_registry_that_does_not_exist_is_not_without_problems(call: Call, model_file: Path, tmp_path: Path) -> None:
    for command in ("verify", "list", "prune"):
        result = call("registry", command, "--registry", tmp_path / "misspelt")
        assert (result.code, "misspelt: there is no registry here; check the URL" in result.err) == (2, True)
    assert not (tmp_path / "misspelt").exists()


def test_a_head_may_be_given(call: Call, promoted_model_file: Path) -> None:
    result = call("registry", "verify", "-f", promoted_model_file, "--head", "2:sha256:" + "0" * 64)
    assert (result.code, "the log was rewritten" in result.out) == (5, True)
    assert call("registry", "verify", "-f", promoted_model_file, "--head", "nonsense").code == 2


def test_prune_lists_and_deletes_only_with_the_option(call: Call, promoted_model_file: Path) -> None:
    dry = json.loads(call("registry", "prune", "-f", promoted_model_file, "--json").out)
    assert dry["deleted"] is False
    assert (
        json.loads(call("registry", "prune", "-f", promoted_model_file, "--delete", "--json").out)["objects"]
        == dry["objects"]
    )


def test_versions_are_found_by_the_start_of_their_digest(call: Call, promoted_model_file: Path) -> None:
    digest = json.loads(call("registry", "list", "-f", promoted_model_file, "--json").out)[0]["version"]
    shown = json.loads(call("registry", "show", "-f", promoted_model_file, digest[7:15], "--json").out)
    assert (shown["digest"], shown["state"]) == (digest, "champion")
    assert call("registry", "show", "-f", promoted_model_file, "ff").code == 2


def test_a_registry_must_be_named(call: Call) -> None:
    assert "use -f model.yaml or --registry URL" in call("registry", "list").err


def test_imported_weights_become_the_first_version(call: Call, model_file: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from anamnesis.methods import build_method
    from anamnesis.operator.api import load_resources
    from anamnesis.operator.requests import configuration

    documents = list(yaml.safe_load_all(model_file.read_text(encoding="utf-8")))
    documents[1]["spec"]["registry"]["url"] = "fresh"
    model_file.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    method = build_method(configuration(load_resources(model_file).models["chest"].resource.spec))
    method.resize_head(2)
    weights = tmp_path / "weights.safetensors"
    save_file(method.network.state_dict(), weights)
    result = call("registry", "import", "-f", model_file, "--site", "xray", weights, "--json")
    assert result.code == 0, result.err
    listed = json.loads(call("registry", "list", "-f", model_file, "--json").out)
    assert [(row["version"], row["state"]) for row in listed] == [(json.loads(result.out)["version"], "champion")]
    second_import = call("registry", "import", "-f", model_file, "--site", "xray", weights)
    assert second_import.code == 0
    weights.write_bytes(b"\x80\x04nonsense")
    assert call("registry", "import", "-f", model_file, "--site", "xray", weights).code == 2
