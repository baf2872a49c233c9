"""The runbooks and the page of alerts follow the rules and name existing commands."""

import re
from pathlib import Path

import pytest
import typer
from alerts.rules import ROOT, rules

RUNBOOKS = ROOT / "docs" / "runbooks"


@pytest.mark.parametrize("name", sorted(rules()))
def test_a_runbook_has_its_sections(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Meaning", "Impact", "Diagnosis", "Mitigation", "Silence"]
    assert f"amtool $ALERTMANAGER silence add alertname={name} " in text
    for linked in re.findall(r"\]\((\w+)\.md\)", text):
        assert (RUNBOOKS / f"{linked}.md").exists(), linked


def test_runbooks_name_existing_commands() -> None:
    from anamnesis.cli.app import app

    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    text = "".join(path.read_text() for path in RUNBOOKS.glob("*.md"))
    called = set(re.findall(r"(?:^    |`|-- )anamnesis ([a-z-]+)((?: [a-z]+)?)", text, re.MULTILINE))
    assert len(called) > 8
    for command, sub in called:
        assert command in commands, command
        assert command != "registry" or sub.strip() in commands["registry"].commands, sub


def test_runbooks_name_existing_options() -> None:
    from anamnesis.cli.app import app

    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    lines = [
        line for path in RUNBOOKS.glob("*.md") for line in re.findall(r"anamnesis [a-z-]+ [^`#\n]*", path.read_text())
    ]
    option_count = 0
    for line in lines:
        _, name, *words = line.split()
        if name in commands:
            command = commands["registry"].commands[words[0]] if name == "registry" else commands[name]
            options = {option for parameter in command.params for option in parameter.opts}
            used_options = {word for word in words if re.match(r"--?[a-z]", word)}
            assert used_options <= options, line
            option_count += len(used_options)
    assert option_count > 30


def test_the_page_of_alerts_follows_the_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from anamnesis.operator.metrics import alerts_page

    assert alerts_page.main(check=True) == 0
    assert all(f"[{name}](runbooks/{name}.md)" in alerts_page.render_page() for name in rules())
    monkeypatch.setattr(alerts_page, "PAGE_FILE", tmp_path / "alerts.md")
    assert alerts_page.main(check=True) == 1
    assert (alerts_page.main(check=False), alerts_page.main(check=True)) == (0, 0)
