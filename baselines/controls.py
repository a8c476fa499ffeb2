"""Rows that the paper's tables lack and that separate its factors: each differs from one of its rows in one thing."""

from dataclasses import dataclass
from typing import ClassVar

from prism_bench.baselines.table3 import Prism, SetTransformerRag, set_transformer_of
from prism_bench.prism.conditioning.aggregators import CrossAttention, MeanMLP, ZeroCondition
from prism_bench.prism.conditioning.retrieval import RandomNeighbours, Retrieval, ShuffledNeighbours
from prism_bench.prism.methods.method import Method
from prism_bench.prism.variants.scale import Scale
from prism_bench.prism.variants.variant import Variant


@dataclass(frozen=True, kw_only=True)
class RandomNeighbourPrism(Variant, name="random-neighbours"):
    """Control: PRISM with random images of D in place of the nearest ones."""

    label: ClassVar[str] = "PRISM, random neighbours"
    control: ClassVar[bool] = True

    def method(self, scale: Scale) -> Method:
        """The retrieval alone differs."""
        return _with_retrieval(RandomNeighbours, scale)


@dataclass(frozen=True, kw_only=True)
class ShuffledNeighbourPrism(Variant, name="shuffled-neighbours"):
    """Control: PRISM with every image's neighbours exchanged for those of another image."""

    label: ClassVar[str] = "PRISM, shuffled neighbours"
    control: ClassVar[bool] = True

    def method(self, scale: Scale) -> Method:
        """The retrieval alone differs."""
        return _with_retrieval(ShuffledNeighbours, scale)


@dataclass(frozen=True, kw_only=True)
class ZeroConditionPrism(Variant, name="zero-condition"):
    """Control: PRISM's U-Net with its conditioning input always zero."""

    label: ClassVar[str] = "PRISM, zero condition"
    control: ClassVar[bool] = True

    def method(self, scale: Scale) -> Method:
        """The aggregator alone differs."""
        return _prism(scale).replace(aggregator=ZeroCondition())


@dataclass(frozen=True, kw_only=True)
class MeanMLPRag(Variant, name="mean-equal-parameters"):
    """Control: ST + RAG with a mean and hidden layers of equal size in place of the Set Transformer."""

    label: ClassVar[str] = "Mean at equal parameters + RAG + PatchD"
    control: ClassVar[bool] = True

    def method(self, scale: Scale) -> Method:
        """The aggregator alone differs from ST + RAG."""
        return SetTransformerRag().method(scale).replace(aggregator=MeanMLP(like=set_transformer_of(scale)))

    def k_sample(self, scale: Scale) -> int:
        """The k of training."""
        return scale.fixed_k


@dataclass(frozen=True, kw_only=True)
class CrossAttentionRag(Variant, name="cross-attention"):
    """Control: ST + RAG with RDM's cross-attention to the neighbours in place of the Set Transformer, equal in size."""

    label: ClassVar[str] = "Cross-attention (RDM) + RAG + PatchD"
    control: ClassVar[bool] = True

    def method(self, scale: Scale) -> Method:
        """The aggregator alone differs from ST + RAG."""
        return SetTransformerRag().method(scale).replace(aggregator=CrossAttention(like=set_transformer_of(scale)))

    def k_sample(self, scale: Scale) -> int:
        """The k of training."""
        return scale.fixed_k


def _prism(scale: Scale) -> Method:
    return Prism().method(scale)


def _with_retrieval(kind: type[Retrieval], scale: Scale) -> Method:
    own = scale.method.retrieval
    changed = kind(encoder=own.encoder, normalise=own.normalise, exclude_self=own.exclude_self)
    return _prism(scale).replace(retrieval=changed)
