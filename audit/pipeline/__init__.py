"""The way of a study through a run: load, explain, score, write."""
