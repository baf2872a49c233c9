from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anamnesis.records import InputError, RefusedError, Split
from anamnesis.registry.opening import read_private_key
from anamnesis.snapshots.keys import key_fingerprint, pseudonymise_patient, read_split_key, split_by_key

KEYS = st.binary(min_size=32, max_size=64)


@pytest.mark.parametrize("read_key", [read_split_key, read_private_key])
def test_a_key_that_cannot_be_created_names_its_path(
    read_key: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(RefusedError, match=r"split\.key: Permission denied; give the current user access to"):
        read_key(f"file://{tmp_path}/split.key", create=True)


@given(KEYS, st.text(), st.floats(0, 1))
def test_a_patient_is_in_the_same_split_everywhere(key, patient, fraction):
    assert split_by_key(key, patient, fraction) is split_by_key(key, patient, fraction)
    assert split_by_key(key, patient, 0.0) is Split.TRAIN
    assert split_by_key(key, patient, 1.0) is Split.TEST


@given(KEYS, st.text(), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_fraction_only_adds_test_patients(key, patient, first_fraction, second_fraction):
    small, large = sorted((first_fraction, second_fraction))
    assert split_by_key(key, patient, large) is Split.TEST or split_by_key(key, patient, small) is Split.TRAIN


@given(KEYS)
def test_the_fraction_is_kept(key):
    share = mean(split_by_key(key, f"patient {n}", 0.2) is Split.TEST for n in range(2000))
    assert 0.15 < share < 0.25  # more than five standard deviations


@given(KEYS, KEYS, st.text(), st.text(), st.text(), st.text())
def test_pseudonyms_differ_by_key_site_and_patient(key, other_key, site, patient, site2, patient2):
    same = (key, site, patient) == (other_key, site2, patient2)
    assert (pseudonymise_patient(key, site, patient) == pseudonymise_patient(other_key, site2, patient2)) is same
    assert (key_fingerprint(key) == key_fingerprint(other_key)) is (key == other_key)


def test_a_key_is_made_once_by_the_first_caller(tmp_path):
    reference = (tmp_path / "deep" / "a key").as_uri()
    with ThreadPoolExecutor(16) as threads:
        keys = set(threads.map(lambda _: read_split_key(reference, create=True), range(64)))
    assert len(keys) == 1
    assert keys == {read_split_key(reference)}
    assert (tmp_path / "deep" / "a key").stat().st_mode & 0o077 == 0
    assert len(list((tmp_path / "deep").iterdir())) == 1


def test_a_key_comes_from_the_environment():
    assert read_split_key("env:KEY", environment={"KEY": "k" * 32 + "\n"}) == b"k" * 32


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("env:KEY", "expected 32 characters or more, found 5"),
        ("env:", "expected file:///absolute/path or env:NAME"),
        ("env:NONE", "the file or the variable is missing or empty; mount the key"),
        ("file:///not/there", "the file or the variable is missing or empty; mount the key"),
        ("key.txt", "expected file:///absolute/path or env:NAME"),
        ("s3://bucket/key", "expected file:///absolute/path or env:NAME"),
    ],
)
def test_a_missing_or_short_key_is_an_error(reference, message):
    with pytest.raises(InputError, match=f"split key '{reference}': {message}"):
        read_split_key(reference, environment={"KEY": "short"})
