"""The rows of the paper's Table 3, each a value made from the scale's PRISM, and the control the table lacks."""

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from prism_bench.prism.conditioning.aggregators import Aggregator, MeanPool, NoConditioning, SetTransformer
from prism_bench.prism.conditioning.schedules import Decreasing, Fixed
from prism_bench.prism.methods.method import AllImages, TrainingSet, TrainSplit
from prism_bench.prism.patch_diffusion.patch_method import PatchMethod
from prism_bench.prism.variants.scale import Scale
from prism_bench.prism.variants.variant import Variant


@dataclass(frozen=True, kw_only=True)
class PatchRow(Variant):
    """What rows of patch diffusion share: the scale's PRISM with a few parts of their own, which its members state."""

    aggregator: ClassVar[Aggregator | None] = None
    """None: the Set Transformer, at the scale's size."""
    training_set: ClassVar[TrainingSet] = TrainSplit()
    annealed: ClassVar[bool] = False
    """True: k_train falls from k_max to 1. Otherwise k is fixed, in training and sampling (paper section 6.1)."""

    def aggregator_at(self, scale: Scale) -> Aggregator:
        """The row's aggregator at the scale's size."""
        return self.aggregator or set_transformer_of(scale)

    @override
    def method(self, scale: Scale) -> PatchMethod:
        return scale.method.replace(
            aggregator=self.aggregator_at(scale),
            training_set=self.training_set,
            schedule=Decreasing(k_max=scale.k_max) if self.annealed else Fixed(k_train=scale.fixed_k),
        )

    @override
    def k_sample(self, scale: Scale) -> int:
        fixed = self.aggregator_at(scale).conditional and not self.annealed
        return scale.fixed_k if fixed else scale.k_sample


@dataclass(frozen=True, kw_only=True)
class PatchD(PatchRow, name="patchd"):
    """Patch diffusion without conditioning, trained on all images X."""

    label: ClassVar[str] = "PatchD"
    aggregator: ClassVar[Aggregator | None] = NoConditioning()
    training_set: ClassVar[TrainingSet] = AllImages()


@dataclass(frozen=True, kw_only=True)
class Rag(PatchRow, name="rag"):
    """PatchD + RAG: the mean of a fixed number of neighbours, in training and sampling."""

    label: ClassVar[str] = "RAG + PatchD"
    aggregator: ClassVar[Aggregator | None] = MeanPool()


@dataclass(frozen=True, kw_only=True)
class SetTransformerRag(PatchRow, name="st-rag"):
    """PatchD + RAG + ST: a Set Transformer over a fixed number of neighbours, in training and sampling."""

    label: ClassVar[str] = "ST + RAG + PatchD"


@dataclass(frozen=True, kw_only=True)
class Prism(PatchRow, name="prism"):
    """PRISM: Set Transformer, number of neighbours annealed from k_max to 1, one neighbour in sampling."""

    label: ClassVar[str] = "ST + RAG + PatchD + DS (PRISM)"
    annealed: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class PatchDOnTrain(PatchRow, name="patchd-x-train"):
    """Control: PatchD trained on X_train alone, as the other rows are, so that only one factor differs from RAG."""

    label: ClassVar[str] = "PatchD on X_train"
    control: ClassVar[bool] = True
    aggregator: ClassVar[Aggregator | None] = NoConditioning()


def set_transformer_of(scale: Scale) -> SetTransformer:
    """The scale's own Set Transformer where it has one (its size may be set), the paper's otherwise."""
    own = scale.method.aggregator
    return own if isinstance(own, SetTransformer) else SetTransformer()
