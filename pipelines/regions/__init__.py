"""Regions of a radiograph that show whether heat is in the wrong place: letters, the chest, its sides."""

from pipelines.regions.regions import Lungs, Regions, regions_of

__all__ = ["Lungs", "Regions", "regions_of"]
