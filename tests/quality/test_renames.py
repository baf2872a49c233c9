"""``docs/renames.tsv`` leads scripts outside from old names to names that exist."""

import ast
from functools import cache

from quality.source import ROOT


@cache
def names_in(module: str) -> frozenset[str]:
    """Names that a module defines or imports, with the members of its classes."""
    path = ROOT / module.replace(".", "/")
    file = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.id if isinstance(node, ast.Name) else node.attr)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name)
    return frozenset(names)


def is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").exists() or path.is_dir()


def test_every_new_name_exists_and_every_old_name_has_one_row() -> None:
    rows = [line.split("\t") for line in (ROOT / "docs" / "renames.tsv").read_text(encoding="utf-8").splitlines()]
    assert rows[0] == ["old", "new"]
    assert len(rows) > 1000
    assert len({old for old, _ in rows}) == len(rows)
    for old, new in rows[1:]:
        parts = new.split(".")
        length = max(count for count in range(1, len(parts) + 1) if is_module(".".join(parts[:count])))
        missing = [part for part in parts[length:] if part not in names_in(".".join(parts[:length]))]
        assert not missing, f"{old}: {new} does not exist"
