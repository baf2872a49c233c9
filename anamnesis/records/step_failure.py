"""Why a step of a run failed."""

from dataclasses import dataclass

from anamnesis.records.signature import Signature


@dataclass(frozen=True, slots=True)
class StepFailure:
    """The first failure of a run that an operator started; stored in the registry once, under the run's name.

    Attributes:
        run: name of the run.
        step: name of the step, for example ``train_ewc``.
        message: why it failed, without patient data.
        exit_code: of the error, see ``AnamnesisError``.
        time: when it failed, UTC, ISO 8601.
        signature: of the run; none where the model has no signing keys.
        schema: schema of this record.
    """

    run: str
    step: str
    message: str
    exit_code: int
    time: str
    signature: Signature | None = None
    schema: int = 1
