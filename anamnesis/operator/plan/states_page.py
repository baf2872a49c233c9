"""Writes the tables of states in ``docs/operator.md``: ``python -m anamnesis.operator.plan.states_page``.

With ``--check`` it writes nothing and fails where the page differs.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from anamnesis.generated import write_or_check
from anamnesis.operator.plan.planned_status import ApprovalState, UpdateState
from anamnesis.operator.plan.site_readiness import SITE_CHECKS
from anamnesis.operator.plan.state_meanings import APPROVAL_STATE_MEANINGS, UPDATE_STATE_MEANINGS

PAGE_FILE = Path(__file__).parents[3] / "docs" / "operator.md"


def render_page(page: str) -> str:
    """Returns the page with the tables of this code."""
    for name, lines in (("site", site_table()), ("update", update_table()), ("approval", approval_table())):
        page = _replace_section(page, name, "\n".join(lines))
    return page


def site_table() -> Iterator[str]:
    """Yields the states of a site, in the order of the checks."""
    yield "| | state | when | what to do |\n|---:|---|---|---|"
    for number, check in enumerate(SITE_CHECKS, 1):
        row_start, meaning = str(number), (check.decide.__doc__ or "").partition("\n")[0]
        for state, action in check.actions.items():
            yield f"| {row_start} | `{state.value}` | {meaning} | {action} |"
            row_start = meaning = ""


def update_table() -> Iterator[str]:
    """Yields the states of an update."""
    yield "| condition `Decided`, reason | status | meaning and what to do |\n|---|---|---|"
    for state in UpdateState:
        yield f"| `{state.value}` | {state.is_final} | {UPDATE_STATE_MEANINGS[state]} |"


def approval_table() -> Iterator[str]:
    """Yields the states of an approval."""
    yield "| condition `Recorded`, reason | status | meaning and what to do |\n|---|---|---|"
    for state in ApprovalState:
        status = "Unknown" if state is ApprovalState.PENDING else str(not state.is_refused)
        yield f"| `{state.value}` | {status} | {APPROVAL_STATE_MEANINGS[state]} |"


def _replace_section(page: str, name: str, table: str) -> str:
    start = f"<!-- {name} states: written by `make generate`, do not edit -->\n"
    end = f"<!-- end of {name} states -->\n"
    before, _, rest = page.partition(start)
    _, _, after = rest.partition(end)
    if not after:
        raise ValueError(
            f"{PAGE_FILE}: the lines {start.strip()!r} and {end.strip()!r} are missing; "
            "restore the lines from version control"
        )
    return f"{before}{start}\n{table}\n\n{end}{after}"


def main(check: bool) -> int:
    """Writes the page, or with ``check`` only compares it; returns the exit code."""
    page = render_page(PAGE_FILE.read_text(encoding="utf-8"))
    return write_or_check({PAGE_FILE: page}, "anamnesis.operator.plan.states_page", check)


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
