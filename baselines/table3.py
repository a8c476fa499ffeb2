"""The rows of the paper's Table 3, each a value made from the scale's PRISM, and the control the table lacks."""

from dataclasses import dataclass
from typing import ClassVar

from prism_bench.prism.conditioning.aggregators import MeanPool, NoConditioning, SetTransformer
from prism_bench.prism.conditioning.schedules import Decreasing, Fixed
from prism_bench.prism.methods.method import AllImages, Method, TrainSplit
from prism_bench.prism.variants.scale import Scale
from prism_bench.prism.variants.variant import Variant


@dataclass(frozen=True, kw_only=True)
class PatchD(Variant, name="patchd"):
    """Patch diffusion without conditioning, trained on all images X."""

    label: ClassVar[str] = "PatchD"

    def method(self, scale: Scale) -> Method:
        """No aggregator; the whole of X."""
        return scale.method.replace(
            aggregator=NoConditioning(), training_set=AllImages(), schedule=Fixed(k_train=scale.fixed_k)
        )


@dataclass(frozen=True, kw_only=True)
class Rag(Variant, name="rag"):
    """PatchD + RAG: the mean of a fixed number of neighbours, in training and sampling."""

    label: ClassVar[str] = "RAG + PatchD"

    def method(self, scale: Scale) -> Method:
        """Mean pooling at fixed k."""
        return scale.method.replace(
            aggregator=MeanPool(), training_set=TrainSplit(), schedule=Fixed(k_train=scale.fixed_k)
        )

    def k_sample(self, scale: Scale) -> int:
        """The k of training (paper section 6.1: fixed during both)."""
        return scale.fixed_k


@dataclass(frozen=True, kw_only=True)
class SetTransformerRag(Variant, name="st-rag"):
    """PatchD + RAG + ST: a Set Transformer over a fixed number of neighbours, in training and sampling."""

    label: ClassVar[str] = "ST + RAG + PatchD"

    def method(self, scale: Scale) -> Method:
        """The Set Transformer at fixed k."""
        return scale.method.replace(
            aggregator=set_transformer_of(scale), training_set=TrainSplit(), schedule=Fixed(k_train=scale.fixed_k)
        )

    def k_sample(self, scale: Scale) -> int:
        """The k of training."""
        return scale.fixed_k


@dataclass(frozen=True, kw_only=True)
class Prism(Variant, name="prism"):
    """PRISM: Set Transformer, number of neighbours annealed from k_max to 1, one neighbour in sampling."""

    label: ClassVar[str] = "ST + RAG + PatchD + DS (PRISM)"

    def method(self, scale: Scale) -> Method:
        """The Set Transformer with the decreasing schedule."""
        return scale.method.replace(
            aggregator=set_transformer_of(scale), training_set=TrainSplit(), schedule=Decreasing(k_max=scale.k_max)
        )


@dataclass(frozen=True, kw_only=True)
class PatchDOnTrain(Variant, name="patchd-x-train"):
    """Control: PatchD trained on X_train alone, as the other rows are, so that only one factor differs from RAG."""

    label: ClassVar[str] = "PatchD on X_train"
    control: ClassVar[bool] = True

    def method(self, scale: Scale) -> Method:
        """No aggregator; X_train."""
        return scale.method.replace(
            aggregator=NoConditioning(), training_set=TrainSplit(), schedule=Fixed(k_train=scale.fixed_k)
        )


def set_transformer_of(scale: Scale) -> SetTransformer:
    """The scale's own Set Transformer where it has one (its size may be set), the paper's otherwise."""
    own = scale.method.aggregator
    return own if isinstance(own, SetTransformer) else SetTransformer()
