import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from anamnesis.records import LabelOrigin, LabelSource
from anamnesis.snapshots.file_names import normalise_file_name


def decomposed(text):
    return unicodedata.normalize("NFD", text)


@example("/\r0")
@example("/ /. /0")
@given(st.text())
def test_a_normalised_name_stays_as_it_is(name):
    assert normalise_file_name(normalise_file_name(name)) == normalise_file_name(name)


@pytest.mark.parametrize(
    "written", ["cxr/é/1.png", "./cxr/é/1.png", ".\\cxr\\é\\1.png", "cxr//é/./1.png", "/cxr/é/1.png "]
)
def test_the_forms_of_one_path_are_equal(written):
    assert normalise_file_name(written) == normalise_file_name(decomposed(written)) == "cxr/é/1.png"


@pytest.mark.parametrize("form", [str, decomposed, "./{}".format, lambda name: name.replace("/", "\\")])
def test_a_table_matches_the_files_however_it_writes_their_names(make_site, form):
    site = make_site(labels=LabelSource(LabelOrigin.MANIFEST, "./labels.csv"))
    for number in range(40):
        site.png(decomposed(f"Müller/{number}.png"))
    rows = [f"{form(f'Müller/{number}.png')},{('no', 'yes')[number % 2]},{number}" for number in range(40)]
    (site.folder / "labels.csv").write_text("\n".join(["file,label,patient", *rows]), encoding="utf-8")
    counts = site.ingest().counts
    assert (counts["pending"], counts["quarantined"], counts["train"] + counts["test"]) == (0, 0, 40)


def test_class_names_match_folders_in_both_forms(make_site):
    site = make_site(classes=("gutartig", "bösartig", decomposed("ungeklärt")), labels=LabelSource(ignore=("übrig",)))
    for number in range(30):
        for name in ("gutartig", decomposed("bösartig"), "ungeklärt"):
            site.png(f"{name}/{number}.png")
    site.png(decomposed("übrig/1.png"))
    counts = site.ingest().counts
    assert (counts["quarantined"], counts["ignored"], counts["train"] + counts["test"]) == (0, 1, 90)


def test_files_whose_names_differ_in_form_only_are_a_conflict_where_a_table_lists_them(make_site):
    site = make_site(labels=LabelSource(LabelOrigin.MANIFEST, "labels.csv"))
    for number in range(40):
        site.png(f"é{number}.png")
    site.png(decomposed("é0.png"))
    rows = [f"é{number}.png,{('no', 'yes')[number % 2]},{number}" for number in range(40)]
    (site.folder / "labels.csv").write_text("\n".join(["file,label,patient", *rows]), encoding="utf-8")
    site.ingest()
    (reason,) = set(site.quarantine().values())
    assert reason.startswith("two files have names that differ only in the form")
    assert len(site.quarantine()) == 2
