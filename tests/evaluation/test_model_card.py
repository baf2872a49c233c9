"""The model card: the same numbers as the report, in Markdown and HTML."""

from dataclasses import replace

from anamnesis.evaluation.report import ReportData, card_html, card_markdown, model_cards


def test_the_card_has_the_numbers_of_the_report(example_report: ReportData) -> None:
    card = model_cards(example_report)[1]
    text = card_markdown(card).decode()
    titles = [
        "Intended use and limits",
        "Data by site",
        "Method and options",
        "Scores",
        "Operating points",
        "Classes",
        "Calibration",
        "Subgroups",
        "Earlier sites",
        "Decisions and approvals",
        "Lineage",
        "What is not known",
    ]
    assert [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")] == titles
    assert "| st-anna | AUROC | 0.950 | 0.916 to 0.984 | 160 | 160 |" in text
    assert "| st-anna | sensitivity (pneumonia) | 0.910 |" in text
    assert "| st-anna | Sex F | 80 |" in text
    assert example_report.models[1].champion in text
    page = card_html(card).decode()
    assert all(title in page for title in titles)
    assert "<script" not in page
    assert "<td>0.916 to 0.984</td>" in page


def test_text_of_people_makes_no_markup(example_report: ReportData) -> None:
    model = example_report.models[1]
    log = (replace(model.log[0], reason="ok | [x](http://y)\n# <b>"),)
    card = model_cards(replace(example_report, models=(replace(model, log=log),)))[0]
    assert r"ok \| \[x\](http://y) \# \<b\>" in card_markdown(card).decode()
    assert "<b>" not in card_html(card).decode()


def test_a_bare_model_has_a_card_that_says_what_is_not_known(example_report: ReportData) -> None:
    model = example_report.models[0]
    bare = replace(model, evaluations=(), configuration={}, log=(), site_bytes={})
    text = card_markdown(model_cards(replace(example_report, models=(bare,)))[0]).decode()
    assert "st-anna: this version was not evaluated there." in text
    assert "## Scores" not in text
