"""Regions of a radiograph that show whether heat is in the wrong place: letters, the chest, its sides."""

from pipelines.regions.regions import ChestRegions, Lungs, Regions, chest_of, regions_of

__all__ = ["ChestRegions", "Lungs", "Regions", "chest_of", "regions_of"]
