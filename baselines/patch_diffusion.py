"""Patch Diffusion (Wang et al. 2023, arXiv:2304.12526) in its own forms, and the full-resolution model it saves."""

from dataclasses import dataclass
from typing import ClassVar

from prism_bench.baselines.table3 import PatchD
from prism_bench.prism.errors import InputError
from prism_bench.prism.methods.method import Method
from prism_bench.prism.patch_diffusion.patch_method import PatchMethod
from prism_bench.prism.patch_diffusion.patches import Patches, PatchSizes, ProgressivePatches
from prism_bench.prism.variants.scale import Scale
from prism_bench.prism.variants.variant import Variant

REAL = 0.5
"""Patch Diffusion's own share of steps on full images (its real_p), which is also that of the paper's Table 5."""


@dataclass(frozen=True, kw_only=True)
class PatchDiffusion(Variant, name="patch-diffusion"):
    """Patch Diffusion as published: half of the steps on full images; trained on all images X.

    The paper's Table 1 uses its patch-only form, which is the variant patchd.
    """

    label: ClassVar[str] = "Patch Diffusion, 50% full resolution"
    control: ClassVar[bool] = True

    def method(self, scale: Scale) -> Method:
        """PatchD, with full images among the patches."""
        return _with_patches(scale, PatchSizes(full=REAL))


@dataclass(frozen=True, kw_only=True)
class ProgressivePatchDiffusion(Variant, name="patch-diffusion-progressive"):
    """Patch Diffusion with its progressive schedule: small patches first, full images last."""

    label: ClassVar[str] = "Patch Diffusion, progressive"
    control: ClassVar[bool] = True

    def method(self, scale: Scale) -> Method:
        """The same shares as Patch Diffusion, in order of size."""
        return _with_patches(scale, ProgressivePatches(full=REAL))


@dataclass(frozen=True, kw_only=True)
class FullResolution(Variant, name="full-resolution"):
    """Control: the same network on full images alone, unconditional, for as many pixels as PatchD sees.

    What does training on patches cost, and what does it save?
    """

    label: ClassVar[str] = "Full resolution, unconditional, equal pixels"
    control: ClassVar[bool] = True

    def method(self, scale: Scale) -> Method:
        """PatchD on full images, with fewer of them: convolutions cost by the pixel."""
        method = _with_patches(scale, PatchSizes(full=1.0))
        patchd = PatchD().method(scale)
        if not isinstance(method, PatchMethod) or not isinstance(patchd, PatchMethod):
            raise InputError(f"variant {self.name} needs a patch method, not {method.name}")
        images = max(1, round(method.training.images * patchd.patches.pixels))
        return method.replace(training=method.training.replace(images=images))


def _with_patches(scale: Scale, patches: Patches) -> Method:
    return PatchD().method(scale).replace(patches=patches)
