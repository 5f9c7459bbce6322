"""How many workers each stage gets from the processors and GPUs that a cluster has at this moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import ceil

__all__ = ["Capacity", "Pools", "Stage", "pools_for"]

_A_HELPER = 12  # processors that attribute on a CPU for one that decodes and one that scores: 18 s to 1 s (RESULTS.md)


class Stage(StrEnum):
    """The three stages of a study, each with workers of its own."""

    DECODE = "decode"
    EXPLAIN = "explain"
    FINISH = "finish"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What a cluster has."""

    processors: float
    gpus: float
    store_bytes: float  # of the object stores, together


@dataclass(frozen=True, slots=True, kw_only=True)
class Pools:
    """How many workers each stage should have, and what share of a processor each of them asks for."""

    sizes: Mapping[Stage, int]
    share: float


def pools_for(capacity: Capacity, *, on_gpu: bool) -> Pools:
    """Share out a cluster: a GPU each for attribution and the processors for the rest; without GPUs most attribute.

    Every stage gets one worker at least. Where there are fewer processors than workers, each asks for one part in k of
    a processor, so that every processor has room for k of them, on whatever node it is.
    """
    processors = max(1, int(capacity.processors))
    if on_gpu:
        explain = max(1, int(capacity.gpus))
        decode = max(1, (processors - explain) * 2 // 3)
        finish = max(1, processors - explain - decode)
    else:
        decode = finish = max(1, processors // (_A_HELPER + 2))
        explain = max(1, processors - decode - finish)
    sizes = {Stage.DECODE: decode, Stage.EXPLAIN: explain, Stage.FINISH: finish}
    return Pools(sizes=sizes, share=1.0 / ceil(sum(sizes.values()) / processors))
