"""The shipped rules, and promtool."""

import os
import shutil
import subprocess
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from conftest import missing

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "manifests" / "alerts"
TUNING = FOLDER / "tuning.yaml"
FILES = tuple(sorted(set(FOLDER.glob("*.yaml")) - {TUNING}))
Rule = dict[str, Any]


@cache
def rules() -> dict[str, Rule]:
    """Every alert by its name; only read them."""
    groups = [group for file in FILES for group in yaml.safe_load(file.read_text())["groups"]]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def rule_file_of(names: tuple[str, ...] | list[str], **changes: Any) -> Rule:
    """A rule file of some alerts, in which fields are replaced."""
    rules_by_name = rules()
    chosen = [{**deepcopy(rules_by_name[name]), **changes} for name in names]
    return {"groups": [{"name": "copy", "rules": chosen}]}


def find_program(name: str, variable: str, package: str) -> str:
    """Path of a program from a Debian package: from the environment's ``variable``, or in PATH."""
    path = os.environ.get(variable) or shutil.which(name)
    if not path:
        missing(f"no {name}: install {package} or set {variable}")
    return path


def promtool(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [find_program("promtool", "ANAMNESIS_PROMTOOL", "prometheus"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)
