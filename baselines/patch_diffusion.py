"""Patch Diffusion (Wang et al. 2023, arXiv:2304.12526) in its own forms, and the full-resolution model it saves."""

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from prism_bench.baselines.table3 import PatchRow
from prism_bench.prism.conditioning.aggregators import Aggregator, NoConditioning
from prism_bench.prism.methods.method import AllImages, TrainingSet
from prism_bench.prism.patch_diffusion.patch_method import PatchMethod
from prism_bench.prism.patch_diffusion.patches import Patches, PatchSizes, ProgressivePatches
from prism_bench.prism.variants.scale import Scale

REAL = 0.5
"""Patch Diffusion's own share of steps on full images (its real_p), which is also that of the paper's Table 5."""


@dataclass(frozen=True, kw_only=True)
class PatchedRow(PatchRow):
    """The row patchd with other patches."""

    control: ClassVar[bool] = True
    aggregator: ClassVar[Aggregator | None] = NoConditioning()
    training_set: ClassVar[TrainingSet] = AllImages()
    patches: ClassVar[Patches]

    @override
    def method(self, scale: Scale) -> PatchMethod:
        return super().method(scale).replace(patches=self.patches)


@dataclass(frozen=True, kw_only=True)
class PatchDiffusion(PatchedRow, name="patch-diffusion"):
    """Patch Diffusion as published: half of the steps on full images; trained on all images X.

    The paper's Table 1 uses its patch-only form, which is the variant patchd.
    """

    label: ClassVar[str] = "Patch Diffusion, 50% full resolution"
    patches: ClassVar[Patches] = PatchSizes(full=REAL)


@dataclass(frozen=True, kw_only=True)
class ProgressivePatchDiffusion(PatchedRow, name="patch-diffusion-progressive"):
    """Patch Diffusion with its progressive schedule: small patches first, full images last."""

    label: ClassVar[str] = "Patch Diffusion, progressive"
    patches: ClassVar[Patches] = ProgressivePatches(full=REAL)


@dataclass(frozen=True, kw_only=True)
class FullResolution(PatchedRow, name="full-resolution"):
    """Control: the same network on full images alone, unconditional, for as many pixels as PatchD sees.

    What does training on patches cost, and what does it save?
    """

    label: ClassVar[str] = "Full resolution, unconditional, equal pixels"
    patches: ClassVar[Patches] = PatchSizes(full=1.0)

    @override
    def method(self, scale: Scale) -> PatchMethod:
        method = super().method(scale)
        # Fewer images than PatchD's: convolutions cost by the pixel.
        images = max(1, round(method.training.images * scale.method.patches.pixels))
        return method.replace(training=method.training.lasting(images))
