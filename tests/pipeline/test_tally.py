"""What a run keeps of its studies until the end: little, and the same in whatever order they are finished."""

from audit.metrics.habit import HeatedImage
from audit.pipeline.aggregate import Tally
from audit.pipeline.finished import FinishedStudy
from audit.pipeline.score_table import GrowingTable
from pipelines.geometry import Fit, Placement

PLACEMENT = Placement.of(rows=300, columns=200, size=56, fit=Fit.LETTERBOX)


def study(number: int) -> FinishedStudy:
    image = HeatedImage(key=f"{number:08x}", patient=f"p{number}", placement=PLACEMENT, spacing_mm=None, phrases=())
    return FinishedStudy(images=1, heated=[image])


def kept(numbers: range) -> set[str]:
    tally = Tally()
    for number in numbers:
        tally.add(study(number))
        assert len(tally.heated) <= 4000
    tally.add(study(numbers[0]))
    return {image.key for image in tally.heated}


def test_the_heat_of_a_bounded_number_of_images_is_kept_whatever_their_order() -> None:
    forth, back = kept(range(4001)), kept(range(4000, -1, -1))
    assert 2000 <= len(forth) < 2010
    assert len(forth & back) >= 2000


def test_rows_that_are_added_a_part_at_a_time_are_all_there_in_their_order() -> None:
    table = GrowingTable()
    table.add_all({"image": f"i{number}", "phrase": number, "value": 0.5} for number in range(12_001))
    assert table.to_frame()["phrase"].tolist() == list(range(12_001))
