import pytest
import torch

from anamnesis.records import InputError
from benchmarks.scoreboard.phantoms import phantom_sites
from benchmarks.scoreboard.sequences import SEQUENCES, load_sequence, split_site
from benchmarks.scoreboard.sites import HeldOut, read_site


def test_an_order_is_the_other_reversed():
    first, second = (load_sequence("phantom", order, size=16) for order in (0, 1))
    assert [site.name for site in first] == [site.name for site in reversed(second)]


@pytest.mark.parametrize(("name", "order"), [("nowhere", 0), ("phantom", 2)])
def test_what_is_not_there_is_refused(name, order):
    with pytest.raises(InputError):
        load_sequence(name, order)


def test_the_shift_is_patient_disjoint_and_keeps_the_question():
    plain, shifted = split_site(phantom_sites(16)[0])
    assert plain.task == shifted.task
    assert not set(plain.train.groups.tolist()) & set(shifted.train.groups.tolist())
    assert not set(plain.held_out.groups.tolist()) & set(shifted.held_out.groups.tolist())


def test_the_shift_changes_the_second_half_alone():
    whole = phantom_sites(16)[0]
    plain, shifted = split_site(whole)
    assert torch.equal(plain.train.images, whole.train.images[whole.train.groups % 2 == 0])
    assert not torch.equal(shifted.train.images, whole.train.images[whole.train.groups % 2 == 1])


@pytest.mark.parametrize("held_out", list(HeldOut))
def test_no_patient_is_learned_and_judged(data_folder, held_out):
    import numpy as np

    entry = SEQUENCES["site"].entries[1]
    site = read_site(data_folder, entry, held_out, 16, cap=2000)
    with np.load(data_folder / entry.folder / "images.npz") as file:
        split, groups = file["split"], file["groups"]
    names = {part: set(groups[split == part]) for part in (0, 1)}
    judged = names[1] if held_out is HeldOut.TEST else names[0]
    assert len(set(site.held_out.groups.tolist())) <= len(judged)
    if held_out is HeldOut.TEST:
        assert len(site.train.labels) == (split == 0).sum()
        assert len(site.held_out.labels) == (split == 1).sum()
    else:  # the carved groups and the rest make up the training split; the test split stays shut
        counts = len(site.train.labels), len(site.held_out.labels)
        assert sum(counts) == (split == 0).sum()
        patients = [len(set(cases.groups.tolist())) for cases in (site.train, site.held_out)]
        assert sum(patients) == len(names[0])
        assert 0.1 < patients[1] / len(names[0]) < 0.3


def test_the_same_patients_are_carved_out_of_both_scans(data_folder):
    entries = [entry for entry in SEQUENCES["development"].entries if entry.folder.startswith("sts")]
    read = [read_site(data_folder, entry, HeldOut.VALIDATION, 16) for entry in entries]
    counts = {len(set(site.held_out.groups.tolist())) for site in read}
    assert len(counts) == 1
    assert all(site.held_out.masks is not None for site in read)


def test_the_cap_holds(data_folder):
    entry = SEQUENCES["site"].entries[0]
    site = read_site(data_folder, entry, HeldOut.TEST, 16)
    assert len(site.train.labels) == 1200
