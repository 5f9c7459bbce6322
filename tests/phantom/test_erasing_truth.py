"""Erasing on phantoms whose truth is known: the effect follows that of removing the finding."""

import numpy as np

from audit.encoders.loading import load_encoder
from audit.phantom.erasing import ErasingTest
from audit.phantom.evaluation import held_out_phantoms
from pipelines.phantom.render import render, sample_phantom, without_findings
from pipelines.regions.erasing import Fill


def measured(fill: Fill) -> dict[str, float]:
    test = ErasingTest(load_encoder("phantom"), seed=3, columns=200, fill=fill)
    for held_out in held_out_phantoms(8, 3):
        test.look_at(held_out.name, held_out.phantom)
    return {value.test: value.interval.estimate for value in test.values()}


def test_the_effect_of_erasing_follows_that_of_removing_the_finding() -> None:
    found, inpainted = measured(Fill.OTHER_PATIENTS), measured(Fill.INPAINTING)
    agreement, free = (
        "erasing: Spearman of its effect and the true effect",
        "without findings: rise of present less absent phrases",
    )
    assert found["erasing: reliance on the region, SD"] > 0.5
    assert found[agreement] > max(0.5, inpainted[agreement])
    assert abs(found[free]) < 0.5 * abs(inpainted[free])


def test_removing_a_finding_changes_nothing_else() -> None:
    generator = np.random.default_rng(4)
    phantom = next(
        each for each in iter(lambda: sample_phantom(generator, at_least=2), None) if "nodule" in each.findings
    )
    changed = without_findings(phantom, "nodule")
    assert changed.findings == phantom.findings - {"nodule"}
    before, after = render(phantom, columns=160), render(changed, columns=160)
    (first, *_) = [box for box, lesion in zip(before.boxes, before.boxed, strict=True) if lesion.finding == "nodule"]
    difference = np.abs(before.image - after.image)
    inside = difference[int(first.y) : int(first.y + first.height), int(first.x) : int(first.x + first.width)]
    assert inside.max() > 0.05
    outside = np.ones(difference.shape, dtype=bool)
    for box, lesion in zip(before.boxes, before.boxed, strict=True):
        if lesion.finding == "nodule":
            outside[int(box.y) : int(box.y + box.height) + 1, int(box.x) : int(box.x + box.width) + 1] = False
    assert difference[outside].max() < 1e-6
