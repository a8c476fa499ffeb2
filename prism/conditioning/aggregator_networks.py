"""The modules behind the aggregators: neighbours [b, k, d] and their mask [b, k] in, a vector or tokens out."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from typing_extensions import override


def unit_variance(neighbours: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
    """Scale each embedding to length sqrt(d): unit variance per element, whatever the encoder's own scale."""
    scaled: Tensor = nn.functional.normalize(neighbours, dim=-1) * neighbours.shape[-1] ** 0.5
    return scaled


class Mean(nn.Module):
    """The mean of the neighbours that are there, scaled to unit variance, or plain."""

    def __init__(self, *, plain: bool = False) -> None:
        super().__init__()
        self.plain = plain

    @override
    def forward(self, neighbours: Float[Tensor, "b k d"], mask: Bool[Tensor, "b k"]) -> Float[Tensor, "b d"]:
        kept = unit_variance(neighbours) * mask[:, :, None]
        mean: Tensor = kept.sum(1) / mask.sum(1, keepdim=True)
        return mean if self.plain else unit_variance(mean)


class Zeros(nn.Module):
    """Zeros, whatever the neighbours."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    @override
    def forward(self, neighbours: Float[Tensor, "b k d"], mask: Bool[Tensor, "b k"]) -> Float[Tensor, "b w"]:
        return neighbours.new_zeros(len(neighbours), self.width)


class MeanMLPNetwork(nn.Module):
    """Layers on the mean."""

    def __init__(self, embedding_dim: int, hidden: int, width: int) -> None:
        super().__init__()
        self.mean = Mean()
        self.layers = nn.Sequential(
            nn.Linear(embedding_dim, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, width)
        )
        # Out of the layers comes unit variance at initialisation, as out of every aggregator.
        self.norm = nn.LayerNorm(width, elementwise_affine=False)

    @override
    def forward(self, neighbours: Float[Tensor, "b k d"], mask: Bool[Tensor, "b k"]) -> Float[Tensor, "b w"]:
        out: Tensor = self.norm(self.layers(self.mean(neighbours, mask)))
        return out


class Tokens(nn.Module):
    """Each neighbour by itself, through two layers."""

    def __init__(self, embedding_dim: int, hidden: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(embedding_dim, hidden), nn.SiLU(), nn.Linear(hidden, width))
        # As out of every aggregator comes unit variance at initialisation.
        self.norm = nn.LayerNorm(width, elementwise_affine=False)

    @override
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


class SetTransformerNetwork(nn.Module):
    """ISAB, ISAB, PMA, SAB, SAB, Linear (Lee et al. 2019); see `SetTransformer`."""

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

    @override
    def forward(self, neighbours: Float[Tensor, "b k d"], mask: Bool[Tensor, "b k"]) -> Float[Tensor, "b w"]:
        x = unit_variance(neighbours)
        for block in self.encoder:
            x = block(x, mask)
        pooled = self.pool(self.seed, x, mask)
        for block in self.decoder:
            pooled = block(pooled, pooled)
        out: Tensor = self.head(pooled.squeeze(1))
        return out
