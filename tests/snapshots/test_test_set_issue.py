"""The next test set of a site: from its present data, without anybody who was trained on."""

import pytest

from anamnesis import snapshots
from anamnesis.records import CORRECTED_TEST_LABELS, InputError, LabelOrigin, LabelSource, Split
from anamnesis.snapshots.testsets import TestSet


def issue(site) -> TestSet:
    return snapshots.issue_test_set(site.config, site.store, site.key, workers=1)


def labelled_site(make_site, rows):
    """A site of one picture for each row (file, label, patient)."""
    site = make_site(labels=LabelSource(LabelOrigin.MANIFEST, "labels.csv"))
    for file, _, _ in rows:
        site.png(file)
    write_labels(site, rows)
    return site


def write_labels(site, rows):
    lines = ["file,label,patient", *(",".join(row) for row in rows)]
    (site.folder / "labels.csv").write_text("\n".join(lines) + "\n")


def test_the_next_test_set_has_the_earlier_cases_and_the_reserve(site):
    first = site.ingest()
    for number in range(30):
        for name in ("no", "yes"):
            site.png(f"{name}/new{number}.png")
    grown = site.ingest()
    issued = issue(site)
    after = site.ingest()
    assert not after.reused
    assert (issued.number, after.test_set) == (2, issued.digest)
    assert after.test_set != first.test_set
    assert (after.counts["reserve"], after.counts["train"]) == (0, grown.counts["train"])
    ids = {sample.id for sample in snapshots.open_test_set(site.store, issued.digest, site.guard(after))}
    assert ids == {record.id for record in site.manifest(grown).samples_of(Split.TEST, Split.RESERVE)}


def test_a_repeated_issue_changes_nothing(site):
    site.ingest()
    (first,) = snapshots.list_test_sets(site.store)
    assert issue(site) == first
    for number in range(20):
        site.png(f"no/new{number}.png")
    second = issue(site)
    assert issue(site) == second
    assert snapshots.list_test_sets(site.store) == (first, second)


def test_corrected_test_labels_are_counted_and_the_next_set_has_them(make_site):
    rows = [(f"{n}.png", ("no", "yes")[n % 2], f"p{n}") for n in range(60)]
    site = labelled_site(make_site, rows)
    first = site.ingest()
    assert CORRECTED_TEST_LABELS not in first.counts
    write_labels(site, [(file, {"no": "yes", "yes": "no"}[label], patient) for file, label, patient in rows])
    corrected = site.ingest()
    assert corrected.counts[CORRECTED_TEST_LABELS] == first.counts["test"]
    assert corrected.test_set == first.test_set
    issued = issue(site)
    after = site.ingest()
    assert CORRECTED_TEST_LABELS not in after.counts
    old, new = snapshots.list_test_sets(site.store)
    assert new == issued
    assert [sample.id for sample in old.samples] == [sample.id for sample in new.samples]
    assert all(a.target != b.target for a, b in zip(old.samples, new.samples, strict=True))


def test_a_label_that_vanished_counts_and_a_file_that_vanished_does_not(make_site):
    rows = [(f"{n}.png", ("no", "yes")[n % 2], f"p{n}") for n in range(60)]
    site = labelled_site(make_site, rows)
    first = site.ingest()
    test_ids = {sample.id for sample in site.manifest(first).samples_of(Split.TEST)}
    write_labels(
        site,
        [(file, "", patient) if n < 30 else (file, label, patient) for n, (file, label, patient) in enumerate(rows)],
    )
    unlabelled = site.ingest()
    pending = {sample.id for sample in site.manifest(unlabelled).samples_of(Split.PENDING)}
    assert unlabelled.counts[CORRECTED_TEST_LABELS] == len(pending & test_ids) > 0
    for file, _, _ in rows[:30]:
        (site.folder / file).unlink()
    write_labels(site, rows[30:])
    assert CORRECTED_TEST_LABELS not in site.ingest().counts


def test_corrected_identifiers_take_nobody_into_the_test_set_who_was_trained(make_site):
    """Each study came as a patient of its own; then pairs of studies turn out to be one patient."""
    rows = [(f"{n}.png", ("no", "yes")[n % 2], f"study{n}") for n in range(160)]
    site = labelled_site(make_site, rows)
    first = site.ingest()
    trained_images = {
        image.content
        for sample in site.manifest(first).samples_of(Split.TRAIN, Split.VALIDATION)
        for image in sample.images.values()
    }
    merged = [f"patient{n // 2}" if n < 80 else patient for n, (_, _, patient) in enumerate(rows)]
    write_labels(site, [(file, label, patient) for (file, label, _), patient in zip(rows, merged, strict=True)])
    issued = issue(site)
    assert 0 < len(issued.samples) < first.counts["test"]
    after = site.manifest(site.ingest(maximum_quarantine_share=1.0))
    patients = {sample.patient for sample in issued.samples}
    assert not trained_images & {image.content for sample in issued.samples for image in sample.images.values()}
    assert not patients & {sample.patient for sample in after.samples_of(Split.TRAIN, Split.VALIDATION)}


def test_images_of_an_earlier_set_never_train_under_corrected_identifiers(make_site):
    rows = [(f"{n}.png", ("no", "yes")[n % 2], f"p{n}") for n in range(60)]
    site = labelled_site(make_site, rows)
    site.ingest()
    (first,) = snapshots.list_test_sets(site.store)
    frozen_images = {image.content for sample in first.samples for image in sample.images.values()}
    write_labels(site, [(file, label, f"q{patient}") for file, label, patient in rows])  # all patients renamed
    with pytest.raises(InputError, match="identifiers of patients were corrected, run 'anamnesis testset issue"):
        site.ingest()
    issued = issue(site)
    assert frozen_images <= {image.content for sample in issued.samples for image in sample.images.values()}
    after = site.manifest(site.ingest())
    trained = after.samples_of(Split.TRAIN, Split.VALIDATION)
    assert not frozen_images & {image.content for sample in trained for image in sample.images.values()}
    tested_images = {image.content for sample in after.samples_of(Split.TEST) for image in sample.images.values()}
    assert frozen_images <= tested_images


def test_a_site_without_a_test_set_or_with_a_missing_class_issues_nothing(site):
    with pytest.raises(InputError, match="no test set was frozen yet; run 'anamnesis ingest' first"):
        issue(site)
    site.ingest()
    for path in (site.folder / "yes").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="has no case of class 'yes'"):
        issue(site)
    assert len(snapshots.list_test_sets(site.store)) == 1


def test_a_mirrored_copy_of_a_trained_image_does_not_come_into_the_next_test_set(make_site):
    site = make_site(labels=LabelSource(LabelOrigin.MANIFEST, "labels.csv"))
    rows = [f"{n}.png,{('no', 'yes')[n % 2]},p{n},{'test' if n < 20 else 'train'}" for n in range(60)]
    pixels = [site.image() for _ in range(62)]
    for n in range(60):
        site.png(f"{n}.png", pixels[n])

    def write(lines):
        (site.folder / "labels.csv").write_text("\n".join(["file,label,patient,split", *lines]) + "\n")

    write(rows)
    site.ingest()
    site.png("copy.png", pixels[40][:, ::-1].copy())
    site.png("other.png", pixels[61])
    write([*rows, "copy.png,no,q1,test", "other.png,no,q2,test"])
    issued = issue(site)
    assert len(issued.samples) == 21  # the twenty of the first set and the other new patient
