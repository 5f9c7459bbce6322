"""Paired differences of two models: every score, the hits with a margin, and the phrases won and lost.

Differences are those of model B minus model A on the same phrases. Intervals are those of
:mod:`audit.metrics.statistics`, over patients; the area under the ROC curve is resampled over patients. Tests of hits
follow from the interval; McNemar's exact test, which takes phrases for independent, is computed beside and decides
nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from audit.metrics.hypotheses import mcnemar_exact
from audit.metrics.recognition import EmbeddedImage
from audit.metrics.recognition_difference import area_differences
from audit.metrics.statistics import Labels, paired_difference, recorded
from audit.planning.answers import above_all, holm_over_questions
from reports.model_comparison_record import MarginAnswer, ModelDifference
from reports.protocol_record import NonInferiorityQuestion, PrecisionQuestion, Protocol
from reports.score_catalogue import ABSENCE_PERCENTILE, COSINE, PERCENTILE, POINTING, SCORES

__all__ = ["Hits", "hits_of", "margin_answer", "model_differences", "planned_answers"]

_NO_FINDING = "no finding named"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """The pointing game of both models on the same phrases."""

    first: Float[np.ndarray, " cases"]  # model A: 0 or 1
    second: Float[np.ndarray, " cases"]  # model B
    patients: Labels
    pairs: Sequence[int]  # of the phrases


def hits_of(scores: pd.DataFrame, method: str) -> Hits:
    """Return the hits of a method on the phrases that both models were scored on.

    Args:
        scores: of :meth:`audit.experiments.run_pairs.RunPair.scores`.
        method: of attribution.
    """
    rows = scores[(scores["method"] == method) & (scores["score"] == POINTING)].dropna(subset=["first", "second"])
    return Hits(
        first=rows["first"].to_numpy(dtype=float),
        second=rows["second"].to_numpy(dtype=float),
        patients=rows["patient"].tolist(),
        pairs=rows["pair"].tolist(),
    )


def model_differences(
    scores: pd.DataFrame, embedded: Sequence[tuple[EmbeddedImage, EmbeddedImage]]
) -> Iterator[ModelDifference]:
    """Yield the difference of every score over all phrases (micro, and macro over findings) and for each finding.

    Args:
        scores: of :meth:`audit.experiments.run_pairs.RunPair.scores`.
        embedded: images with their phrases as each model sees them, for the area under the ROC curve.
    """
    areas = dict(_areas(embedded)) if embedded else {}
    known = {name: place for place, name in enumerate(SCORES)}
    named = scores[scores["score"].isin(known)]
    named = named.assign(finding=named["finding"].fillna(_NO_FINDING))
    groups = {(str(score), str(method)): rows for (score, method), rows in named.groupby(["score", "method"])}
    for score, method in sorted(groups, key=lambda place: (known[place[0]], place[1])):
        rows = groups[score, method]
        if score == PERCENTILE:
            yield from areas.values()  # an interval of the phrases alone would be too narrow
            continue
        both = rows["first"].notna() & rows["second"].notna()
        alone = int((rows["first"].notna() & ~both).sum()), int((rows["second"].notna() & ~both).sum())
        pairs = rows[both]
        if pairs.empty:
            continue
        about = {"score": score, "method": method}
        yield _difference(pairs, about, averaging="micro", unpaired=alone)
        if pairs["finding"].nunique() > 1:
            yield _difference(pairs, about, averaging="macro")
        for finding, of_finding in pairs.groupby("finding", sort=True):
            if finding != _NO_FINDING:
                yield _difference(of_finding, about, averaging="micro", finding=str(finding))


def _difference(
    pairs: pd.DataFrame,
    about: Mapping[str, str],
    *,
    averaging: str,
    finding: str | None = None,
    unpaired: tuple[int, int] = (0, 0),
) -> ModelDifference:
    first, second = (pairs[name].to_numpy(dtype=float) for name in ("first", "second"))
    groups = pairs["finding"].tolist() if averaging == "macro" else None
    found = paired_difference(second, first, pairs["patient"].tolist(), groups=groups)
    spec = SCORES[about["score"]]
    # Other patients' images are in this percentile too: an interval of the phrases alone would be too narrow.
    is_of_phrases = about["score"] != ABSENCE_PERCENTILE
    hits: dict[str, object] = {}
    if spec.unit == "hit" and averaging == "micro":
        hits["won"] = int(((first == 0.0) & (second == 1.0)).sum())
        hits["lost"] = int(((first == 1.0) & (second == 0.0)).sum())
        hits["mcnemar"] = mcnemar_exact(first, second)
    return ModelDifference.model_validate(
        {
            **about,
            **hits,
            "kind": spec.kind,
            "finding": finding,
            "averaging": averaging,
            "lower_is_better": not spec.higher_is_better,
            "first": _mean(first, groups),
            "second": _mean(second, groups),
            "difference": recorded(found) if is_of_phrases else None,
            "cases": len(first),
            "patients": found.patients,
            "unpaired": unpaired,
        }
    )


def _mean(values: Float[np.ndarray, " cases"], groups: Labels | None) -> float:
    """Return the mean, or the mean of the groups' means."""
    if groups is None:
        return float(values.mean())
    return float(pd.Series(values).groupby(np.asarray(groups)).mean().mean())


def _areas(embedded: Sequence[tuple[EmbeddedImage, EmbeddedImage]]) -> Iterator[tuple[str | None, ModelDifference]]:
    first, second = zip(*embedded, strict=True)
    for finding, (before, after, difference) in area_differences(first, second).items():
        yield (
            finding,
            ModelDifference(
                kind="recognition",
                method=COSINE,
                score=PERCENTILE,
                finding=finding,
                averaging="micro",
                lower_is_better=False,
                first=before,
                second=after,
                difference=difference,
                cases=difference.cases,
                patients=difference.patients,
            ),
        )


def margin_answer(hits: Hits, *, margin: float, alpha: float = 0.05) -> MarginAnswer:
    """Ask whether model B hits no less often than model A by a margin, and whether it hits more often.

    Both follow from one interval, so that the second question costs no error rate: superiority is concluded only where
    non-inferiority is.

    Args:
        hits: of both models.
        margin: 0 or above, as a share; 0 asks for superiority alone.
        alpha: two-sided error rate.

    Source: EMA, CPMP/EWP/482/99, "Points to consider on switching between superiority and non-inferiority".
    """
    none = MarginAnswer(
        question=None,
        model="B",
        compared_with="A",
        margin=margin,
        alpha=alpha,
        estimate=None,
        p_margin=None,
        p_superior=None,
        conclusion="not-shown",
    )
    if not len(hits.first):
        return none
    patients = np.unique(np.asarray(hits.patients), return_inverse=True)[1]
    within, above = (
        above_all(hits.second, {"A": hits.first}, patients, limit=limit, alpha=alpha) for limit in (-margin, 0.0)
    )
    update = {"estimate": recorded(within.interval), "p_margin": within.p, "p_superior": above.p}
    return _concluded(none.model_copy(update=update))


def _concluded(answer: MarginAnswer) -> MarginAnswer:
    conclusion = "not-shown"
    if answer.p_superior is not None and answer.p_superior <= answer.alpha:
        conclusion = "superior"
    elif answer.margin > 0.0 and answer.p_margin is not None and answer.p_margin <= answer.alpha:
        conclusion = "not-inferior"
    return answer.model_copy(update={"conclusion": conclusion})


def planned_answers(protocol: Protocol, hits: Hits, checksums: tuple[str, str]) -> tuple[MarginAnswer, ...]:
    """Answer the questions of a protocol that compare these two models, in either direction.

    The protocol names models by checksum. Without checksums, A is the first model and B the second. P-values are
    adjusted for all tested questions of the protocol: those that are answered elsewhere count as not shown.

    Args:
        protocol: with the questions.
        hits: of the protocol's method.
        checksums: of the weights of model A and model B.
    """
    found = []
    for question in protocol.questions:
        if isinstance(question, NonInferiorityQuestion):
            answer = _planned(question, protocol, hits, checksums)
            found += [] if answer is None else [answer]
    if protocol.multiplicity == "holm":
        adjusted = holm_over_questions(protocol, {str(each.question): each.p_margin for each in found})
        tested = sum(not isinstance(question, PrecisionQuestion) for question in protocol.questions)
        found = [
            each.model_copy(
                update={
                    "p_margin": adjusted.get(str(each.question)),
                    "p_superior": None if each.p_superior is None else min(tested * each.p_superior, 1.0),
                }
            )
            for each in found
        ]
    return tuple(_concluded(each) for each in found)


def _planned(
    question: NonInferiorityQuestion, protocol: Protocol, hits: Hits, checksums: tuple[str, str]
) -> MarginAnswer | None:
    names = protocol.models or dict(zip("AB", checksums, strict=True))
    asked = names.get(question.model), names.get(question.compared_with)
    if asked == (checksums[1], checksums[0]):
        answer = margin_answer(hits, margin=question.margin, alpha=protocol.alpha)
        return answer.model_copy(update={"question": question.name})
    if asked == checksums:
        turned = Hits(first=hits.second, second=hits.first, patients=hits.patients, pairs=hits.pairs)
        answer = margin_answer(turned, margin=question.margin, alpha=protocol.alpha)
        return answer.model_copy(update={"question": question.name, "model": "A", "compared_with": "B"})
    return None
