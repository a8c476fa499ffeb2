"""The one class behind PatchD, RAG, ST+RAG and PRISM: patch diffusion with an aggregator and a schedule."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from prism_bench.prism.component import added
from prism_bench.prism.conditioning.aggregators import Aggregator, SetTransformer
from prism_bench.prism.conditioning.retrieval import Nearest, Retrieval
from prism_bench.prism.conditioning.schedules import Decreasing, Schedule
from prism_bench.prism.engine.runtime import Report, Runtime
from prism_bench.prism.errors import InputError
from prism_bench.prism.methods.method import Fitted, Method, TrainingData
from prism_bench.prism.methods.sampling import ODESampler, Sampler
from prism_bench.prism.patch_diffusion.denoiser import DDPMpp, Denoiser
from prism_bench.prism.patch_diffusion.diffusion import EDM
from prism_bench.prism.patch_diffusion.flops import Networks
from prism_bench.prism.patch_diffusion.initial_weights import begin_from, check_fits, embedding_dim
from prism_bench.prism.patch_diffusion.patches import Patches, PatchSizes
from prism_bench.prism.patch_diffusion.recipe import Recipe, step_rng
from prism_bench.prism.rng import seed_for
from prism_bench.prism.sources import Sources, given
from prism_bench.prism.training.adam import Training

if TYPE_CHECKING:
    from prism_bench.prism.patch_diffusion.network import Network

WEIGHTS = "model.safetensors"


@dataclass(frozen=True, kw_only=True)
class PatchMethod(Method, name="patch"):
    """Patch diffusion conditioned on retrieved neighbours; the defaults are PRISM on CIFAR-10.

    With aggregator `none` it is Patch Diffusion; with `mean` and a fixed k the paper's RAG; with the Set Transformer
    ST+RAG; with the decreasing schedule PRISM.

    initial_weights: the digest ("sha256:...") of exported weights that training begins from. Their average does, too,
    for what is exported is an average; the optimiser, its ramp-up and the count of images begin afresh.
    """

    sources: ClassVar[Sources] = {
        "aggregator": given("sections 4.3 and 6.1"),
        "schedule": given("sections 4.4 and 6.2"),
        "retrieval": given("sections 4.1 and 4.2"),
        "patches": given("section 4.2, equation 1"),
        "denoiser": given("section 5.2"),
        "diffusion": given("section 5.2"),
        "training": given("appendix A, Table 6"),
        "initial_weights": given(
            "appendix A, Table 6, which names no training before",
            None,
            otherwise="training begins from weights that were exported",
        ),
    }

    sampled_by: ClassVar[type] = ODESampler
    aggregator: Aggregator = SetTransformer()
    schedule: Schedule = Decreasing(k_max=16)
    retrieval: Retrieval = Nearest()
    patches: Patches = PatchSizes()
    denoiser: Denoiser = DDPMpp()
    diffusion: EDM = EDM()
    training: Training = Training()
    initial_weights: str | None = added(None, before=None)

    @property
    def conditioning(self) -> Retrieval | None:
        """The retrieval, where the aggregator looks at neighbours."""
        return self.retrieval if self.aggregator.conditional else None

    @property
    @override
    def pieces(self) -> int:
        return self.training.pieces

    @property
    def largest_k(self) -> int:
        """The schedule's largest k; 0 without conditioning."""
        return self.schedule.largest if self.aggregator.conditional else 0

    @override
    def check(self, resolution: int) -> None:
        if resolution % 4:
            raise InputError(f"resolution {resolution} is not divisible by 4, as quarter-size patches need")
        self.denoiser.check(resolution, tuple(self.patches.sides(resolution)))

    def check_training(self, resolution: int, seed: int) -> None:
        """See the family; the first step takes as many patches as its seed draws. Weights to begin from must fit."""
        self.training.check_learns(self._recipe.step(resolution, step_rng(seed, 0), 0)[1])
        if self.initial_weights is not None:
            dim = 0
            if self.conditioning is not None:
                # A fitted encoder's vectors may come out shorter, which shows when they are there.
                dim = self.conditioning.encoder.features or embedding_dim(self.initial_weights) or 1
            import torch

            with torch.device("meta"):
                network = self.network(resolution, dim, seed)
            check_fits(network, self.initial_weights)

    @property
    @override
    def sampled_in(self) -> str:
        return self.training.precision

    @property
    def _recipe(self) -> Recipe:
        return Recipe(self.training, self.patches, self.schedule, self.diffusion)

    def training_flops(self, resolution: int, embedding_dim: int) -> float:
        """With the schedule's largest k all the time."""
        counted = Networks(self.denoiser, self.aggregator, resolution, embedding_dim)
        return counted.training_flops(self.patches, self.largest_k) * self.training.images

    @override
    def sampling_flops(self, sampler: Sampler, resolution: int, embedding_dim: int, k_sample: int) -> float:
        counted = Networks(self.denoiser, self.aggregator, resolution, embedding_dim)
        return counted.sampling_flops(sampler.evaluations, max(k_sample, 1))

    def trainable(self, resolution: int, embedding_dim: int) -> int:
        """Denoiser and aggregator."""
        return sum(weight.numel() for weight in self.network(resolution, embedding_dim, 0).parameters())

    def network(self, resolution: int, embedding_dim: int, seed: int) -> "Network":
        """The network with its initial weights, a function of the seed alone."""
        import torch

        from prism_bench.prism.patch_diffusion.network import Network

        width = self.aggregator.output_dim(embedding_dim, self.denoiser.channels)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_for(seed, "initial weights"))
            if self.aggregator.tokens:
                unet = self.denoiser.build(resolution, width, tokens=True)
            else:
                unet = self.denoiser.build(resolution, width)
            more = self._token_parameters(resolution, width) if self.aggregator.tokens else 0
            aggregator = self.aggregator.build_beside(embedding_dim, self.denoiser.channels, more)
        network = Network(unet, aggregator, self.diffusion, conditional=self.aggregator.conditional)
        # One layout for all patch sizes. On a CPU convolutions are 1.0 to 1.6 times as fast in it and GroupNorm is
        # slower: in all a step takes 0.95 to 1.02 of its time in the other layout, a full image's forward pass 0.9.
        return network.to(memory_format=torch.channels_last)

    def _token_parameters(self, resolution: int, width: int) -> int:
        """Parameters that the U-Net needs more for tokens than for one vector."""
        import torch

        with torch.device("meta"):
            builds = (self.denoiser.build(resolution, width, tokens=True), self.denoiser.build(resolution, width))
            attending, mapping = (sum(p.numel() for p in unet.parameters()) for unet in builds)
        return attending - mapping

    @override
    def fit(self, data: TrainingData, *, seed: int, folder: Path, runtime: Runtime, report: Report) -> None:
        from safetensors.torch import save_file

        from prism_bench.prism.patch_diffusion.patch_objective import PatchObjective
        from prism_bench.prism.training.checkpoint import Checkpoints
        from prism_bench.prism.training.loop import train

        dim = 0 if data.gallery is None else data.gallery.vectors.shape[1]
        network = self.network(data.images.shape[-1], dim, seed)
        if self.initial_weights is not None:
            begin_from(network, self.initial_weights)
        network.to(runtime.device)
        objective = PatchObjective(data, self._recipe, seed, runtime)
        if not objective.is_resident:
            report.note = (
                f"images and embeddings take more than {runtime.data_share:.0%} of the device's free memory, so that "
                "what a step needs of them is sent from the host"
            )
        average = train(network, objective, self.training, seed=seed, folder=folder, runtime=runtime, report=report)
        save_file({name: value.cpu().contiguous() for name, value in average.state_dict().items()}, folder / WEIGHTS)
        Checkpoints(folder, runtime.checkpoint_seconds).remove()

    @override
    def load(self, folder: Path, *, resolution: int, embedding_dim: int, runtime: Runtime) -> Fitted:
        from safetensors.torch import load_file

        from prism_bench.prism.patch_diffusion.fitted import FittedPatchMethod

        network = self.network(resolution, embedding_dim, seed=0)
        network.load_state_dict(load_file(folder / WEIGHTS))
        network.to(runtime.device).eval()
        return FittedPatchMethod(network, resolution, runtime, self.training)
