"""Execution of a run's stages: in this process, in several processes, on a Ray cluster, or with Slurm."""
