"""Approves a version on this machine."""

from anamnesis import steps
from anamnesis.local.context import SelectedModel
from anamnesis.local.sources import make_site_inspector
from anamnesis.local.updates import build_update_request, observe_and_plan, write_local_status
from anamnesis.records import Decision, InputError, decode, encode_object
from anamnesis.records.timestamps import utc_now
from anamnesis.registry import approve, read_version


def approve_version(selected_model: SelectedModel, digest: str, author: str, reason: str) -> Decision:
    """Records the approval, evaluates the gate and writes its decision to the log.

    Raises:
        InputError: the version's site does not belong to the model.
        RefusedError: a person has rejected the version.
    """
    version, local_context = read_version(selected_model.registry, digest), selected_model.local_context(author)
    if version.site not in local_context.resources.sites:
        raise InputError(
            f"version {digest}: its site {version.site!r} is not in the files of -f; add the file of this Site with -f"
        )
    observation, _, _ = observe_and_plan(local_context, make_site_inspector(selected_model), utc_now)
    approve(selected_model.registry, digest, author, reason)
    request = encode_object(build_update_request(local_context, observation, version.site))
    result = steps.promote_model(request, digest, observation.site_contents[version.site].test_set, author)
    _, _, status = observe_and_plan(local_context, make_site_inspector(selected_model), utc_now)
    write_local_status(local_context, status)
    return decode(Decision, result["decision"])
