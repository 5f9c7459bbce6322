"""What is asked of a cohort besides one run: comparison, evaluation, sanity check, commissioning, ROAR, baselines."""
