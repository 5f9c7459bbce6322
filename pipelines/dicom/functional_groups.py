"""What a file with several frames says of them in functional groups, brought where other files have it."""

from pydicom.dataset import Dataset

from pipelines.dicom.source import element, items

__all__ = ["lift_functional_groups"]

# By macro, what is read of it. The other macros place frames in time and space, which a radiograph has no use for.
_ELEMENTS = {
    "PixelMeasuresSequence": ("PixelSpacing",),
    "PixelValueTransformationSequence": ("RescaleIntercept", "RescaleSlope"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction"),
}


def lift_functional_groups(dataset: Dataset, frame: int) -> None:
    """Put what the functional groups say of a frame, counted from 1, into the data set itself.

    What is said of the frame alone goes before what is said of all frames, and both before the data set's own element.

    Source: PS3.3 C.7.6.16 (Multi-frame Functional Groups), C.7.6.16.2.1 (Pixel Measures), C.7.6.16.2.9 (Pixel Value
    Transformation), C.7.6.16.2.10 (Frame VOI LUT).
    """
    shared = items(dataset, "SharedFunctionalGroupsSequence")[:1]
    own = items(dataset, "PerFrameFunctionalGroupsSequence")[frame - 1 : frame]
    for group in (*shared, *own):
        for macro, keywords in _ELEMENTS.items():
            for item in items(group, macro)[:1]:
                for keyword in keywords:
                    if (found := element(item, keyword)) is not None:
                        dataset[keyword] = found
