"""What happens when a person approves."""

from anamnesis import steps
from anamnesis.local.context import Selected
from anamnesis.local.sources import looker
from anamnesis.local.updates import look_and_plan, remember, request_for
from anamnesis.records import Decision, InputError, decode, encode_object
from anamnesis.records.timestamps import utc_now
from anamnesis.registry import approve, read_version


def approve_version(selected: Selected, digest: str, who: str, why: str) -> Decision:
    """Records the approval, asks the gate again and writes its answer to the log.

    Raises:
        InputError: the version's site does not belong to the model.
        RefusedError: a person has rejected the version.
    """
    version, wanted = read_version(selected.registry, digest), selected.wanted(who)
    if version.site not in wanted.resources.sites:
        raise InputError(f"version {digest}: its site {version.site!r} is not in the files given")
    observation, _, _ = look_and_plan(wanted, looker(selected), utc_now)
    approve(selected.registry, digest, who, why)
    request = encode_object(request_for(wanted, observation, version.site))
    result = steps.promote_model(request, digest, observation.holdings[version.site].test_set, who)
    _, _, status = look_and_plan(wanted, looker(selected), utc_now)
    remember(wanted, status)
    return decode(Decision, result["decision"])
