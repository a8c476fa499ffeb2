"""What the objective needs of a method, and how many patches of which size a step takes."""

from typing import NamedTuple

import numpy as np

from prism_bench.prism.conditioning.schedules import Schedule
from prism_bench.prism.patch_diffusion.diffusion import EDM
from prism_bench.prism.patch_diffusion.patches import Patches
from prism_bench.prism.rng import numpy_rng
from prism_bench.prism.training.adam import Training


class Recipe(NamedTuple):
    """What the objective needs of a method."""

    training: Training
    patches: Patches
    schedule: Schedule
    diffusion: EDM

    def step(self, resolution: int, rng: np.random.Generator, seen: int) -> tuple[int, int]:
        """(side in pixels, number) of the patches of a step, when `seen` images have gone before."""
        side, factor = self.patches.choose(resolution, float(rng.random()), seen / self.training.images)
        return side, self.training.batch * factor


def step_rng(seed: int, step: int) -> np.random.Generator:
    """Draws the patches of a step: their size, then their places."""
    return numpy_rng(seed, "patches", step)
