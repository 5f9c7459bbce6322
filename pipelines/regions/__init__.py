"""Parts of a radiograph that say whether heat lies in the wrong place: letters on the film, the chest, its sides."""

from pipelines.regions.regions import Lungs, Regions, regions_of

__all__ = ["Lungs", "Regions", "regions_of"]
