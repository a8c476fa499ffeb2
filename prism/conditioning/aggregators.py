"""From a set of neighbour embeddings to one conditioning vector (paper section 4.3)."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from typing_extensions import override

from prism_bench.prism.component import Component, Json, added
from prism_bench.prism.errors import InputError
from prism_bench.prism.sources import OF_ITSELF, Sources, given, left_open


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
    def build(self, embedding_dim: int, channels: int) -> nn.Module:
        """The module, with fresh parameters. `channels` is the U-Net's base width C."""

    def build_beside(self, embedding_dim: int, channels: int, unet_parameters: int) -> nn.Module:
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

    def build(self, embedding_dim: int, channels: int) -> nn.Module:
        """A module without parameters, never called."""
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

    def build(self, embedding_dim: int, channels: int) -> nn.Module:
        """A module without parameters."""
        return _Mean(plain=self.plain)


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

    def build(self, embedding_dim: int, channels: int) -> nn.Module:
        """Raises InputError where the heads do not divide the width 4C."""
        width = 4 * channels
        if width % self.heads:
            raise InputError(f"aggregator.heads = {self.heads} does not divide the width 4C = {width}; use 1, 2 or 4")
        return _SetTransformer(embedding_dim, width, self.inducing, Attention(self.heads, self.projection))

    def parameters(self, embedding_dim: int, channels: int) -> int:
        """How many it has, for those that are to match it; InputError as `build`."""
        with torch.device("meta"):
            return sum(p.numel() for p in self.build(embedding_dim, channels).parameters())


@dataclass(frozen=True, kw_only=True)
class ZeroCondition(Aggregator, name="zero"):
    """Control: the conditioning pathway of the Set Transformer rows, always fed with zeros."""

    def build(self, embedding_dim: int, channels: int) -> nn.Module:
        """A module without parameters."""
        return _Zero(4 * channels)


@dataclass(frozen=True, kw_only=True)
class MeanMLP(Aggregator, name="mean-mlp"):
    """Control: the mean of the embeddings and two hidden layers, with as many parameters as a Set Transformer.

    It tells the Set Transformer's parameters from its attention. like: the Set Transformer to be matched; the hidden
    width is the one that comes nearest to its number of parameters.
    """

    like: SetTransformer = SetTransformer()

    def build(self, embedding_dim: int, channels: int) -> nn.Module:
        """Raises InputError where the Set Transformer to be matched cannot be built."""
        target = self.like.parameters(embedding_dim, channels)
        width = 4 * channels
        # hidden^2 + (d + 4C + 2) hidden + 4C parameters: two hidden layers and the way in and out.
        linear = embedding_dim + width + 2
        hidden = round(((linear**2 + 4 * (target - width)) ** 0.5 - linear) / 2)
        return _MeanMLP(embedding_dim, max(hidden, 1), width)


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

    def build(self, embedding_dim: int, channels: int) -> nn.Module:
        """Raises InputError where the Set Transformer to be matched cannot be built."""
        return self.build_beside(embedding_dim, channels, 0)

    @override
    def build_beside(self, embedding_dim: int, channels: int, unet_parameters: int) -> nn.Module:
        width = 4 * channels
        target = self.like.parameters(embedding_dim, channels) - unet_parameters
        # (d + 1) hidden + (hidden + 1) 4C parameters.
        hidden = round((target - width) / (embedding_dim + 1 + width))
        return _Tokens(embedding_dim, max(hidden, 1), width)


def unit_variance(neighbours: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
    """Scale each embedding to length sqrt(d): unit variance per element, whatever the encoder's own scale."""
    scaled: Tensor = nn.functional.normalize(neighbours, dim=-1) * neighbours.shape[-1] ** 0.5
    return scaled


class _Mean(nn.Module):
    def __init__(self, *, plain: bool = False) -> None:
        super().__init__()
        self.plain = plain

    def forward(self, neighbours: Float[Tensor, "b k d"], mask: Bool[Tensor, "b k"]) -> Float[Tensor, "b d"]:
        kept = unit_variance(neighbours) * mask[:, :, None]
        mean: Tensor = kept.sum(1) / mask.sum(1, keepdim=True)
        return mean if self.plain else unit_variance(mean)


class _Zero(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, neighbours: Float[Tensor, "b k d"], mask: Bool[Tensor, "b k"]) -> Float[Tensor, "b w"]:
        return neighbours.new_zeros(len(neighbours), self.width)


class _MeanMLP(nn.Module):
    def __init__(self, embedding_dim: int, hidden: int, width: int) -> None:
        super().__init__()
        self.mean = _Mean()
        self.layers = nn.Sequential(
            nn.Linear(embedding_dim, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, width)
        )
        # Out of the layers comes unit variance at initialisation, as out of every aggregator.
        self.norm = nn.LayerNorm(width, elementwise_affine=False)

    def forward(self, neighbours: Float[Tensor, "b k d"], mask: Bool[Tensor, "b k"]) -> Float[Tensor, "b w"]:
        out: Tensor = self.norm(self.layers(self.mean(neighbours, mask)))
        return out


class _Tokens(nn.Module):
    def __init__(self, embedding_dim: int, hidden: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(embedding_dim, hidden), nn.SiLU(), nn.Linear(hidden, width))
        # As out of every aggregator comes unit variance at initialisation.
        self.norm = nn.LayerNorm(width, elementwise_affine=False)

    def forward(self, neighbours: Float[Tensor, "b k d"], mask: Bool[Tensor, "b k"]) -> Float[Tensor, "b k w"]:
        out: Tensor = self.norm(self.layers(unit_variance(neighbours)))
        return torch.where(mask[:, :, None], out, torch.zeros_like(out))


class Attention(NamedTuple):
    """How a block attends: with how many heads, and whether they are projected once they are concatenated."""

    heads: int
    projection: bool = False


class MAB(nn.Module):
    """Multihead attention block: H = LN(Q + Multihead(Q, Y, Y)), out = LN(H + rFF(H)) (Lee et al. 2019, eq. 6-7).

    The residual is taken in the projected space, as in the authors' architecture, so that widths may differ.
    """

    def __init__(self, query_dim: int, key_dim: int, width: int, attention: Attention) -> None:
        super().__init__()
        self.heads = attention.heads
        self.query = nn.Linear(query_dim, width)
        self.key = nn.Linear(key_dim, width)
        self.value = nn.Linear(key_dim, width)
        self.feed = nn.Linear(width, width)
        self.norm_attention = nn.LayerNorm(width)
        self.norm_feed = nn.LayerNorm(width)
        self.projection = nn.Linear(width, width) if attention.projection else nn.Identity()

    def forward(
        self, x: Float[Tensor, "b_or_1 n i"], y: Float[Tensor, "b m j"], mask: Bool[Tensor, "b m"] | None = None
    ) -> Float[Tensor, "b n w"]:
        """x attends to y; masked (False) slots of y get no weight. Learned points come as a batch of one."""
        query = self.query(x)
        if y.shape[1] == 1:
            # A softmax over one key is 1, whatever the query; so its gradient is 0, not the rounding of something.
            mixed = self.value(y)
        elif len(query) < len(y):
            mixed = self._mixed_for_points(query.squeeze(0), y, mask)
        else:
            mixed = self._mixed(query, y, mask)
        h = self.norm_attention(query + self.projection(mixed))
        out: Tensor = self.norm_feed(h + nn.functional.relu(self.feed(h)))
        return out

    def _mixed(
        self, query: Float[Tensor, "b n w"], y: Float[Tensor, "b m j"], mask: Bool[Tensor, "b m"] | None
    ) -> Float[Tensor, "b n w"]:
        b, n, width = query.shape
        projected = (query, self.key(y), self.value(y))
        q, k, v = (t.reshape(b, -1, self.heads, width // self.heads).transpose(1, 2) for t in projected)
        allowed = None if mask is None else mask[:, None, None, :]
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        return mixed.transpose(1, 2).reshape(b, n, width)

    def _mixed_for_points(
        self, points: Float[Tensor, "n w"], y: Float[Tensor, "b m j"], mask: Bool[Tensor, "b m"] | None
    ) -> Float[Tensor, "b n w"]:
        """The same where all sets are asked by the same points: q (K y) = (q K) y, and q K is computed once for all.

        The keys' bias adds the same to all scores of a point, which a softmax does not see.
        """
        (b, m, dim), (n, width) = y.shape, points.shape
        part = width // self.heads
        queries = points.reshape(n, self.heads, part).transpose(0, 1) * part**-0.5
        asking = (queries @ self.key.weight.reshape(self.heads, part, dim)).reshape(self.heads * n, dim)
        scores = nn.functional.linear(y, asking)
        if mask is not None:
            scores = scores.masked_fill(~mask[:, :, None], float("-inf"))
        weights = scores.softmax(1).transpose(1, 2).reshape(b, self.heads, n, m)
        mixed: Tensor = weights @ self.value(y).reshape(b, m, self.heads, part).transpose(1, 2)
        return mixed.transpose(1, 2).reshape(b, n, width)


class ISAB(nn.Module):
    """Induced set attention: MAB(X, MAB(I, X)) with learned inducing points I (Lee et al. 2019, eq. 9-10)."""

    def __init__(self, input_dim: int, width: int, inducing: int, attention: Attention) -> None:
        super().__init__()
        self.points = nn.Parameter(torch.empty(1, inducing, width))
        nn.init.xavier_uniform_(self.points)
        self.induce = MAB(width, input_dim, width, attention)
        self.spread = MAB(input_dim, width, width, attention)

    def forward(self, x: Float[Tensor, "b n i"], mask: Bool[Tensor, "b n"]) -> Float[Tensor, "b n w"]:
        """One summary per inducing point, then every element attends to the summaries."""
        out: Tensor = self.spread(x, self.induce(self.points, x, mask))
        return out


class _SetTransformer(nn.Module):
    def __init__(self, embedding_dim: int, width: int, inducing: int, attention: Attention) -> None:
        super().__init__()
        first, second = (ISAB(entering, width, inducing, attention) for entering in (embedding_dim, width))
        self.encoder = nn.ModuleList([first, second])
        self.seed = nn.Parameter(torch.empty(1, 1, width))
        nn.init.xavier_uniform_(self.seed)
        self.pool = MAB(width, width, width, attention)
        self.decoder = nn.ModuleList([MAB(width, width, width, attention), MAB(width, width, width, attention)])
        self.head = nn.Linear(width, width)
        # The blocks end in a layer norm; an orthogonal head keeps its unit variance at initialisation.
        nn.init.orthogonal_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, neighbours: Float[Tensor, "b k d"], mask: Bool[Tensor, "b k"]) -> Float[Tensor, "b w"]:
        x = unit_variance(neighbours)
        for block in self.encoder:
            x = block(x, mask)
        pooled = self.pool(self.seed, x, mask)
        for block in self.decoder:
            pooled = block(pooled, pooled)
        out: Tensor = self.head(pooled.squeeze(1))
        return out
