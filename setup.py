"""The packages of `prism_bench`: its own folder, and every package below the four folders beside it."""

from setuptools import find_packages, setup

FOLDERS = ("prism", "experiments", "analysis", "baselines")
below = [f"{folder}.{name}" for folder in FOLDERS for name in find_packages(folder)]

setup(packages=["prism_bench", *(f"prism_bench.{name}" for name in (*find_packages("prism_bench"), *FOLDERS, *below))])
