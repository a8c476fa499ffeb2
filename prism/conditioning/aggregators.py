"""From a set of neighbour embeddings to one conditioning vector (paper section 4.3).

What a member builds stands in aggregator_networks.py: a plan needs no torch.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from prism_bench.prism.component import Component, Json, added
from prism_bench.prism.errors import InputError
from prism_bench.prism.sources import OF_ITSELF, Sources, given, left_open

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Aggregator(Component, family="aggregator"):
    """Builds the module that maps neighbours [b, k, d] and their mask [b, k] to a vector [b, output_dim].

    Laws: permutation-invariant in k, any k >= 1, masked slots may hold anything finite, and an element of the
    result has about unit variance at initialisation whatever k is. A member with `tokens` maps them to one token each,
    [b, k, output_dim], which the U-Net attends to; a masked slot's token is zero, which is no neighbour.
    """

    conditional: ClassVar[bool] = True
    """False for the one member that ignores neighbours; such a method needs no retrieval."""
    tokens: ClassVar[bool] = False
    """True where the U-Net attends to the neighbours one by one, in place of one vector."""

    def output_dim(self, embedding_dim: int, channels: int) -> int:
        """Width of the conditioning vector: 4C, unless a member has another; 0 where there is none."""
        return 4 * channels

    @abstractmethod
    def build(self, embedding_dim: int, channels: int) -> "nn.Module":
        """The module, with fresh parameters. `channels` is the U-Net's base width C."""

    def build_beside(self, embedding_dim: int, channels: int, unet_parameters: int) -> "nn.Module":
        """The module, where the U-Net has so many parameters more for its tokens; one sized to a total makes room."""
        return self.build(embedding_dim, channels)


@dataclass(frozen=True, kw_only=True)
class NoConditioning(Aggregator, name="none"):
    """No conditioning: Patch Diffusion."""

    sources: ClassVar[Sources] = {OF_ITSELF: given("section 6.1: PatchD")}

    conditional: ClassVar[bool] = False

    def output_dim(self, embedding_dim: int, channels: int) -> int:
        """0."""
        return 0

    def build(self, embedding_dim: int, channels: int) -> "nn.Module":
        """A module without parameters, never called."""
        from torch import nn

        return nn.Identity()


@dataclass(frozen=True, kw_only=True)
class MeanPool(Aggregator, name="mean"):
    """The average of the k embeddings (the RAG row of Table 3), brought back to the length of one embedding.

    plain: the average as it is, as in the paper's section 6.1.
    Differs from the paper, unless plain: a mean of k unit vectors is shorter than one of them, so that training with
    one k and sampling with another would change the size of the condition; the mean is scaled to length sqrt(d), that
    is to unit variance per element.
    """

    sources: ClassVar[Sources] = {
        "plain": given(
            "section 6.1", True, otherwise="the paper averages; here the average is scaled to length sqrt(d) once more"
        )
    }

    plain: bool = added(False, before=False)

    def output_dim(self, embedding_dim: int, channels: int) -> int:
        """The embedding's own width."""
        return embedding_dim

    def build(self, embedding_dim: int, channels: int) -> "nn.Module":
        """A module without parameters."""
        from prism_bench.prism.conditioning.aggregator_networks import Mean

        return Mean(plain=self.plain)


@dataclass(frozen=True, kw_only=True)
class SetTransformer(Aggregator, name="set_transformer"):
    """ISAB, ISAB, PMA, SAB, SAB, Linear (Lee et al. 2019, arXiv 1810.00825), hidden width 4C.

    Attributes: inducing (points of each ISAB), heads, projection (a linear map of the concatenated heads of each
    block). About 2.1M parameters at width 256 and 7.7M at 512 without the projection, 2.6M and 9.5M with it.
    Differs from the paper: its section 3.3 projects the heads, its section 5.3 counts 2M and 7M more parameters, which
    the form without comes nearer to; so that is the default, and the form of Lee et al.'s own code.
    """

    sources: ClassVar[Sources] = {
        OF_ITSELF: left_open(
            "blocks and widths are chosen for the paper's model sizes (section 5.3: 2M and 7M more); every embedding "
            "is scaled to length sqrt(d) first, so that one drives the network as much whatever the encoder"
        ),
        "inducing": left_open("the number of inducing points m of section 3.3"),
        "heads": left_open("the number of attention heads of section 3.3"),
        "projection": given(
            "section 3.3",
            True,
            otherwise="section 3.3 projects the concatenated heads; without, the sizes are nearer to section 5.3's",
        ),
    }

    inducing: int = 32
    heads: int = 4
    projection: bool = added(False, before=False)

    def __post_init__(self) -> None:
        if self.inducing < 1 or self.heads < 1:
            raise InputError(
                f"set_transformer needs inducing >= 1 and heads >= 1, not {self.inducing} and {self.heads}"
            )

    def build(self, embedding_dim: int, channels: int) -> "nn.Module":
        """Raises InputError where the heads do not divide the width 4C."""
        from prism_bench.prism.conditioning.aggregator_networks import Attention, SetTransformerNetwork

        width = 4 * channels
        if width % self.heads:
            raise InputError(f"aggregator.heads = {self.heads} does not divide the width 4C = {width}; use 1, 2 or 4")
        return SetTransformerNetwork(embedding_dim, width, self.inducing, Attention(self.heads, self.projection))

    def parameters(self, embedding_dim: int, channels: int) -> int:
        """How many it has, for those that are to match it; InputError as `build`."""
        import torch

        with torch.device("meta"):
            return sum(p.numel() for p in self.build(embedding_dim, channels).parameters())


@dataclass(frozen=True, kw_only=True)
class ZeroCondition(Aggregator, name="zero"):
    """Control: the conditioning pathway of the Set Transformer rows, always fed with zeros."""

    def build(self, embedding_dim: int, channels: int) -> "nn.Module":
        """A module without parameters."""
        from prism_bench.prism.conditioning.aggregator_networks import Zeros

        return Zeros(4 * channels)


@dataclass(frozen=True, kw_only=True)
class MeanMLP(Aggregator, name="mean-mlp"):
    """Control: the mean of the embeddings and two hidden layers, with as many parameters as a Set Transformer.

    It tells the Set Transformer's parameters from its attention. like: the Set Transformer to be matched; the hidden
    width is the one that comes nearest to its number of parameters.
    """

    like: SetTransformer = SetTransformer()

    def build(self, embedding_dim: int, channels: int) -> "nn.Module":
        """Raises InputError where the Set Transformer to be matched cannot be built."""
        from prism_bench.prism.conditioning.aggregator_networks import MeanMLPNetwork

        target = self.like.parameters(embedding_dim, channels)
        width = 4 * channels
        # hidden^2 + (d + 4C + 2) hidden + 4C parameters: two hidden layers and the way in and out.
        linear = embedding_dim + width + 2
        hidden = round(((linear**2 + 4 * (target - width)) ** 0.5 - linear) / 2)
        return MeanMLPNetwork(embedding_dim, max(hidden, 1), width)


@dataclass(frozen=True, kw_only=True)
class CrossAttention(Aggregator, name="cross_attention"):
    """Each neighbour a token that the U-Net attends to, as in RDM (Blattmann et al. 2022, arXiv:2204.11824).

    like: the Set Transformer to be matched in parameters, those of the U-Net's cross-attention included; a hidden
    layer between embedding and token is sized for it.
    Differs from RDM: the U-Net is EDM's, attention has one head as its self-attention has, and there is no guidance.
    """

    tokens: ClassVar[bool] = True
    retired: ClassVar[dict[str, Json]] = {"spent": 0}
    like: SetTransformer = SetTransformer()

    def build(self, embedding_dim: int, channels: int) -> "nn.Module":
        """Raises InputError where the Set Transformer to be matched cannot be built."""
        return self.build_beside(embedding_dim, channels, 0)

    @override
    def build_beside(self, embedding_dim: int, channels: int, unet_parameters: int) -> "nn.Module":
        from prism_bench.prism.conditioning.aggregator_networks import Tokens

        width = 4 * channels
        target = self.like.parameters(embedding_dim, channels) - unet_parameters
        # (d + 1) hidden + (hidden + 1) 4C parameters.
        hidden = round((target - width) / (embedding_dim + 1 + width))
        return Tokens(embedding_dim, max(hidden, 1), width)
