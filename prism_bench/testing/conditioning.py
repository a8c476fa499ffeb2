"""Laws of schedules, aggregators, retrievals and patches."""

from collections import Counter
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from prism_bench.prism.conditioning.aggregators import Aggregator
from prism_bench.prism.conditioning.neighbour_search import QUERY_BATCH
from prism_bench.prism.conditioning.retrieval import Retrieval
from prism_bench.prism.conditioning.schedules import Schedule
from prism_bench.prism.errors import InputError
from prism_bench.prism.patch_diffusion.patches import Patches
from prism_bench.prism.patch_diffusion.unet import TokenAttention
from prism_bench.testing.component import ComponentContract

DIM, CHANNELS = 12, 8


class ScheduleContract(ComponentContract):
    """k_train is an integer in [1, largest], a function of (progress, epoch, seed)."""

    def test_k_is_an_integer_between_one_and_the_largest(self, member: Schedule) -> None:
        """At a thousand moments from the first image to the last, over epochs and seeds."""
        for step in range(1, 1001):
            k = member.k(step / 1000, epoch=step % 17, seed=step % 3)
            assert isinstance(k, int), f"k is {k!r}"
            assert 1 <= k <= member.largest, f"k = {k} at progress {step / 1000}, but largest = {member.largest}"

    def test_the_same_moment_gives_the_same_k(self, member: Schedule) -> None:
        """No hidden state: a resumed training asks again."""
        moments = [(step / 100, step % 7, step % 3) for step in range(1, 101)]
        forwards = [member.k(p, epoch=epoch, seed=seed) for p, epoch, seed in moments]
        backwards = [member.k(p, epoch=epoch, seed=seed) for p, epoch, seed in reversed(moments)]
        assert forwards == backwards[::-1]


class _Attended(nn.Module):
    """What a network makes of tokens: positions that look at them."""

    def __init__(self, tokens: nn.Module, width: int) -> None:
        super().__init__()
        self.tokens, self.attention = tokens, TokenAttention(CHANNELS, width)
        nn.init.orthogonal_(self.attention.out.weight)
        self.positions = torch.randn(1, CHANNELS, 2, 2)

    def forward(self, neighbours: Tensor, mask: Tensor) -> Tensor:
        positions = self.positions.expand(len(neighbours), -1, -1, -1)
        out: Tensor = self.attention(positions, self.tokens(neighbours, mask))
        return out


class AggregatorContract(ComponentContract):
    """A function of the set of unmasked neighbours, for any k >= 1.

    ignores_neighbours: True on the test class of a control that is given neighbours and looks away.
    """

    ignores_neighbours: ClassVar[bool] = False

    def module(self, member: Aggregator, dim: int = DIM) -> nn.Module:
        """Its module, the same at every call; where it makes tokens, what a U-Net's attention makes of them."""
        if not member.conditional:
            pytest.skip(f"{member.name} takes no neighbours")
        torch.manual_seed(0)
        module = member.build(dim, CHANNELS).eval()
        return _Attended(module, member.output_dim(dim, CHANNELS)).eval() if member.tokens else module

    def test_the_width_is_the_stated_one(self, member: Aggregator) -> None:
        """[b, output_dim], or [b, k, output_dim] for tokens; 0 without conditioning."""
        width = member.output_dim(DIM, CHANNELS)
        assert (width > 0) is member.conditional
        if member.conditional:
            out = member.build(DIM, CHANNELS).eval()(torch.randn(2, 3, DIM), torch.ones(2, 3, dtype=torch.bool))
            assert out.shape == ((2, 3, width) if member.tokens else (2, width))
            assert out.dtype == torch.float32

    @pytest.mark.parametrize("k", [1, 2, 5, 9])
    def test_order_and_garbage_in_masked_slots_change_nothing(self, member: Aggregator, k: int) -> None:
        """Neighbours are a set, and a masked slot holds none."""
        module, rng = self.module(member), torch.Generator().manual_seed(k)
        neighbours, mask = torch.randn(2, k, DIM, generator=rng), torch.ones(2, k, dtype=torch.bool)
        plain = module(neighbours, mask)
        order = torch.randperm(k, generator=rng).flip(0)
        torch.testing.assert_close(module(neighbours[:, order], mask), plain, rtol=1e-4, atol=1e-5)
        padded = torch.cat([neighbours, 1e3 * torch.randn(2, 3, DIM, generator=rng)], dim=1)
        wide = torch.cat([mask, torch.zeros(2, 3, dtype=torch.bool)], dim=1)
        torch.testing.assert_close(module(padded, wide), plain, rtol=1e-4, atol=1e-5)

    def test_every_neighbour_matters_and_a_masked_one_does_not(self, member: Aggregator) -> None:
        """By the gradient of a random projection of the result."""
        module = self.module(member)
        neighbours = torch.randn(1, 5, DIM, generator=torch.Generator().manual_seed(1), requires_grad=True)
        out = module(neighbours, torch.tensor([[True, True, True, True, False]]))
        if not out.requires_grad:
            assert self.ignores_neighbours
            return
        (out * torch.randn(out.shape, generator=torch.Generator().manual_seed(2))).sum().backward()
        size = torch.zeros(5) if neighbours.grad is None else neighbours.grad.abs().sum(-1)[0]
        assert size[4] == 0
        assert bool((size[:4] > 1e-8).all()) is not self.ignores_neighbours

    @pytest.mark.parametrize("k", [1, 4, 32])
    @pytest.mark.parametrize("scale", [0.01, 1.0, 20.0])
    def test_an_element_has_about_unit_variance_whatever_k_and_the_encoder(
        self, member: Aggregator, k: int, scale: float
    ) -> None:
        """At initialisation, so that no k and no encoder drowns the network's other inputs."""
        if self.ignores_neighbours:
            pytest.skip(f"{member.name} looks away from its neighbours")
        module = self.module(member, dim=64)
        inner = module.tokens if isinstance(module, _Attended) else module
        neighbours = scale * torch.randn(64, k, 64, generator=torch.Generator().manual_seed(0))
        out = inner(neighbours, torch.ones(64, k, dtype=torch.bool))
        assert 0.5 < float(out.detach().square().mean()) < 2.0


class RetrievalContract(ComponentContract):
    """k distinct images of D for every image of X, the same in every run, nested in k."""

    def table(self, member: Retrieval, k: int, n: int = 60, gallery: int = 40) -> np.ndarray:
        """The neighbours of n random vectors among the first ones of a random order."""
        rng = np.random.default_rng(0)
        vectors = member.prepare(rng.standard_normal((n, 5)).astype(np.float32))
        ids = np.sort(rng.permutation(n)[:gallery]).astype(np.int64)
        table: np.ndarray = member.search(vectors, ids, k)(np.arange(n))
        assert table.dtype == np.int64
        assert table.shape == (n, k)
        assert np.isin(table, ids).all(), "a neighbour is no image of D"
        return table

    @pytest.mark.parametrize("exclude_self", [False, True])
    def test_neighbours_are_distinct_and_top_k_lists_are_nested(self, member: Retrieval, exclude_self: bool) -> None:
        """One table serves every smaller k."""
        member = member.replace(exclude_self=exclude_self)
        wide = self.table(member, 12)
        assert all(len(set(row)) == 12 for row in wide.tolist()), "an image stands twice among its neighbours"
        assert (wide[:, :5] == self.table(member, 5)).all(), "the first 5 of 12 are not the first 5"

    def test_the_same_vectors_give_the_same_table(self, member: Retrieval) -> None:
        """Random ones too: a draw is a function of the image."""
        assert (self.table(member, 7) == self.table(member, 7)).all()

    def test_a_row_does_not_depend_on_those_asked_with_it(self, member: Retrieval) -> None:
        """Nor on their order: an interrupted table goes on where it stopped."""
        rng = np.random.default_rng(1)
        embeddings, ids = rng.standard_normal((60, 5)).astype(np.float32), np.arange(5, 45)
        vectors = member.prepare(embeddings)
        assert (
            np.concatenate([member.prepare(embeddings[row : row + 7], row) for row in range(0, 60, 7)]) == vectors
        ).all()
        rows = rng.permutation(60)
        search = member.search(vectors, ids, 4)
        assert (search(rows) == search(np.arange(60))[rows]).all()
        assert (np.concatenate([member.search(vectors, ids, 4)(rows[:1]), search(rows[1:])]) == search(rows)).all()

    def test_every_query_is_answered(self, member: Retrieval) -> None:
        """More than one block of them."""
        assert len(self.table(member, 2, n=QUERY_BATCH + 3)) == QUERY_BATCH + 3

    def test_more_neighbours_than_d_holds_are_refused(self, member: Retrieval) -> None:
        """Before anything is computed."""
        with pytest.raises(InputError, match="41 neighbours are asked for but the retrieval set D holds 40"):
            self.table(member, 41)


class PatchesContract(ComponentContract):
    """Which patches a step trains on agrees with the shares that costs are counted by."""

    @pytest.mark.parametrize("resolution", [16, 64])
    def test_the_shares_of_the_sides_are_those_of_the_draws(self, member: Patches, resolution: int) -> None:
        """Over 10,000 evenly spaced pairs of draw and progress; a share may be off by one column of them."""
        points = (np.arange(100) + 0.5) / 100
        draws = [member.choose(resolution, float(u), float(p)) for u in points for p in points]
        sides = member.sides(resolution)
        assert sum(sides.values()) == pytest.approx(1)
        counts = Counter(side for side, _ in draws)
        assert set(counts) == set(sides)
        for side, share in sides.items():
            assert 0 < side <= resolution
            assert counts[side] / len(draws) == pytest.approx(share, abs=0.02)

    def test_the_batch_factor_is_that_of_the_side(self, member: Patches) -> None:
        """At least 1, and 1 throughout where patches do not enlarge the batch."""
        for enlarge in (True, False):
            patches = member.replace(enlarge=enlarge)
            for p in np.linspace(0, 0.999, 50):
                side, factor = patches.choose(32, float(p), float(p))
                assert factor == patches.factor(32, side) >= 1
                assert enlarge or factor == 1
