"""The four stages of a study in a run: load, explain, score, write."""
