"""Rows that the paper's tables lack and that separate its factors: each differs from one of its rows in one thing."""

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from prism_bench.baselines.table3 import PatchRow, set_transformer_of
from prism_bench.prism.conditioning.aggregators import Aggregator, CrossAttention, MeanMLP, MeanPool, ZeroCondition
from prism_bench.prism.conditioning.retrieval import RandomNeighbours, Retrieval, ShuffledNeighbours
from prism_bench.prism.patch_diffusion.patch_method import PatchMethod
from prism_bench.prism.variants.scale import Scale


@dataclass(frozen=True, kw_only=True)
class OtherNeighbours(PatchRow):
    """PRISM with other images of D in place of the nearest ones; the retrieval alone differs."""

    control: ClassVar[bool] = True
    annealed: ClassVar[bool] = True
    retrieval: ClassVar[type[Retrieval]]

    @override
    def method(self, scale: Scale) -> PatchMethod:
        own = scale.method.retrieval
        changed = self.retrieval(encoder=own.encoder, normalise=own.normalise, exclude_self=own.exclude_self)
        return super().method(scale).replace(retrieval=changed)


@dataclass(frozen=True, kw_only=True)
class RandomNeighbourPrism(OtherNeighbours, name="random-neighbours"):
    """Control: PRISM with random images of D in place of the nearest ones."""

    label: ClassVar[str] = "PRISM, random neighbours"
    retrieval: ClassVar[type[Retrieval]] = RandomNeighbours


@dataclass(frozen=True, kw_only=True)
class ShuffledNeighbourPrism(OtherNeighbours, name="shuffled-neighbours"):
    """Control: PRISM with every image's neighbours exchanged for those of another image."""

    label: ClassVar[str] = "PRISM, shuffled neighbours"
    retrieval: ClassVar[type[Retrieval]] = ShuffledNeighbours


@dataclass(frozen=True, kw_only=True)
class ZeroConditionPrism(PatchRow, name="zero-condition"):
    """Control: PRISM's U-Net with its conditioning input always zero."""

    label: ClassVar[str] = "PRISM, zero condition"
    control: ClassVar[bool] = True
    annealed: ClassVar[bool] = True
    aggregator: ClassVar[Aggregator | None] = ZeroCondition()


@dataclass(frozen=True, kw_only=True)
class PlainMeanRag(PatchRow, name="rag-plain"):
    """Control: RAG with the plain average of the embeddings, as the paper writes it, not scaled to their length."""

    label: ClassVar[str] = "RAG (plain average) + PatchD"
    control: ClassVar[bool] = True
    aggregator: ClassVar[Aggregator | None] = MeanPool(plain=True)


@dataclass(frozen=True, kw_only=True)
class MeanMLPRag(PatchRow, name="mean-equal-parameters"):
    """Control: ST + RAG with a mean and hidden layers of equal size in place of the Set Transformer."""

    label: ClassVar[str] = "Mean at equal parameters + RAG + PatchD"
    control: ClassVar[bool] = True

    @override
    def aggregator_at(self, scale: Scale) -> Aggregator:
        return MeanMLP(like=set_transformer_of(scale))


@dataclass(frozen=True, kw_only=True)
class CrossAttentionRag(PatchRow, name="cross-attention"):
    """Control: ST + RAG with RDM's cross-attention to the neighbours in place of the Set Transformer, equal in size."""

    label: ClassVar[str] = "Cross-attention (RDM) + RAG + PatchD"
    control: ClassVar[bool] = True

    @override
    def aggregator_at(self, scale: Scale) -> Aggregator:
        return CrossAttention(like=set_transformer_of(scale))
