"""Stages that compute on a device as jobs of Slurm, submitted by submitit."""
