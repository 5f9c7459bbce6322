"""ROAR+: remove what a method calls important, train again, and see whether the model misses it.

Deletion asks a model that never saw holes; what it loses may be the holes' doing. Here the model is fine-tuned on
inputs with the same holes before it is asked, so that only the information that was removed can be missed. Beside it
stands the same with as much removed at random: a method is worth what it costs the model beyond that.

Limit, as of every such test: the holes themselves may tell (one in the shape of a heart says where the heart was), so
that a fall is a lower bound.

Source: Hooker et al. 2019, "A benchmark for interpretability methods in deep neural networks" (ROAR); Wang, Rudner and
Wilson 2023 (M2IB), who remove pixels or tokens, fine-tune and measure retrieval (ROAR+).
"""

from audit.faithfulness.roar.experiment import DEFAULT_SHARES, Roar, RoarLine, RoarSettings, Side, as_text, run_roar
from audit.faithfulness.roar.removal import Pairs, remove_patches, remove_words
from audit.faithfulness.roar.retraining import Retrieval, fine_tuned, retrieve

__all__ = [
    "DEFAULT_SHARES",
    "Pairs",
    "Retrieval",
    "Roar",
    "RoarLine",
    "RoarSettings",
    "Side",
    "as_text",
    "fine_tuned",
    "remove_patches",
    "remove_words",
    "retrieve",
    "run_roar",
]
