"""A comparison of three methods, one of them checked itself, with everything that its page can say."""

from typing import get_args

from made_up_records import MODEL, MOMENT, SOFTWARE

from reports.comparison_record import ComparedMethod, ComparedScore, ComparisonRecord
from reports.run_record import FailureRecord, ScoreDifference
from reports.sanity_record import Change, MethodSanity, Repeatability, SampleMean, SanityStage, TowerVerdict
from reports.score_catalogue import SCORES

DIFFERENCE = ScoreDifference(reference="centre", estimate=0.2, low=0.1, high=0.3, scored=40, patients=20)
MEAN = SampleMean(estimate=0.2, low=0.1, high=0.3, cases=20, patients=12)
FAILURE = FailureRecord(source="a.dcm", stage="view", reason="lateral", failed=False)


def make_check(method: str) -> MethodSanity:
    """Make the check of a method that passes for one tower, not clearly, and fails for the other."""
    high = MEAN.model_copy(update={"estimate": 0.6, "low": 0.5, "high": 0.7})
    return MethodSanity(
        method=method,
        phrases=20,
        random_pairs=50,
        reference=MEAN.model_copy(update={"estimate": 0.25}),
        stages=tuple(
            SanityStage(
                tower=tower,  # type: ignore[arg-type]
                blocks=blocks,
                of=2,
                spearman=MEAN,
                ssim=MEAN if tower == "image" else high,
                words_spearman=None,
                cosine=MEAN,
            )
            for tower in ("image", "text")
            for blocks in (1, 2)
        ),
        verdicts=(
            TowerVerdict(tower="image", ssim=MEAN, passes=True, is_clear=False),
            TowerVerdict(tower="text", ssim=high, passes=False, is_clear=True),
        ),
        repeatability=tuple(
            Repeatability(change=change, ssim=high, peak_px=MEAN, spearman=None) for change in get_args(Change)
        ),
        max_sensitivity=MEAN,
        draws=10,
        epsilon=0.02,
    )


def make_comparison(*, scored: bool) -> ComparisonRecord:
    """Make a comparison of three methods, one of which refuses the model."""
    methods = [
        ComparedMethod(
            name=name,
            unit="nats",
            explains_words=name == "m2ib",
            settings={} if name == "nib" else {"some_steps": 3},
            own_settings={} if name == "nib" else {"some_steps": 9},
            refused="needs attention" if name == "rollout" else None,
            pairs=9,
            seconds_image=0.5,
            pairs_with_words=2,
            seconds_with_words=0.7 if name == "m2ib" else None,
            memory_mb=300.0,
        )
        for name in ("m2ib", "nib", "rollout")
    ]
    names = ("pointing game, tau 0", "image confidence drop", "heat on markers")
    base = DIFFERENCE.model_copy(update={"reference": "m2ib"})
    scores = [
        ComparedScore(
            method=method,
            is_reference=method == "centre",
            kind=SCORES[score].kind,
            score=score,
            lower_is_better=not SCORES[score].higher_is_better,
            finding=None,
            averaging=averaging,  # type: ignore[arg-type]
            estimate=0.4,
            low=0.3,
            high=0.5,
            scored=40,
            unscored=2,
            patients=20,
            to_reference=None if method == "centre" else DIFFERENCE,
            to_baseline=base if method == "nib" else None,
        )
        for method in ("m2ib", "nib", "centre")
        for score in names
        for averaging in ("micro", "macro")
    ]
    return ComparisonRecord(
        created=MOMENT,
        finished=MOMENT,
        model=MODEL,
        baseline="m2ib",
        methods=tuple(methods),
        scores=tuple(scores) if scored else (),
        sanity=(make_check("m2ib"),) if scored else (),
        seed=7,
        device="cpu, 2 threads",
        memory="the peak",
        software=SOFTWARE,
        phantom_images=True,
        counts={"compared": 3, "faithfulness sample": 2},
        failures=(FAILURE, FAILURE) if scored else (),
    )
