"""A first stage that was trained before, from its file."""

from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

from prism_bench.baselines.rissole.first_stage.first_stage import (
    Autoencoder,
    FirstStage,
    first_stage_in,
    open_autoencoder,
)
from prism_bench.prism.engine.runtime import Report, Runtime
from prism_bench.prism.errors import InputError
from prism_bench.prism.methods.method import TrainingData
from prism_bench.prism.weights.user_files import OwnFiles


def _file(path: Path) -> Path:
    if not path.is_file():
        raise InputError(f"--first-stage {path}: no such file; name the model.safetensors of a trained first stage")
    return path


FILES = OwnFiles("first stage", "PRISM_BENCH_FIRST_STAGE", "--first-stage", _file)


@dataclass(frozen=True, kw_only=True)
class FirstStageFile(FirstStage, name="first-stage-file"):
    """A first stage trained before (`--first-stage`): its weights are taken over, and nothing is trained.

    file: "sha256:..." of its model.safetensors, which says what it is and at which resolution it was trained.
    """

    file: str = ""

    def own(self) -> FirstStage:
        """What the file holds; InputError where it is not known or holds no first stage."""
        return first_stage_in(FILES.find(self.file))[0]

    def check(self, resolution: int) -> None:
        """It must have been trained at this resolution."""
        path = FILES.find(self.file)
        own, trained_at = first_stage_in(path)
        if trained_at != resolution:
            raise InputError(
                f"the first stage {path} was trained at {trained_at}x{trained_at}, but the images are "
                f"{resolution}x{resolution}; use --resolution {trained_at}, or leave --first-stage out to train one"
            )
        own.check(resolution)

    @override
    def latent(self, resolution: int) -> tuple[int, int]:
        return self.own().latent(resolution)

    @override
    def autoencoder(self, resolution: int) -> Autoencoder:
        return self.own().autoencoder(resolution)

    def trained(
        self, data: TrainingData, *, seed: int, folder: Path, runtime: Runtime, report: Report
    ) -> tuple[FirstStage, Autoencoder]:
        """At once."""
        report(1, 1, "images")
        return self.own(), open_autoencoder(FILES.find(self.file))

    def training_flops(self, resolution: int, embedding_dim: int) -> float:
        """None are spent here; those of its own training are not known."""
        return 0.0

    @override
    def decoding_flops(self, resolution: int) -> float:
        return self.own().decoding_flops(resolution)

    @override
    def active(self, weight: str) -> bool:
        return self.own().active(weight)
