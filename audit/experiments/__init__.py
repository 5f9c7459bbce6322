"""Experiments on a cohort beyond a single run: comparison, evaluation, sanity, commissioning, ROAR, baselines."""
