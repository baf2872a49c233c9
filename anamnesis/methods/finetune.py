"""Fine-tuning: trains on the new data, without any protection against forgetting. The lower baseline."""

from dataclasses import dataclass

from anamnesis.methods.classification import ClassificationMethod, SoftmaxScope
from anamnesis.methods.register import register


@dataclass(frozen=True, slots=True)
class FinetuneOptions:
    """Options of ``finetune``.

    Attributes:
        competing: which classes compete in the softmax: ``seen`` or ``task``.
    """

    competing: SoftmaxScope = SoftmaxScope.SEEN


@register("finetune", FinetuneOptions)
class Finetune(ClassificationMethod[FinetuneOptions]):
    """Cross-entropy on the new data."""

    def softmax_scope(self) -> SoftmaxScope:
        """Returns the scope that the options choose."""
        return self.options.competing
