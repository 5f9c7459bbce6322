"""Scores of heat against boxes, statistics over a cohort, and faithfulness."""
