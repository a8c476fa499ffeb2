"""A variant made from another one by replacing parts of its method: how tables vary one factor at a time."""

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from prism_bench.baselines.table3 import Prism
from prism_bench.prism.conditioning.schedules import Schedule
from prism_bench.prism.data.base import Dataset
from prism_bench.prism.errors import InputError
from prism_bench.prism.methods.method import Method, TrainingSet
from prism_bench.prism.methods.sampling import Sampler
from prism_bench.prism.patch_diffusion.patch_method import PatchMethod
from prism_bench.prism.patch_diffusion.patches import Patches
from prism_bench.prism.variants.scale import Scale
from prism_bench.prism.variants.variant import Variant


@dataclass(frozen=True, kw_only=True)
class Changed(Variant, name="changed"):
    """Another variant with its training set, schedule or patch sizes replaced, or its training made longer or shorter.

    length: training images as a multiple of the scale's.
    """

    label: ClassVar[str] = "PRISM, changed"
    base: Variant = Prism()
    training_set: TrainingSet | None = None
    schedule: Schedule | None = None
    patches: Patches | None = None
    length: float = 1.0

    def method(self, scale: Scale) -> Method:
        """The base's method with what is given in place of its own."""
        method = self.base.method(scale)
        if not isinstance(method, PatchMethod):
            raise InputError(f"variant {self.base.name}: only patch methods can be changed in their parts")
        given = {"training_set": self.training_set, "schedule": self.schedule, "patches": self.patches}
        images = max(1, round(method.training.images * self.length))
        return method.replace(
            training=method.training.lasting(images),
            **{field: part for field, part in given.items() if part is not None},
        )

    @override
    def applies(self, scale: Scale, dataset: Dataset) -> str | None:
        return self.base.applies(scale, dataset)

    @override
    def k_sample(self, scale: Scale) -> int:
        return self.base.k_sample(scale)

    @override
    def sampler(self, scale: Scale) -> Sampler:
        return self.base.sampler(scale)
