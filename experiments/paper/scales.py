"""The scales: how much computing an experiment gets."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from prism_bench.baselines.systems import OtherSystems, Preset
from prism_bench.experiments.paper.hybrid_table5 import HybridTable5
from prism_bench.experiments.paper.published import TITLES, paper_numbers
from prism_bench.experiments.paper.schedule_sweep import ScheduleSweep
from prism_bench.experiments.paper.table2 import Table2
from prism_bench.prism.conditioning.aggregators import SetTransformer
from prism_bench.prism.conditioning.retrieval import Nearest
from prism_bench.prism.conditioning.schedules import Decreasing
from prism_bench.prism.data.official.afhqv2 import AFHQv2
from prism_bench.prism.data.official.celeba import CelebA
from prism_bench.prism.data.official.cifar10 import Cifar10
from prism_bench.prism.data.official.imagenet100 import ImageNet100
from prism_bench.prism.data.official.paper_dataset import PaperDataset
from prism_bench.prism.data.toyfaces import ToyFaces
from prism_bench.prism.encoders.base import Encoder
from prism_bench.prism.encoders.clip import CLIP
from prism_bench.prism.encoders.efficientnet import EfficientNetLite0
from prism_bench.prism.encoders.inception import InceptionClean, InceptionLegacy
from prism_bench.prism.encoders.pca import PixelsPCA
from prism_bench.prism.errors import InputError, closest
from prism_bench.prism.methods.sampling import DPMSolverPP2M, Heun, UniPC
from prism_bench.prism.metrics.base import Metric
from prism_bench.prism.metrics.coherence import Coherence
from prism_bench.prism.metrics.far_dependence import FarDependence
from prism_bench.prism.metrics.frechet import FrechetDistance
from prism_bench.prism.metrics.frechet_parts import FrechetParts
from prism_bench.prism.metrics.kid import KernelDistance
from prism_bench.prism.metrics.memorisation import Memorisation
from prism_bench.prism.patch_diffusion.denoiser import DDPMpp
from prism_bench.prism.patch_diffusion.patch_method import PatchMethod
from prism_bench.prism.training.adam import Training
from prism_bench.prism.variants.scale import Scale


def distances(encoder: Encoder, *others: Metric) -> tuple[Metric, ...]:
    """How far samples are from real images to an encoder; other metrics stand after the first."""
    return (FrechetDistance(encoder=encoder), *others, KernelDistance(encoder=encoder))


def structure(encoder: Encoder) -> tuple[Metric, ...]:
    """What distances do not tell: whether far parts agree, the distances to D and X_train apart, and copies."""
    return (FarDependence(), FrechetParts(encoder=encoder), Memorisation(encoder=encoder))


def toy_metrics(input_size: int) -> tuple[Metric, ...]:
    """What samples of toyfaces are measured by, through a small encoder: their attributes are known.

    FD over principal components of the pixels stands beside the encoder's: noise on single pixels hardly moves it, and
    parts that do not belong together do.
    """
    encoder = EfficientNetLite0(input_size=input_size)
    pixels = FrechetDistance(encoder=PixelsPCA())
    return (*distances(encoder), pixels, Coherence(), *structure(encoder))


METRICS = distances(EfficientNetLite0(input_size=224))

# FID in both modes: the paper does not say which; EDM's own script is closest to the legacy one.
PAPER_METRICS = (
    *distances(InceptionClean(), FrechetDistance(encoder=InceptionLegacy())),
    *structure(InceptionClean()),
)

PAPER_DATASETS: Mapping[str, PaperDataset] = {
    "cifar10": Cifar10(),
    "celeba": CelebA(),
    "imagenet100": ImageNet100(),
    "afhqv2": AFHQv2(),
}


def paper_method(panel: str) -> PatchMethod:
    """PRISM with the hyperparameters of the paper's Table 6 for one of its datasets (shipped as data)."""
    column = paper_numbers()["table6"][panel]
    return PatchMethod(
        aggregator=SetTransformer(),
        schedule=Decreasing(k_max=column["k_max"]),
        retrieval=Nearest(encoder=CLIP()),
        denoiser=DDPMpp(
            channels=column["channels"],
            multipliers=tuple(column["channel_mult"]),
            blocks=column["blocks"],
            attention=tuple(column["attn_resolutions"]),
            dropout=column["dropout"],
        ),
        training=Training(
            images=int(column["duration_mimg"] * 1e6),
            batch=column["batch"],
            learning_rate=column["lr"],
            rampup_images=int(column["lr_rampup_mimg"] * 1e6),
            final_fraction=1.0,
            ema_halflife=int(column["ema_halflife_mimg"] * 1e6),
            # The paper says FP16; BF16 needs no loss scaling and has the speed.
            precision="bfloat16" if column["fp16"] else "float32",
        ),
    )


def paper_scale(panel: str) -> Scale:
    """One of the paper's datasets at the paper's scale (Table 6, and sections 5 and 6 for the rest)."""
    method, numbers = paper_method(panel), paper_numbers()
    # RISSOLE's authors halve 64x64 images once more, and take 20 neighbours of them.
    small = PAPER_DATASETS[panel].resolution == 32
    settings = () if small else ("method.first_stage.channels=16,32", "method.k=20")
    return Scale(
        dataset=PAPER_DATASETS[panel],
        method=method,
        sampler=Heun(steps=18),
        metrics=PAPER_METRICS,
        samples=50_000,
        fixed_k=method.schedule.largest // 2,
        parts=(
            OtherSystems(rissole=Preset("rissole_repo", settings=settings)),
            Table2(smaller_sizes=tuple(row["train"] for row in numbers["table2"][1:])),
            ScheduleSweep(few_size=int(numbers["table4"]["train"]), k_samples=tuple(numbers["table4"]["k_sample"])),
            HybridTable5(),
        ),
    )


TINY_RISSOLE = Preset(
    "rissole_small",
    budget="equal",
    settings=(
        "method.k=2",
        "method.unet.channels=8,16",
        "method.unet.res_per_level=1",
        "method.unet.time_sin=8",
        "method.unet.time_dim=16",
        "method.unet.heads=1",
        "method.unet.head_dim=8",
        "method.first_stage.channels=8",
        "method.first_stage.codebook=32",
        "method.first_stage.heads=1",
        "method.first_stage.head_dim=8",
        *(
            f"{network}.training.{setting}"
            for network in ("method", "method.first_stage")
            for setting in ("images=32000000", "rampup_images=0", "final_fraction=0.1", "ema_halflife=64")
        ),
        "sampler=ddim",
        "sampler.steps=8",
    ),
)

SMOKE = Scale(
    dataset=ToyFaces(resolution=16, size=256),
    method=PatchMethod(
        aggregator=SetTransformer(inducing=4, heads=2),
        schedule=Decreasing(k_max=4),
        retrieval=Nearest(encoder=PixelsPCA(components=16)),
        denoiser=DDPMpp(channels=8, multipliers=(1, 2), blocks=1, attention=(8,), dropout=0.0),
        training=Training(
            images=4096, batch=16, learning_rate=2e-3, rampup_images=512, final_fraction=0.1, ema_halflife=512
        ),
    ),
    sampler=DPMSolverPP2M(steps=8),
    metrics=toy_metrics(input_size=64),
    samples=64,
    fixed_k=2,
    parts=(OtherSystems(rissole=TINY_RISSOLE), Table2(), ScheduleSweep(), HybridTable5()),
)

LAPTOP = Scale(
    dataset=ToyFaces(resolution=16, size=6000),
    method=PatchMethod(
        aggregator=SetTransformer(inducing=8),
        schedule=Decreasing(k_max=8),
        retrieval=Nearest(encoder=PixelsPCA(components=64)),
        denoiser=DDPMpp(channels=32, multipliers=(1, 2), blocks=1, attention=(8,), dropout=0.0),
        # A small batch: at this budget the number of steps decides. The ramp-up takes the paper's share of the
        # training, 10 of 32 million images: with a short one the Set Transformer is lost (docs/laptop-scale.md).
        training=Training(
            images=240_000, batch=16, learning_rate=4e-3, rampup_images=75_000, final_fraction=0.0, ema_halflife=5_000
        ),
    ),
    sampler=UniPC(steps=12),
    metrics=toy_metrics(input_size=128),
    samples=1000,
    fixed_k=4,
    # The whole of the paper on two cores in an evening: the sweep and the costly full-resolution rows are shortened.
    parts=(
        OtherSystems(rissole=Preset("rissole_small", budget="equal")),
        Table2(),
        ScheduleSweep(sweep_length=1 / 3),
        HybridTable5(hybrid_length=1 / 3),
    ),
)

GPU = Scale(
    dataset=Cifar10(),
    method=paper_method("cifar10").replace(
        training=paper_method("cifar10").training.replace(
            images=3_000_000, batch=256, rampup_images=200_000, final_fraction=0.0, ema_halflife=100_000
        )
    ),
    sampler=Heun(steps=18),
    metrics=PAPER_METRICS,
    samples=10_000,
    fixed_k=8,
    parts=(
        OtherSystems(rissole=Preset("rissole_repo", budget="equal")),
        Table2(),
        ScheduleSweep(k_samples=(1, 4, 8, 12, 16, 20)),
        HybridTable5(),
    ),
)


@dataclass(frozen=True)
class Scales:
    """One word of `--scale`: the scale of each of the paper's datasets, or of any: one for all."""

    panels: Mapping[str, Scale] = field(default_factory=dict)
    whole: Scale | None = None

    def on(self, panel: str) -> Scale:
        """The scale that a panel of an experiment is computed at."""
        return self.whole if self.whole is not None else self.panels[panel]


SCALES = {
    "smoke": Scales(whole=SMOKE),
    "laptop": Scales(whole=LAPTOP),
    "gpu": Scales(whole=GPU),
    "paper": Scales(panels={panel: paper_scale(panel) for panel in TITLES}),
}


def scale_named(name: str) -> Scales:
    """The scale called `name`; InputError with the closest names otherwise."""
    if name not in SCALES:
        raise InputError(f"unknown scale {name!r}; {closest(name, SCALES)}")
    return SCALES[name]
