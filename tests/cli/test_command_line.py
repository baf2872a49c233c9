import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup

from anamnesis.cli.output import format_table
from anamnesis.cli.progress import PlainReporter, StoppableReporter
from anamnesis.records import short_digest

Call = Callable[..., Any]

COMMANDS = ["run", "update", "ingest", "evaluate", "report", "predict", "status", "approve", "reject", "rollback"]
COMMANDS += ["methods", "doctor", "demo", "registry list", "registry show", "registry verify", "registry prune"]
COMMANDS += ["suspend", "resume", "support-bundle", "withdraw", "scratch"]


@pytest.mark.parametrize("command", [*COMMANDS, "registry import"])
def test_every_command_has_help_with_examples_and_json(command: str, call: Call) -> None:
    result = call(*command.split(), "--help")
    assert result.code == 0
    assert f"anamnesis {command}" in result.out.split("Examples:")[1]
    assert "--json" in result.out


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom anamnesis.cli.app import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'torch', 'pydantic', 'kfp', 'yaml', 'minio', 'numpy', 'rich', 'kubernetes'} & set(sys.modules)\n"
        "print('heavy:', sorted(heavy))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).endswith("heavy: []\n")


def test_errors_are_one_clear_line(call: Call, tmp_path: Path) -> None:
    result = call("run", "-f", tmp_path / "none.yaml")
    assert (result.code, result.out) == (2, "")
    assert result.err == f"anamnesis: {tmp_path / 'none.yaml'}: no such file or folder; check the path\n"


def test_wrong_usage_ends_with_2(call: Call) -> None:
    assert call("nonsense").code == 2
    assert call("run").code == 2


def test_an_unexpected_error_is_reported_with_its_type(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def burst(*_: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(TyperGroup, "invoke", burst)  # a function that other modules import would stay replaced there
    result = call("status", "-f", tmp_path)
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert "unexpected ZeroDivisionError in anamnesis." in result.err
    assert "(ANAMNESIS_DEBUG=1 shows the traceback)" in result.err
    monkeypatch.setenv("ANAMNESIS_DEBUG", "1")
    debug_output = call("status", "-f", tmp_path).err
    assert "ZeroDivisionError\n" in debug_output
    assert ", in burst" in debug_output
    assert "oh" not in result.err + debug_output  # the text of another library's error may be confidential


def test_an_interrupt_ends_with_130(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(TyperGroup, "invoke", interrupt)
    result = call("status", "-f", tmp_path)
    assert (result.code, "run the same command again to continue" in result.err) == (130, True)


def test_methods_and_doctor_for_programs(call: Call) -> None:
    assert {"EWCPrototype", "Finetune", "Joint"} <= {m["name"] for m in json.loads(call("methods", "--json").out)}
    checks = {check["name"]: check["state"] for check in json.loads(call("doctor", "--json").out)}
    assert checks["python"] == "ok"


def test_doctor_finds_what_is_broken(call: Call, model_file: Path) -> None:
    good = call("doctor", "-f", model_file)
    assert (good.code, "supports conditional writes" in good.out) == (0, True)
    (model_file.parent / "data").rename(model_file.parent / "gone")
    (model_file.parent / ".anamnesis" / "split.key").write_text("short")
    bad = call("doctor", "-f", model_file)
    assert bad.code == 2
    assert "failed checks: chest: network key, xray: source" in bad.err


def test_a_model_must_be_named_where_there_are_several(call: Call, model_file: Path) -> None:
    text = model_file.read_text(encoding="utf-8")
    model_file.with_name("other.yaml").write_text(
        text.split("---")[1].replace("name: chest", "name: other"), encoding="utf-8"
    )
    result = call("ingest", "-f", model_file.parent)
    assert (result.code, "use --model with one of" in result.err) == (2, True)


def test_plain_progress_is_throttled() -> None:
    class RecordedOutput:
        def __init__(self) -> None:
            self.text = ""

        def write(self, text: str) -> None:
            self.text += text

        def flush(self) -> None: ...

    clock_time, lines = [0.0], RecordedOutput()
    progress = PlainReporter(lines, lambda: clock_time[0]).track("chest")  # type: ignore[arg-type]
    for second in range(11):
        clock_time[0] = second
        progress(second, 10, "steps")
    assert lines.text == "chest: steps 0/10\nchest: steps 5/10\nchest: steps 10/10\n"


def test_work_that_must_stop_is_interrupted_at_its_next_progress_report() -> None:
    import io
    import threading

    stop = threading.Event()
    progress = StoppableReporter(PlainReporter(io.StringIO()), stop).track("x")
    progress(0, 1, "goes on")
    stop.set()
    with pytest.raises(KeyboardInterrupt):
        progress(1, 1, "ends")


def test_tables_align_and_numbers_are_right_aligned() -> None:
    assert format_table(["name", "n"], [["a", 1.0], ["bcd", None]]) == ["name      n", "a     1.000", "bcd       -"]
    assert (short_digest("sha256:" + "ab" * 32), short_digest(None)) == ("abababababab", "-")


def test_kubectl_anamnesis_has_every_command_of_an_approver() -> None:
    from anamnesis.cli.kubectl_plugin import app

    names = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    assert {"status", "report", "approve", "reject", "rollback", "withdraw"} <= names
