import re
from pathlib import Path

import pytest

from benchmarks.scoreboard.__main__ import app

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("page", ["Makefile", "benchmarks/scoreboard/page.md.j2", "CONTRIBUTING.md"])
def test_every_command_of_the_scoreboard_that_a_page_names_exists(page: str) -> None:
    commands = {
        command.name or command.callback.__name__ for command in app.registered_commands if command.callback is not None
    }
    named_commands = set(re.findall(r"python -m benchmarks\.scoreboard (\w+)", (ROOT / page).read_text()))
    assert named_commands
    assert named_commands <= commands
