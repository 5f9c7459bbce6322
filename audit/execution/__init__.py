"""Where the stages of a run are carried out: in this process, in several, on a Ray cluster, or by Slurm."""
