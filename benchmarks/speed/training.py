"""A training step and a forward pass on full images, beside the plain form of each and beside PatchD's.

The plain form is written out here in ordinary torch: convolutions for all that is one, normalisation and activation
apart, attention with all its keys, channels first in memory, Adam tensor by tensor, the average in a loop, and memory
filled before it is written, which is what torch does in its deterministic mode.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.utils.deterministic
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.speed.pairs import Missing, Row, Way
from prism_bench.experiments.paper.scales import LAPTOP, paper_method
from prism_bench.prism.conditioning.aggregator_networks import MAB
from prism_bench.prism.conditioning.aggregators import NoConditioning
from prism_bench.prism.conditioning.schedules import Fixed
from prism_bench.prism.engine.runtime import Runtime
from prism_bench.prism.methods.method import Gallery, TrainingData
from prism_bench.prism.patch_diffusion.cropping import coordinate_grid
from prism_bench.prism.patch_diffusion.network import Network, denoising_loss
from prism_bench.prism.patch_diffusion.patch_method import PatchMethod
from prism_bench.prism.patch_diffusion.patch_objective import PatchBatch, PatchObjective
from prism_bench.prism.patch_diffusion.patches import PatchSizes
from prism_bench.prism.patch_diffusion.unet import ResidualBlock, SelfAttention, UNet, positional_embedding
from prism_bench.prism.training.ranks import Ranks
from prism_bench.prism.training.state import State
from prism_bench.prism.training.steps import steps_of

IMAGES, DIM, RATE, DECAY = 512, 64, 1e-4, 0.99
FORWARD = 128
"""Full images of the forward pass."""
PUBLIC = Missing(
    label="Patch Diffusion's public code", why="no package, and a licence for other than commercial use: not to be had"
)


class Stepped(NamedTuple):
    """What a step gave."""

    loss: Tensor
    gradients: list[Tensor]


@dataclass(frozen=True)
class Size:
    """What a step is measured at."""

    words: str
    method: PatchMethod
    resolution: int
    rounds: int

    def rows(self) -> Iterator[Row]:
        """PatchD's step at both patch sizes, beside its plain form."""
        for side in (self.resolution // 2, self.resolution // 4):
            method = patchd(at_side(self.method, self.resolution, side))
            yield Row(
                work=f"a step of PatchD, {self.words}, patches of {side}, {method.training.batch} images",
                ours=Way(label="ours", run=step_of(method, self.resolution)),
                others=(PUBLIC, Way(label="the plain form", run=plain_step_of(method, self.resolution))),
                goal="1.15 of the public code",
                rounds=self.rounds,
                same=equal_steps,
            )


def rows() -> Iterator[Row]:
    """Steps at three sizes, PRISM's beside PatchD's, and a forward pass."""
    cifar = paper_method("cifar10")
    small = cifar.replace(
        denoiser=cifar.denoiser.replace(dropout=0.0),  # type: ignore[call-arg]
        training=cifar.training.replace(batch=8, precision="float32"),
    )
    yield from Size("tiny16 (16x16 pixels, the laptop's network)", LAPTOP.method, 16, 21).rows()
    yield from Size("tiny32 (32x32 pixels, the laptop's network)", LAPTOP.method, 32, 9).rows()
    yield from Size("CIFAR-10's network", small, 32, 5).rows()
    for side in (8, 4):
        for k in (8, 1):
            yield beside_patchd(side, k)
    yield forward()


def beside_patchd(side: int, k: int) -> Row:
    """PRISM's step and PatchD's, tiny16."""
    method = at_side(LAPTOP.method, 16, side)
    prism = method.replace(schedule=Fixed(k_train=k))
    share = 1.10 if side == 8 else 1.15
    return Row(
        work=f"a step of PRISM with k = {k}, tiny16, patches of {side}",
        ours=Way(label="PRISM", run=step_of(prism, 16)),
        others=(
            Way(label="PatchD (the work that PRISM adds is the rest)", run=step_of(patchd(method), 16)),
            Way(label="PRISM, the plain form", run=plain_step_of(prism, 16)),
        ),
        goal=f"{share:.2f} of PatchD's time at most: {1 / share:.2f}" if k > 1 else "",
        rounds=15,
    )


def forward() -> Row:
    """A forward pass of full images, as sampling takes 35 for each."""
    network = patchd(LAPTOP.method).network(16, 0, 0).eval()
    plain = PlainNetwork(copy.deepcopy(network).to(memory_format=torch.contiguous_format))
    rng = torch.Generator().manual_seed(0)
    noisy, sigma = torch.randn(FORWARD, 3, 16, 16, generator=rng), torch.full((FORWARD,), 0.7)
    grid = coordinate_grid(16).expand(FORWARD, -1, -1, -1)

    def run(net: nn.Module, *, filled: bool) -> Tensor:
        with torch.inference_mode(), deterministic(filled=filled):
            out: Tensor = net(noisy, sigma, grid, None)
        return out

    return Row(
        work=f"a forward pass of {FORWARD} full images, tiny16",
        ours=Way(label="ours", run=lambda: run(network, filled=False)),
        others=(PUBLIC, Way(label="the plain form", run=lambda: run(plain, filled=True))),
        goal="1.1 of the public code",
        rounds=11,
        same=lambda one, other: torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5),
    )


def at_side(method: PatchMethod, resolution: int, side: int) -> PatchMethod:
    """The method with patches of one size."""
    return method.replace(patches=PatchSizes(half=1.0 if side == resolution // 2 else 0.0))


def patchd(method: PatchMethod) -> PatchMethod:
    """The same without conditioning."""
    return method.replace(aggregator=NoConditioning())


def data_of(method: PatchMethod, resolution: int) -> TrainingData:
    """Noise: what a step costs does not depend on what is to be seen."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (IMAGES, 3, resolution, resolution), np.uint8)
    vectors = rng.standard_normal((IMAGES, DIM)).astype(np.float32)
    gallery = Gallery(vectors, rng.integers(0, IMAGES // 2, (IMAGES, 32)))
    ids = np.arange(IMAGES)
    conditional = method.aggregator.conditional
    return TrainingData(images, ids[IMAGES // 2 :], ids[: IMAGES // 2], gallery if conditional else None)


def made(method: PatchMethod, resolution: int) -> tuple[Network, PatchObjective]:
    """A network and what it learns."""
    data = data_of(method, resolution)
    network = method.network(resolution, DIM if method.aggregator.conditional else 0, 0).train()
    return network, PatchObjective(data, method._recipe, 0, Runtime())


def step_of(method: PatchMethod, resolution: int) -> Callable[[], Stepped]:
    """The steps of a training, one at each call: drawn, gathered, taken, averaged."""
    network, objective = made(method, resolution)
    average = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)
    state = State(network, average, objective.parameter_groups(network), RATE)
    autocast = method.training.autocast("cpu")
    steps = steps_of(network, objective, state.groups, autocast, seed=0, pieces=1, ranks=Ranks())
    turn = iter(range(10**9))

    def run() -> Stepped:
        step = next(turn)
        with deterministic(filled=False):
            (loss,) = steps.take(step, steps.gather(objective.draw(step, 0)), RATE)
            state.average_weights(DECAY)
        return Stepped(loss, [weight.grad for weight in network.parameters() if weight.grad is not None])

    return run


def plain_step_of(method: PatchMethod, resolution: int) -> Callable[[], Stepped]:
    """The same in its plain form."""
    network, objective = made(method, resolution)
    network.to(memory_format=torch.contiguous_format)
    plain, average = PlainNetwork(network), copy.deepcopy(network).requires_grad_(requires_grad=False)
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE, fused=True)
    turn = iter(range(10**9))

    def run() -> Stepped:
        step = next(turn)
        with deterministic(filled=True):
            batch = objective.gather(objective.draw(step, 0))
            first = PatchBatch(*(part if part is None else part.contiguous() for part in batch))
            condition = plain.condition(first.neighbours)
            loss = denoising_loss(plain, method.diffusion, *first[:4], condition)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            with torch.no_grad():
                for kept, weight in zip(average.parameters(), network.parameters(), strict=True):
                    kept.mul_(DECAY).add_(weight, alpha=1 - DECAY)
        return Stepped(loss.detach(), [weight.grad for weight in network.parameters() if weight.grad is not None])

    return run


def equal_steps(one: Stepped, other: Stepped) -> None:
    """Raises where losses, or gradients as one vector, differ by more than the rounding of float32."""
    torch.testing.assert_close(one.loss, other.loss, rtol=1e-4, atol=0.0)
    a, b = (torch.cat([part.reshape(-1) for part in it.gradients]) for it in (one, other))
    torch.testing.assert_close((a - b).norm() / b.norm(), torch.tensor(0.0), rtol=0.0, atol=1e-3)


@contextmanager
def deterministic(*, filled: bool) -> Iterator[None]:
    """Torch's deterministic mode, with memory filled before it is written or not."""
    mode, before = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(mode=True)
    torch.utils.deterministic.fill_uninitialized_memory = filled
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(mode)
        torch.utils.deterministic.fill_uninitialized_memory = before


class PlainNetwork(nn.Module):
    """The weights of a network, computed with in the plain form."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def condition(self, neighbours: Tensor | None) -> Tensor | None:
        """The Set Transformer."""
        if neighbours is None:
            return None
        aggregator = self.network.aggregator
        x = functional.normalize(neighbours, dim=-1) * neighbours.shape[-1] ** 0.5
        for block in aggregator.encoder:
            points = block.points.expand(len(x), -1, -1)
            x = plain_attention_block(block.spread, x, plain_attention_block(block.induce, points, x))
        pooled = plain_attention_block(aggregator.pool, aggregator.seed.expand(len(x), -1, -1), x)
        for block in aggregator.decoder:
            pooled = plain_attention_block(block, pooled, pooled)
        out: Tensor = aggregator.head(pooled[:, 0])
        return out

    def forward(self, noisy: Tensor, sigma: Tensor, coordinates: Tensor, condition: Tensor | None) -> Tensor:
        """See `Network`."""
        c = self.network.diffusion.coefficients(sigma)
        x = torch.cat([noisy * c.input[:, None, None, None], coordinates], dim=1)
        raw = plain_unet(self.network.unet, x, c.noise, condition)
        return c.skip[:, None, None, None] * noisy + c.out[:, None, None, None] * raw


def plain_attention_block(block: MAB, x: Tensor, y: Tensor) -> Tensor:
    """H = LN(Q + softmax(Q K / sqrt(d)) V), LN(H + rFF(H))."""
    query, width = block.query(x), block.query.out_features // block.heads
    q, k, v = (
        part.unflatten(2, (block.heads, width)).transpose(1, 2) for part in (query, block.key(y), block.value(y))
    )
    mixed = (q @ k.transpose(2, 3) / width**0.5).softmax(3) @ v
    h = block.norm_attention(query + block.projection(mixed.transpose(1, 2).flatten(2)))
    out: Tensor = block.norm_feed(h + functional.relu(block.feed(h)))
    return out


def plain_unet(unet: UNet, x: Tensor, c_noise: Tensor, condition: Tensor | None) -> Tensor:
    """The U-Net, block by block."""
    embedding = positional_embedding(c_noise, unet.channels)
    if unet.map_condition is not None:
        embedding = embedding + unet.map_condition(condition)
    for layer in unet.map_noise:
        embedding = functional.silu(layer(embedding))
    x = unet.conv_in(x)
    skips = [x]
    for block in unet.encoder:
        x = plain_block(block, x, embedding)
        skips.append(x)
    for block in unet.bottom:
        x = plain_block(block, x, embedding)
    for block in unet.decoder:
        x = plain_block(block, x if block.resample != "none" else torch.cat([x, skips.pop()], dim=1), embedding)
    out: Tensor = unet.conv_out(functional.silu(unet.norm_out(x)))
    return out


def plain_block(block: ResidualBlock, x: Tensor, embedding: Tensor) -> Tensor:
    """A residual block, with its self-attention where it has one."""
    resampled: Callable[[Tensor], Tensor] = {
        "none": lambda it: it,
        "down": lambda it: functional.avg_pool2d(it, 2),
        "up": lambda it: functional.interpolate(it, scale_factor=2, mode="nearest"),
    }[block.resample]
    h = block.conv_in(resampled(functional.silu(block.norm_in(x))))
    h = h + block.embed(embedding)[:, :, None, None]
    h = block.conv_out(block.dropout(functional.silu(block.norm_out(h))))
    x = resampled(x)
    x = ((x if block.skip is None else block.skip(x)) + h) * 0.5**0.5
    return x if block.attention is None else plain_self_attention(block.attention, x)


def plain_self_attention(attention: SelfAttention, x: Tensor) -> Tensor:
    """Softmax of all products of positions."""
    b, c, h, w = x.shape
    q, k, v = attention.qkv(attention.norm(x)).reshape(b, 3, c, h * w).unbind(1)
    weights = (q.transpose(1, 2) @ k / c**0.5).softmax(2)
    return (x + attention.out((v @ weights.transpose(1, 2)).reshape(b, c, h, w))) * 0.5**0.5
