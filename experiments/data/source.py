"""What a run knows of its images."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prism_bench.prism.stages.data import DatasetStage


@dataclass(frozen=True)
class ImageSource:
    """The data of a run: its stage, its labels, and what captions call it.

    remarks: what a user should know of how their files were read.
    missing: why the pictures are not there; such data can be planned for (labels as declared) but not computed on.
    """

    stage: DatasetStage
    title: str
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    skipped: int = 0
    remarks: tuple[str, ...] = ()
    missing: str | None = None
