"""Files that follow from the code: written, or compared with what is there."""

import sys
from collections.abc import Mapping
from pathlib import Path


def write_or_check(files: Mapping[Path, str], module: str, check: bool) -> int:
    """Writes files, or only says which are not as they should be; returns the exit code.

    Args:
        files: path -> text.
        module: whose call writes them.
        check: whether to write nothing.
    """
    stale = [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if check:
            print(f"{path} is stale: run python -m {module}", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path], encoding="utf-8")
    return int(check and bool(stale))
