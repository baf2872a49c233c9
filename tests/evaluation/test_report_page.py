"""The page in a real browser: pictures there, nothing fetched, nothing on the console, nothing that overflows."""

import html
import json
import re
import subprocess
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from anamnesis.evaluation.report import ReportData, assemble_report, report_html
from anamnesis.evaluation.report.saliency_table import FORGETTING_FORMULA
from anamnesis.evaluation.report.site_results import calibration_is_off, site_results
from anamnesis.records import Metric

PROBE = """<script>addEventListener("load", () => {
  const all = selector => [...document.querySelectorAll(selector)];
  const text = all("h1, h2, h3, p, li, td, th, figcaption").filter(e => e.clientWidth && !e.closest(".hidden"));
  document.body.setAttribute("data-found", JSON.stringify({
    widths: all("img").map(image => image.naturalWidth),
    fetched: performance.getEntriesByType("resource").map(e => e.name).filter(name => !name.startsWith("data:")),
    overflow: text.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent.trim()),
    page: document.documentElement.scrollWidth,
    captions: all("table").filter(table => !table.caption).length,
    figures: all("svg[role=img]").filter(svg => !svg.getAttribute("aria-label")).length,
  }));
});</script></body>"""


def open_page(chromium: str, page: str, folder: Path, width: int = 1280) -> tuple[dict[str, Any], list[str]]:
    """Returns the findings of a script in a copy of the page, and the console lines of that copy."""
    path = folder / "copy.html"
    path.write_text(re.sub("<meta http-equiv[^>]*>", "", page).replace("</body>", PROBE))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--window-size={width},1000"]
    command = [chromium, *options, f"--user-data-dir={folder}/profile", "--dump-dom", path.as_uri()]
    out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    match = re.search('data-found="([^"]*)"', out.stdout)
    assert match, "the page did not load"
    return json.loads(html.unescape(match[1])), [line for line in out.stderr.splitlines() if "CONSOLE" in line]


@pytest.fixture(scope="module")
def page(example_report: ReportData, example_pictures: dict[str, bytes]) -> str:
    return report_html(example_report, example_pictures).decode()


def test_the_page_opens_whole(chromium: str, page: str, tmp_path: Path) -> None:
    findings, console = open_page(chromium, page, tmp_path)
    assert console == []
    assert len(findings["widths"]) == 9
    assert all(width > 100 for width in findings["widths"])
    assert findings["fetched"] == []
    assert findings["overflow"] == []
    assert (findings["captions"], findings["figures"]) == (0, 0)


def test_the_page_fits_a_small_window(chromium: str, page: str, tmp_path: Path) -> None:
    findings, _ = open_page(chromium, page, tmp_path, width=500)
    assert findings["page"] <= 500


def test_the_check_sees_a_broken_page(chromium: str, page: str, tmp_path: Path) -> None:
    broken = page.replace("data:image/png;base64,", "data:image/png;base64,AAAA", 1)
    broken = broken.replace("</main>", "<script>missing()</script></main>")
    findings, console = open_page(chromium, broken, tmp_path)
    assert 0 in findings["widths"]
    assert any("missing is not defined" in line for line in console)


def test_the_page_as_written_forbids_scripts_and_is_silent(chromium: str, page: str, tmp_path: Path) -> None:
    path, shot = tmp_path / "report.html", tmp_path / "report.png"
    path.write_text(page)
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--screenshot={shot}"]
    command = [chromium, *options, f"--user-data-dir={tmp_path}/profile", "--window-size=1280,2000", path.as_uri()]
    out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "CONSOLE" not in out.stderr
    assert shot.stat().st_size > 50_000


def test_the_page_refers_to_nothing_outside_itself(page: str) -> None:
    assert "http:" not in page
    assert "https:" not in page
    assert "<script" not in page
    assert "@import" not in page
    assert all(link.startswith(("data:", "#")) for link in re.findall(r'(?:src|href)="([^"]*)"', page))
    assert "default-src 'none'" in page


def test_the_page_has_the_main_statements(page: str) -> None:
    assert "Lost more than allowed at 3 of 3 earlier sites" in page
    assert "Nothing clinical is claimed" in page
    assert "joint training opens" in page.lower()
    assert "≤ 0.050" in page
    assert "0.117" in page  # the floor of a saliency map without memory


def test_the_table_of_earlier_sites_explains_saliency_forgetting(example_report: ReportData, page: str) -> None:
    means = [model.continual["IoU"]["SaliencyForgetting"] for model in example_report.models]
    assert page.count(f'title="{FORGETTING_FORMULA}">Saliency forgetting</th>') == 3
    assert re.findall(r"Mean over the earlier sites</th>.*?<td class=.number.>([\d.]+)</td></tr></tfoot>", page) == [
        f"{mean:.3f}" for mean in means
    ]
    assert "mean of 1 \N{MINUS SIGN} IoU over these sites" in page  # the row of the comparison table


def test_each_site_has_its_tables_and_plots(example_report: ReportData, page: str) -> None:
    sites = page.split('<article class="site">')[1:]
    assert len(sites) == 12  # three models, four sites
    anna = sites[4]  # of the second model
    for text in ("sensitivity (pneumonia)", "specificity (normal)", "positive predictive value", "abstained:",
                 "site inferred:", "160 patients, 160 images", "look 4 at this test set", "temperature 1.84",
                 "expected calibration error", "Subgroups by Sex", ">ROC curve<", ">Reliability<"):  # fmt: skip
        assert text in anna, text
    assert "shares of the true class" in anna  # a cell of its matrix has fewer than 10 patients
    assert anna.count('<td class="number right">0.910</td>') == 2
    assert sites[6].count(">masked<") == 6  # three classes: which wrong answer stays masked, the diagonal is shown
    assert "✕ wrong" in page
    assert "✓ right" in page
    assert page.count("Loss curves") == 3
    assert "consolidation.penalty" in page
    assert "Kept for each site" in page


def test_names_are_escaped(example_report: ReportData) -> None:
    model = replace(example_report.models[0], name="<script>alert(1)</script>")
    page = report_html(replace(example_report, models=(model,), title='"><b>x'), {}).decode()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_the_page_reports_unreadable_pictures(example_report: ReportData) -> None:
    page = report_html(example_report, {}).decode()
    assert "<img" not in page
    assert page.count("stays at its hospital") == 9


def test_a_report_of_nothing_and_of_one_update_are_drawn(example_report: ReportData) -> None:
    empty = assemble_report("Nothing yet", "2026-01-01T00:00:00Z", [])
    assert "Nothing yet" in report_html(empty, {}).decode()
    model = example_report.models[0]
    first = replace(
        model,
        updates=(replace(model.updates[0], decision=None, cost=None, environment={}, promoted=False),),
        columns=model.columns[:1],
        matrices={name: (rows[0][:1],) for name, rows in model.matrices.items()},
        champion="",
        pictures=(),
    )
    page = report_html(assemble_report("One", "2026-01-01T00:00:00Z", [first]), {}).decode()
    assert "nothing to forget yet" in page
    assert "not judged" in page
    waiting = replace(first, updates=(replace(model.updates[0], promoted=False),))
    page = report_html(assemble_report("Waits", "2026-01-01T00:00:00Z", [waiting]), {}).decode()
    assert "No version is in use yet" in page
    assert "nothing to forget yet" not in page
    bare = replace(first, updates=(), columns=(), matrices={"Primary": ()})
    assert (
        "Has learned nothing yet" in report_html(assemble_report("Bare", "2026-01-01T00:00:00Z", [bare]), {}).decode()
    )


def test_probabilities_are_called_unreliable_only_where_it_is_no_noise(example_report: ReportData) -> None:
    results = next(
        item
        for model in example_report.models
        for _, sites in site_results(model)
        for item in sites
        if len(item.calibration) == 2
    )

    def is_off(error: str, error_low: str, slope: str, slope_high: str) -> bool:
        scores = (
            Metric(Decimal(error), 160, Decimal(error_low), Decimal("0.2"), 160),
            Metric(Decimal(slope), 160, Decimal("0.2"), Decimal(slope_high), 160),
        )
        names = [name for name, _ in results.calibration]
        calibration = tuple(zip(names, scores, strict=True))
        return calibration_is_off(replace(results, patients=160, calibration=calibration))

    assert not is_off("0.047", "0", "0.64", "1.03")
    assert not is_off("0.07", "0", "1", "1.1")
    assert is_off("0.07", "0.01", "1", "1.1")
    assert is_off("0.047", "0", "0.64", "0.79")
