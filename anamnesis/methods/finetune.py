"""Fine-tuning: trains on the new data and does nothing against forgetting. The lower baseline."""

from dataclasses import dataclass

from anamnesis.methods.classification import ClassificationMethod, Competing
from anamnesis.methods.register import register


@dataclass(frozen=True, slots=True)
class FinetuneOptions:
    """Options of ``finetune``.

    Attributes:
        competing: which classes compete in the softmax: ``seen`` or ``task``.
    """

    competing: Competing = Competing.SEEN


@register("finetune", FinetuneOptions)
class Finetune(ClassificationMethod[FinetuneOptions]):
    """Cross-entropy on the new data."""

    def competing(self) -> Competing:
        """As the options say."""
        return self.options.competing
