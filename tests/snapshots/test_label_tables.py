import contextlib
import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anamnesis.records import InputError, LabelOrigin, LabelSource, PatientOrigin, Split, Task, TaskType
from anamnesis.snapshots.label_tables import read_label_table

TASK = Task("pneumonia", TaskType.CLASSIFICATION, ("no", "yes"))
LABELS = LabelSource(LabelOrigin.MANIFEST, "labels.csv")
ROSSI = "ROSSI_MARIA_19501224"


def read(text, name="labels.csv", labels=LABELS, task=TASK):
    return read_label_table(name, text if isinstance(text, bytes) else text.encode(), labels, task)


@pytest.mark.parametrize(
    "header",
    [
        "file,label,patient",
        "File, Label ,PatientID",
        "image_path,Class,patient_id",
        '"filename","diagnosis","Subject ID"',
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_columns_are_recognised_by_common_names_in_any_order(header, line_end):
    for order in ([0, 1, 2], [2, 0, 1]):
        columns = header.split(",")
        rows = [[columns[i] for i in order], [["a.png", "no", "17"][i] for i in order]]
        table = read("\ufeff" + line_end.join(",".join(row) for row in rows) + line_end * 2)
        annotation = table.rows["a.png"]
        assert (annotation.label, annotation.patient, table.has_patients) == ("no", "17", True)


def test_declared_covariates_are_numbers_and_ignored_columns_are_skipped():
    labels = replace(LABELS, covariates=("Age",), ignored_columns=("comment", "diagnosis"))
    table = read("file,label,patient,age,Comment,diagnosis,covariate.dose,,\na.png,no,1,63,x,y,2.5,,", labels=labels)
    assert dict(table.rows["a.png"].covariates) == {"Age": 63, "dose": 2.5}
    with pytest.raises(InputError, match=r"line 1: no column 'Age', which labels\.covariates lists"):
        read("file,label,patient\na.png,no,1", labels=labels)


def test_a_prognosis_needs_event_and_days():
    task = Task("survival", TaskType.PROGNOSIS, (), "CIndex")
    annotation = read("file,patient,event,days,split\na.png,1,True,12.5,Test", task=task).rows["a.png"]
    assert (annotation.event, annotation.days, annotation.split) == (True, 12.5, Split.TEST)
    with pytest.raises(InputError, match="line 1: no column 'days', which a task of type Prognosis needs"):
        read("file,patient,event\na.png,1,1", task=task)


WRONG_TABLES = [
    ("labels.csv", "", "the file is empty"),
    ("labels.csv", " \r\n,,\n", "the file is empty"),
    ("labels.csv", "file,label,patient\n", "has columns, but no row"),
    ("labels.csv", f"{ROSSI}.dcm,no\n{ROSSI}.dcm,yes", "line 1: none of the 2 columns .* no header line; add the line"),
    (
        "labels.csv",
        f"Export of {ROSSI}\nfile,label\na,no",
        "line 1: none of the 1 columns .* remove titles and comments",
    ),
    ("labels.csv", f"image,{ROSSI},x\n{ROSSI},no,x", r"line 1, column 2: the column is unknown"),
    ("labels.csv", f"name,label\n{ROSSI}.dcm,no", "line 1: no column 'file' among the 2 columns"),
    ("labels.csv", f"file,patient\n{ROSSI}.dcm,no", "line 1: no column 'label', which a task of type Classification"),
    ("labels.csv", f"file,label,age\n{ROSSI}.dcm,no,3", r"line 1, column 3 'age': the column is unknown; rename"),
    (
        "labels.csv",
        f"file;label;patient\n{ROSSI};no;x",
        "line 1, character 5: .* separated by semicolons, expected com",
    ),
    ("labels.csv", f'"file";"label"\n"{ROSSI}";"no"', "line 1, character 7: .* separated by semicolons"),
    ("labels.csv", f"sep=,\nfile,label\n{ROSSI},no", "line 1, column 1: the line names a separator for Excel"),
    ("labels.csv", f"file\tlabel\n{ROSSI}\tno", "line 1, character 5: the columns are separated by tabs"),
    ("labels.tsv", f"file,label\n{ROSSI},no", "separated by commas, expected tabs"),
    ("labels.csv", f'[{{"file": "{ROSSI}"}}]', "content of the file is JSON, but its name does not end in .json"),
    ("labels.json", f"file,label\n{ROSSI},no", "ends in .json, but its content is not JSON"),
    ("labels.json", f'[{{"file": "{ROSSI}",\n "label" "no"}}]', "line 2, column 10: the text is not valid JSON"),
    ("labels.json", f'{{"{ROSSI}": "no"}}', "expected a JSON list of objects"),
    ("labels.json", f'[["{ROSSI}", "no"]]', "entry 1: expected an object"),
    ("labels.json", f'[{{"file": ["{ROSSI}"]}}]', "entry 1, key 1: expected a text or a number"),
    ("labels.json", f'[{{"file": "{ROSSI}", "file": "b"}}]', "entry 1, key 2: the object has this key twice"),
    ("labels.json", f'[{{"file": "{ROSSI}\\ud800"}}]', "entry 1, key 1: the text has a control character"),
    ("labels.csv", f'file,label\na,no\n"{ROSSI},no\nb,no', "line 3, column 1: a quote is opened but not closed"),
    ("labels.csv", f'file,label\na,"{ROSSI}\nb,yes"\nc,no', "line 2, column 2: a quote is opened but not closed"),
    ("labels.csv", f"file,label,patient\n{ROSSI},no", "line 2, column 3: expected 3 cells as in line 1, found 2"),
    ("labels.csv", f"file,label\n\n{ROSSI},no,1", "line 3, column 3: expected 2 cells as in line 1, found 3"),
    ("labels.csv", f"file,label,label\n{ROSSI},no,no", "line 1, columns 2 and 3: both hold the label"),
    ("labels.csv", f"path,label,file\n{ROSSI},no,no", "line 1, columns 1 and 3: both hold the file"),
    ("labels.csv", f"file,label,\n{ROSSI},no,x", "line 2, column 3: the cell is in a column without a name"),
    ("labels.csv", f"file,label\n,{ROSSI}", "line 2, column 1: the cell is empty"),
    ("labels.csv", f"label,file,split\nno,a,{ROSSI}", "line 2, column 3: split: expected one of"),
    ("labels.csv", f"file,label,covariate.x\na,no,{ROSSI}", "line 2, column 3: expected a finite number"),
    ("labels.csv", f"file,label\n{ROSSI},no".encode("utf-16"), "UTF-16"),
    ("labels.csv", f"file,label\n{ROSSI},no".encode("utf-16-le"), "UTF-16"),
    ("labels.csv", f"file,label\n{ROSSI},nö".encode("latin-1"), "line 2, character 23: the text is not UTF-8"),
    ("labels.csv", b"PK\x03\x04" + ROSSI.encode(), "an Excel workbook or a zip file; save the table as CSV"),
]


@pytest.mark.parametrize(("name", "text", "message"), WRONG_TABLES)
def test_each_wrong_form_has_its_own_sentence_without_any_content(name, text, message):
    with pytest.raises(InputError) as caught:
        read(text, name)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert "labels.manifest" in str(caught.value)
    assert ROSSI not in str(caught.value)
    assert caught.value.__cause__ is None


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1).filter(
    lambda text: text.replace(".", "").replace("/", "").strip() and "\\" not in text
)


@given(st.lists(st.tuples(NAMES, st.sampled_from(["no", "yes"])), min_size=1, unique_by=lambda row: row[0]))
def test_csv_and_json_hold_the_same(rows):
    import csv
    import io

    stream = io.StringIO()
    csv.writer(stream).writerows([("file", "label"), *rows])
    entries = [{"file": file, "label": label} for file, label in rows]
    assert read(stream.getvalue()) == read(json.dumps(entries), "labels.json")


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_bytes_cause_another_error(data):
    for name in ("labels.csv", "labels.json"):
        with contextlib.suppress(InputError):
            read(data, name)


@pytest.mark.parametrize("patients", [PatientOrigin.COLUMN, PatientOrigin.FILES])
def test_a_table_without_patients_is_refused_unless_each_file_is_declared_a_patient(make_site, patients):
    site = make_site(labels=LabelSource(LabelOrigin.MANIFEST, "labels.csv", patients=patients))
    for number in range(40):
        site.png(f"{ROSSI}{number}.png")
    rows = [f"{ROSSI}{number}.png,{('no', 'yes')[number % 2]}" for number in range(40)]
    (site.folder / "labels.csv").write_text("\n".join(["file,label", *rows]))
    if patients is PatientOrigin.FILES:
        assert sum(site.ingest().counts[split] for split in ("train", "test")) == 40
        (site.folder / "labels.csv").write_text("\n".join(["file,label,patient", *(f"{row},1" for row in rows)]))
        with pytest.raises(
            InputError, match=r"line 1, column 3: labels\.patients is Files, but the table has a column"
        ):
            site.ingest()
        return
    with pytest.raises(
        InputError, match=r"40 of 40 images have no patient .* or set labels\.patients: Files"
    ) as caught:
        site.ingest()
    assert ROSSI not in str(caught.value)


@pytest.mark.parametrize("column", ["patient_id", "PatientID", "Patient", "subject"])
def test_all_images_of_a_person_are_on_one_side_whatever_the_column_is_called(make_site, column):
    site = make_site(labels=LabelSource(LabelOrigin.MANIFEST, "labels.csv"))
    for number in range(60):
        site.png(f"{number}.png")
    rows = [f"{number}.png,{('no', 'yes')[number // 2 % 2]},P{number // 2}" for number in range(60)]
    (site.folder / "labels.csv").write_text("\n".join([f"file,label,{column}", *rows]))
    assert len({record.patient for record in site.manifest(site.ingest()).samples}) == 30


def test_a_labelled_file_without_a_patient_is_quarantined_and_an_unlisted_one_is_pending(make_site):
    site = make_site(labels=LabelSource(LabelOrigin.MANIFEST, "labels.csv"))
    for number in range(41):
        site.png(f"{number}.png")
    rows = [f"{number}.png,{('no', 'yes')[number % 2]},{number or ''}" for number in range(40)]
    (site.folder / "labels.csv").write_text("\n".join(["file,label,patient", *rows]))
    assert site.ingest().counts["pending"] == 1
    assert site.quarantine() == {"0.png": "neither the label table nor the file has an identifier of the patient"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{}/Rossi,no,1", "labels.manifest lists none of the 4 images of the source; write the path"),
        ("Rossi{}.png,,1", "labels.manifest: each cell of the column 'label' is empty; write the labels"),
    ],
)
def test_a_table_that_labels_nothing_does_not_wait_for_more_patients(make_site, tmp_path, row, message):
    site = make_site(labels=LabelSource(LabelOrigin.MANIFEST, (tmp_path / "labels.csv").as_uri()))
    for number in range(4):
        site.png(f"Rossi{number}.png")
    (tmp_path / "labels.csv").write_text("\n".join(["file,label,patient", *map(row.format, range(4))]))
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        site.ingest()
    assert "Rossi" not in str(caught.value)
