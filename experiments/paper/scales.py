"""The scales: how much computing an experiment gets."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from prism_bench.baselines.rissole.ddpm import DDIM
from prism_bench.baselines.rissole.first_stage.vqgan import VQGAN
from prism_bench.baselines.rissole.method import Rissole
from prism_bench.baselines.rissole.presets import RissoleRepo, RissoleSmall, clean
from prism_bench.baselines.rissole.unet import BlockUNet
from prism_bench.experiments.paper.published import TITLES, paper_numbers
from prism_bench.prism.conditioning.aggregators import SetTransformer
from prism_bench.prism.conditioning.retrieval import Nearest
from prism_bench.prism.conditioning.schedules import Decreasing
from prism_bench.prism.data.official.afhqv2 import AFHQv2
from prism_bench.prism.data.official.celeba import CelebA
from prism_bench.prism.data.official.cifar10 import Cifar10
from prism_bench.prism.data.official.imagenet100 import ImageNet100
from prism_bench.prism.data.official.paper_dataset import PaperDataset
from prism_bench.prism.data.toyfaces import ToyFaces
from prism_bench.prism.encoders.clip import CLIP
from prism_bench.prism.encoders.efficientnet import EfficientNetLite0
from prism_bench.prism.encoders.inception import InceptionClean, InceptionLegacy
from prism_bench.prism.encoders.pca import PixelsPCA
from prism_bench.prism.errors import InputError, closest
from prism_bench.prism.methods.method import AllImages
from prism_bench.prism.methods.sampling import DPMSolverPP2M, Heun
from prism_bench.prism.metrics.coherence import Coherence
from prism_bench.prism.metrics.far_dependence import FarDependence
from prism_bench.prism.metrics.frechet import FrechetDistance
from prism_bench.prism.metrics.frechet_parts import FrechetParts
from prism_bench.prism.metrics.kid import KernelDistance
from prism_bench.prism.metrics.memorisation import Memorisation
from prism_bench.prism.patch_diffusion.denoiser import DDPMpp
from prism_bench.prism.patch_diffusion.patch_method import PatchMethod
from prism_bench.prism.training.loop import Training
from prism_bench.prism.variants.variant import Scale, System

METRICS = (
    FrechetDistance(encoder=EfficientNetLite0(input_size=224)),
    KernelDistance(encoder=EfficientNetLite0(input_size=224)),
)

# FID in both modes: the paper does not say which; EDM's own script is closest to the legacy one.
PAPER_METRICS = (
    FrechetDistance(encoder=InceptionClean()),
    FrechetDistance(encoder=InceptionLegacy()),
    KernelDistance(encoder=InceptionClean()),
    FarDependence(),
    FrechetParts(encoder=InceptionClean()),
    Memorisation(encoder=InceptionClean()),
)

PAPER_DATASETS: Mapping[str, PaperDataset] = {
    "cifar10": Cifar10(),
    "celeba": CelebA(),
    "imagenet100": ImageNet100(),
    "afhqv2": AFHQv2(),
}


def paper_method(panel: str) -> PatchMethod:
    """PRISM with the hyperparameters of the paper's Table 6 for one of its datasets (shipped as data)."""
    told = paper_numbers()["table6"][panel]
    return PatchMethod(
        aggregator=SetTransformer(),
        schedule=Decreasing(k_max=told["k_max"]),
        retrieval=Nearest(encoder=CLIP()),
        denoiser=DDPMpp(
            channels=told["channels"],
            multipliers=tuple(told["channel_mult"]),
            blocks=told["blocks"],
            attention=tuple(told["attn_resolutions"]),
            dropout=told["dropout"],
        ),
        training=Training(
            images=int(told["duration_mimg"] * 1e6),
            batch=told["batch"],
            learning_rate=told["lr"],
            rampup_images=int(told["lr_rampup_mimg"] * 1e6),
            final_fraction=1.0,
            ema_halflife=int(told["ema_halflife_mimg"] * 1e6),
            # The paper says FP16; BF16 needs no loss scaling and has the speed.
            precision="bfloat16" if told["fp16"] else "float32",
        ),
    )


def paper_scale(panel: str) -> Scale:
    """One of the paper's datasets at the paper's scale (Table 6, and sections 5 and 6 for the rest)."""
    k_max = int(paper_numbers()["table6"][panel]["k_max"])
    return Scale(
        dataset=PAPER_DATASETS[panel],
        method=paper_method(panel),
        sampler=Heun(steps=18),
        metrics=PAPER_METRICS,
        samples=50_000,
        k_max=k_max,
        fixed_k=k_max // 2,
        few_size=int(paper_numbers()["table4"]["train"]),
        smaller_sizes=tuple(row["train"] for row in paper_numbers()["table2"][1:]),
        k_samples=tuple(paper_numbers()["table4"]["k_sample"]),
        rissole=rissole_on(panel),
    )


def rissole_on(panel: str) -> System:
    """The authors' RISSOLE; they halve 64x64 images once more, and take 20 neighbours of them."""
    told = RissoleRepo()
    if PAPER_DATASETS[panel].resolution == 32:
        return told
    return told.replace(method=Rissole(first_stage=VQGAN(training_set=AllImages(), channels=(16, 32)), k=20))


_TINY = Training(batch=16, learning_rate=2e-3, rampup_images=0, final_fraction=0.1, ema_halflife=64)
TINY_RISSOLE = RissoleSmall(
    method=clean(
        Rissole(
            first_stage=VQGAN(
                training_set=AllImages(),
                channels=(8,),
                latent_channels=4,
                codebook=32,
                heads=1,
                head_dim=8,
                adversarial=0.0,
                flip=False,
                training=_TINY,
            ),
            k=2,
            flip=False,
            unet=BlockUNet(channels=(8, 16), res_per_level=1, time_sin=8, time_dim=16, heads=1, head_dim=8),
            training=_TINY,
        )
    ),
    sampler=DDIM(steps=8),
    budget="equal",
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
    metrics=(
        FrechetDistance(encoder=EfficientNetLite0(input_size=64)),
        KernelDistance(encoder=EfficientNetLite0(input_size=64)),
        Coherence(),
        FarDependence(),
        FrechetParts(encoder=EfficientNetLite0(input_size=64)),
        Memorisation(encoder=EfficientNetLite0(input_size=64)),
    ),
    samples=64,
    k_max=4,
    fixed_k=2,
    rissole=TINY_RISSOLE,
)

LAPTOP = Scale(
    dataset=ToyFaces(resolution=16, size=6000),
    method=PatchMethod(
        aggregator=SetTransformer(inducing=8),
        schedule=Decreasing(k_max=8),
        retrieval=Nearest(encoder=PixelsPCA(components=64)),
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
        FarDependence(),
        FrechetParts(encoder=EfficientNetLite0(input_size=128)),
        Memorisation(encoder=EfficientNetLite0(input_size=128)),
    ),
    samples=1000,
    k_max=8,
    fixed_k=4,
    # The whole of the paper on two cores in an evening: the sweep and the costly full-resolution rows are shortened.
    sweep_length=1 / 3,
    hybrid_length=1 / 3,
    rissole=RissoleSmall(budget="equal"),
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
    k_max=16,
    fixed_k=8,
    k_samples=(1, 4, 8, 12, 16, 20),
    rissole=RissoleRepo(budget="equal"),
)


@dataclass(frozen=True)
class Scales:
    """One word of `--scale`: what it is for, and the scale of each of the paper's datasets (or of any: one for all)."""

    summary: str
    panels: Mapping[str, Scale] = field(default_factory=dict)
    whole: Scale | None = None

    def on(self, panel: str) -> Scale:
        """The scale that a panel of an experiment is computed at."""
        return self.whole if self.whole is not None else self.panels[panel]


SCALES = {
    "smoke": Scales("tests: the whole of Table 3 in under a minute on two cores", whole=SMOKE),
    "laptop": Scales("a first look: one seed of Table 3 in about fifteen minutes on two cores", whole=LAPTOP),
    "gpu": Scales("a real check in a day on one GPU: CIFAR-10 or your images, 3 million images a training", whole=GPU),
    "paper": Scales(
        "the paper: its four datasets, Table 6 to the letter, 50,000 samples; days on a GPU",
        panels={panel: paper_scale(panel) for panel in TITLES},
    ),
}


def scale_named(name: str) -> Scales:
    """The scale called `name`; InputError with the closest names otherwise."""
    if name not in SCALES:
        raise InputError(f"unknown scale {name!r}; {closest(name, SCALES)}")
    return SCALES[name]
