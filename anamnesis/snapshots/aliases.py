"""Patients who keep the pseudonym of an earlier key, after the split key of their site was replaced."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from anamnesis.records import Split
from anamnesis.snapshots.keys import pseudonymise_patient, pseudonymise_study
from anamnesis.snapshots.store_binding import StoreBinding, list_store_bindings
from anamnesis.snapshots.studies import Study
from anamnesis.storage.store import Store


@dataclass(frozen=True, slots=True)
class Aliases:
    """Pseudonyms under the present key that have an earlier one. Without a replaced key there are none.

    Attributes:
        pseudonyms: pseudonym of a patient or study under the present key -> the earlier one.
        held_out: pseudonyms under the present key of patients who may be in a test set.
        trained: pseudonyms under the present key of patients who were in training.
    """

    pseudonyms: Mapping[str, str] = field(default_factory=dict)
    held_out: frozenset[str] = frozenset()
    trained: frozenset[str] = frozenset()

    def resolve(self, pseudonym: str) -> str:
        """Returns the earlier pseudonym, or the same one."""
        return self.pseudonyms.get(pseudonym, pseudonym)

    def translate_splits(self, frozen_splits: Mapping[str, Split]) -> dict[str, Split]:
        """Returns the splits of frozen patients by their pseudonyms under the present key.

        Held-out patients get the split RESERVE: they never train, and no test set takes them.
        """
        translated = {new: frozen_splits[old] for new, old in self.pseudonyms.items() if old in frozen_splits}
        return {**frozen_splits, **dict.fromkeys(self.held_out, Split.RESERVE), **translated}


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """The pseudonyms of a site under all keys that its store ever had.

    Attributes:
        key: the present key.
        site: name of the site.
        bindings: the keys of the store, oldest first.
    """

    key: bytes
    site: str
    bindings: tuple[StoreBinding, ...] = ()

    @classmethod
    def of_store(cls, store: Store, key: bytes, site: str) -> "Pseudonyms":
        """Returns the pseudonyms of the site of a store."""
        return cls(key, site, list_store_bindings(store))

    def of_study(self, patient: str, study: str) -> tuple[str, str]:
        """Returns the pseudonyms of a patient and a study that snapshots have: the first ones."""
        earlier = _earlier_pseudonyms(self.bindings, self.site, patient, study) if self._has_replaced_key else None
        return earlier or (
            pseudonymise_patient(self.key, self.site, patient),
            pseudonymise_study(self.key, self.site, patient, study),
        )

    def of_patient(self, patient: str) -> frozenset[str]:
        """Returns every pseudonym that a patient has or had."""
        keys = {self.key, *(binding.split_key for binding in self.bindings)}
        pseudonyms = {pseudonymise_patient(key, self.site, patient) for key in keys}
        aliases = {
            binding.aliases[pseudonym]
            for binding in self.bindings
            for pseudonym in pseudonyms
            if pseudonym in binding.aliases
        }
        return frozenset(pseudonyms | aliases)

    @property
    def _has_replaced_key(self) -> bool:
        return any(binding.replaced_fingerprint for binding in self.bindings)


def find_aliases(store: Store, site: str, studies: Sequence[Study]) -> Aliases:
    """Returns the aliases of the patients and studies of a source, from all keys that the store ever had."""
    bindings = list_store_bindings(store)
    if not any(binding.replaced_fingerprint for binding in bindings):
        return Aliases()
    present_binding = bindings[-1]
    trained_patients = {patient for binding in bindings for patient in binding.trained_patients}
    pseudonyms: dict[str, str] = {}
    held_out: set[str] = set()
    for study in studies:
        patient = pseudonymise_patient(present_binding.split_key, site, study.patient)
        present_study = pseudonymise_study(present_binding.split_key, site, study.patient, study.study)
        aliases = _earlier_pseudonyms(bindings, site, study.patient, study.study)
        if aliases:
            pseudonyms[patient], pseudonyms[present_study] = aliases
        elif study.declared_split is None and patient in present_binding.held_out:
            held_out.add(patient)
    trained = frozenset(new for new, old in pseudonyms.items() if old in trained_patients)
    return Aliases(pseudonyms, frozenset(held_out), trained)


def _earlier_pseudonyms(
    bindings: Sequence[StoreBinding], site: str, patient: str, study: str
) -> tuple[str, str] | None:
    """Returns the patient's and the study's first pseudonyms, or none for a patient of the present key."""
    later_patients: set[str] = set()
    for binding in reversed(bindings):
        pseudonym = pseudonymise_patient(binding.split_key, site, patient)
        study_pseudonym = pseudonymise_study(binding.split_key, site, patient, study)
        if pseudonym in binding.aliases:
            return binding.aliases[pseudonym], binding.aliases.get(study_pseudonym, study_pseudonym)
        if pseudonym in later_patients:
            return pseudonym, study_pseudonym
        later_patients = set(binding.earlier_patients)
    return None
