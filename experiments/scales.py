"""The scales: how much computing an experiment gets."""

from prism.aggregators import SetTransformer
from prism.data.toyfaces import ToyFaces
from prism.denoiser import DDPMpp
from prism.encoders.efficientnet import EfficientNetLite0
from prism.encoders.pca import PixelsPCA
from prism.errors import InputError, closest
from prism.metrics.coherence import Coherence
from prism.metrics.frechet import FrechetDistance
from prism.metrics.kid import KernelDistance
from prism.patch_method import PatchMethod
from prism.retrieval import Retrieval
from prism.sampling import DPMSolverPP2M
from prism.schedules import Decreasing
from prism.training import Training
from prism.variant import Scale

SMOKE = Scale(
    dataset=ToyFaces(resolution=16, size=256),
    method=PatchMethod(
        aggregator=SetTransformer(inducing=4, heads=2),
        schedule=Decreasing(k_max=4),
        retrieval=Retrieval(encoder=PixelsPCA(components=16)),
        denoiser=DDPMpp(channels=8, multipliers=(1, 2), blocks=1, attention=(8,), dropout=0.0),
        training=Training(
            images=4096, batch=16, learning_rate=2e-3, rampup_images=512, final_fraction=0.1, ema_halflife=512
        ),
    ),
    sampler=DPMSolverPP2M(steps=8),
    metrics=(
        FrechetDistance(encoder=EfficientNetLite0(input_size=64)),
        KernelDistance(encoder=EfficientNetLite0(input_size=64)),
        Coherence(),
    ),
    samples=64,
    k_max=4,
    fixed_k=2,
)

LAPTOP = Scale(
    dataset=ToyFaces(resolution=16, size=6000),
    method=PatchMethod(
        aggregator=SetTransformer(inducing=8),
        schedule=Decreasing(k_max=8),
        retrieval=Retrieval(encoder=PixelsPCA(components=64)),
        denoiser=DDPMpp(channels=32, multipliers=(1, 2), blocks=1, attention=(8,), dropout=0.0),
        # A small batch: at this budget the number of steps decides (docs/laptop-scale.md).
        training=Training(
            images=120_000, batch=16, learning_rate=2e-3, rampup_images=5_000, final_fraction=0.0, ema_halflife=5_000
        ),
    ),
    sampler=DPMSolverPP2M(steps=18),
    metrics=(
        FrechetDistance(encoder=EfficientNetLite0(input_size=128)),
        KernelDistance(encoder=EfficientNetLite0(input_size=128)),
        Coherence(),
    ),
    samples=1000,
    k_max=8,
    fixed_k=4,
)

SCALES = {
    "smoke": (SMOKE, "tests: the whole of Table 3 in under a minute on two cores"),
    "laptop": (LAPTOP, "a first look: one seed of Table 3 in about fifteen minutes on two cores"),
}


def scale_named(name: str) -> Scale:
    """The scale called `name`; InputError with the closest names otherwise."""
    if name not in SCALES:
        raise InputError(f"unknown scale {name!r}; {closest(name, SCALES)}")
    return SCALES[name][0]
