"""Every law of the contracts fails on a member that breaks it."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from prism_bench import testing
from prism_bench.baselines.table3 import Prism
from prism_bench.baselines.trivial import Trivial
from prism_bench.prism.component import Component
from prism_bench.prism.conditioning.aggregators import Aggregator, MeanPool
from prism_bench.prism.conditioning.retrieval import Retrieval
from prism_bench.prism.conditioning.schedules import Fixed, Schedule
from prism_bench.prism.data.base import AgreeingRegions, Box, Dataset, Images
from prism_bench.prism.data.toyfaces import ToyFaces
from prism_bench.prism.encoders.base import Encoder
from prism_bench.prism.methods.method import Method, TrainingSet
from prism_bench.prism.methods.sampling import Heun, ODESampler, Sampler
from prism_bench.prism.metrics.base import FeatureMetric, Measurement, Value
from prism_bench.prism.patch_diffusion.denoiser import DDPMpp, Denoiser
from prism_bench.prism.patch_diffusion.patch_method import PatchMethod
from prism_bench.prism.patch_diffusion.patches import Patches, PatchSizes
from prism_bench.prism.variants.variant import Variant
from prism_bench.testing import (
    AggregatorContract,
    ComponentContract,
    DatasetContract,
    DenoiserContract,
    EncoderContract,
    MethodContract,
    MetricContract,
    ODESamplerContract,
    PatchesContract,
    RetrievalContract,
    SamplerContract,
    ScheduleContract,
    TrainingSetContract,
    VariantContract,
)
from prism_bench.testing.methods import train

TURN = iter(range(10**9))
"""Hidden state, which no member may have."""


def broken(base: type[Component], **members: Any) -> Any:
    """A value of a class without a name, so that it joins no family's list."""
    kind = type(f"Broken{base.__name__}", (base,), {**members, "__doc__": "Broken."})
    return dataclass(frozen=True, kw_only=True)(kind)()


def prop(value: object) -> property:
    return property(lambda _: value)


def fails(law: Callable[..., None], *arguments: Any) -> None:
    """The law, called as pytest calls it, does not hold."""
    contract = {kind.__name__: kind for kind in CONTRACTS}[law.__qualname__.partition(".")[0]]
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        law(contract(), *arguments)


@pytest.fixture
def lists() -> Iterator[Component]:
    """A member that holds a list, which is no frozen value and comes back from JSON as a tuple."""

    @dataclass(frozen=True, kw_only=True)
    class Lists(Schedule, name="holds-a-list"):
        """Broken."""

        values: Any = None

        def k(self, progress: float, *, epoch: int = 0, seed: int = 0) -> int:
            return 1

        @property
        def largest(self) -> int:
            return 1

    yield Lists(values=[1])
    del Component.members["schedule"]["holds-a-list"]


def test_a_member_is_a_value(lists: Component) -> None:
    with pytest.raises(TypeError, match="unhashable"):
        ComponentContract().test_it_is_a_frozen_value(lists)
    fails(ComponentContract.test_its_json_comes_back, lists)
    ComponentContract().test_its_json_comes_back(Fixed())


def test_a_member_is_known_by_its_name_and_needs_no_argument() -> None:
    with pytest.raises(KeyError):
        ComponentContract().test_it_is_a_named_member_of_its_family(broken(Schedule, k=None, largest=None))

    @dataclass(frozen=True, kw_only=True)
    class Needs(Retrieval):
        more: int

        def search(self, *_: Any) -> Any: ...

    with pytest.raises(TypeError, match="more"):
        ComponentContract().test_it_builds_with_no_arguments(Needs(more=1))


def test_no_field_is_left_out_of_the_digest() -> None:
    silent = broken(Patches, choose=None, to_json=lambda _: {"component": "patches/silent"})
    fails(ComponentContract.test_every_field_enters_the_digest, silent)


# --- schedules, retrievals, patches ---------------------------------------------------------------------------------


def schedule(k: Callable[[float], Any], largest: int = 4) -> Any:
    return broken(Schedule, k=lambda _, progress, epoch=0, seed=0: k(progress), largest=prop(largest))


def retrieval(row: Callable[[Any, int], Any]) -> Any:
    """row: (gallery, k) -> the neighbours of every image."""

    def search(_: Any, vectors: Any, gallery: Any, k: int, threads: int = 1) -> Any:
        return lambda rows: np.stack([np.asarray(row(gallery, k)) for _ in rows])

    return broken(Retrieval, search=search)


def _patches(**members: Any) -> Any:
    own = {"choose": PatchSizes.choose, **members}
    return broken(Patches, **own)


@pytest.mark.parametrize(
    ("law", "arguments"),
    [
        (ScheduleContract.test_k_is_an_integer_between_one_and_the_largest, [schedule(lambda _: 1.5)]),
        (ScheduleContract.test_k_is_an_integer_between_one_and_the_largest, [schedule(lambda p: int(4 * p))]),
        (ScheduleContract.test_k_is_an_integer_between_one_and_the_largest, [schedule(lambda _: 5)]),
        (ScheduleContract.test_the_same_moment_gives_the_same_k, [schedule(lambda _: next(TURN))]),
        (
            RetrievalContract.test_neighbours_are_distinct_and_top_k_lists_are_nested,
            [retrieval(lambda gallery, k: [gallery[0]] * k), False],
        ),
        (
            RetrievalContract.test_neighbours_are_distinct_and_top_k_lists_are_nested,
            [retrieval(lambda gallery, k: gallery[-k:]), False],
        ),
        (
            RetrievalContract.test_the_same_vectors_give_the_same_table,
            [retrieval(lambda gallery, k: np.roll(gallery, next(TURN))[:k])],
        ),
        (
            RetrievalContract.test_a_row_does_not_depend_on_those_asked_with_it,
            [retrieval(lambda gallery, k: np.roll(gallery, next(TURN))[:k])],
        ),
        (RetrievalContract.test_every_query_is_answered, [retrieval(lambda gallery, k: [100_000] * k)]),
        (
            RetrievalContract.test_more_neighbours_than_d_holds_are_refused,
            [retrieval(np.resize)],
        ),
        (
            PatchesContract.test_the_shares_of_the_sides_are_those_of_the_draws,
            [_patches(sides=lambda _, r: {r // 2: 0.5, r // 4: 0.5}), 16],
        ),
        (
            PatchesContract.test_the_shares_of_the_sides_are_those_of_the_draws,
            [_patches(choose=lambda _, r, u, p: (r, 1)), 16],
        ),
        (
            PatchesContract.test_the_batch_factor_is_that_of_the_side,
            [_patches(choose=lambda _, r, u, p: (r // 2, 3))],
        ),
    ],
)
def test_conditioning(law: Callable[..., None], arguments: list[Any]) -> None:
    fails(law, *arguments)


# --- aggregators ----------------------------------------------------------------------------------------------------


class Pooled(nn.Module):
    def __init__(self, pool: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, neighbours: Tensor, mask: Tensor) -> Tensor:
        return self.pool(neighbours, mask)


def aggregator(pool: Callable[[Tensor, Tensor], Tensor], width: int | None = None) -> Any:
    return broken(
        Aggregator,
        output_dim=lambda _, d, c: d if width is None else width,
        build=lambda _, d, c: Pooled(pool),
    )


MEAN = aggregator(lambda x, _: x.mean(1))


@pytest.mark.parametrize(
    ("law", "arguments"),
    [
        (AggregatorContract.test_the_width_is_the_stated_one, [aggregator(lambda x, _: x.mean(1), 7)]),
        (AggregatorContract.test_order_and_garbage_in_masked_slots_change_nothing, [MEAN, 5]),
        (
            AggregatorContract.test_order_and_garbage_in_masked_slots_change_nothing,
            [aggregator(lambda x, _: x[:, 0]), 5],
        ),
        (AggregatorContract.test_every_neighbour_matters_and_a_masked_one_does_not, [MEAN]),
        (
            AggregatorContract.test_every_neighbour_matters_and_a_masked_one_does_not,
            [aggregator(lambda x, _: x[:, 0])],
        ),
        (AggregatorContract.test_an_element_has_about_unit_variance_whatever_k_and_the_encoder, [MEAN, 32, 1.0]),
    ],
)
def test_aggregators(law: Callable[..., None], arguments: list[Any]) -> None:
    fails(law, *arguments)


def test_a_control_that_looks_at_neighbours_after_all() -> None:
    class Ignores(AggregatorContract):
        ignores_neighbours = True

    with pytest.raises(AssertionError):
        Ignores().test_every_neighbour_matters_and_a_masked_one_does_not(MeanPool())


# --- data and encoders ----------------------------------------------------------------------------------------------

FACES = ToyFaces(size=4).build()


def dataset(images: Callable[[], Images] = lambda: FACES, **members: Any) -> Any:
    own = {"__annotations__": {"resolution": int}, "resolution": 16, "build": lambda _: images(), **members}
    return broken(Dataset, **own)


def encoder(embed: Callable[[Any], Any], **members: Any) -> Any:
    return broken(Encoder, load=lambda *_: embed, **members)


FLAT = Box(0.2, 0.2, 0.1, 0.4)


@pytest.mark.parametrize(
    ("law", "arguments"),
    [
        (DatasetContract.test_it_is_called_something, [dataset(label=prop(""))]),
        (
            DatasetContract.test_it_draws_the_same_images_each_time_or_says_how_they_are_prepared,
            [dataset(lambda: Images(np.roll(FACES.images, next(TURN)), FACES.labels, FACES.classes))],
        ),
        (
            DatasetContract.test_it_draws_the_same_images_each_time_or_says_how_they_are_prepared,
            [dataset(lambda: Images(FACES.images, FACES.labels, ("one",)))],
        ),
        (
            DatasetContract.test_it_draws_the_same_images_each_time_or_says_how_they_are_prepared,
            [dataset(preparation=prop(""), build=Dataset.build)],
        ),
        (
            DatasetContract.test_held_out_images_are_other_data_of_the_same_kind,
            [dataset(held_out=property(lambda own: own))],
        ),
        (
            DatasetContract.test_regions_that_must_agree_are_apart_and_inside,
            [dataset(agreeing=(AgreeingRegions("a", "far", FLAT, FLAT),))],
        ),
        (
            TrainingSetContract.test_it_names_distinct_images_of_x,
            [broken(TrainingSet, ids=lambda *_: np.zeros(2, int))],
        ),
        (TrainingSetContract.test_it_names_distinct_images_of_x, [broken(TrainingSet, ids=lambda *_: np.array([999]))]),
        (TrainingSetContract.test_tables_can_name_it, [broken(TrainingSet, ids=None, words=prop(""))]),
        (
            EncoderContract.test_vectors_are_finite_float32_and_do_not_depend_on_the_batch,
            [encoder(lambda x: (x - x.mean(0)).reshape(len(x), -1).astype(np.float32))],
        ),
        (
            EncoderContract.test_vectors_are_finite_float32_and_do_not_depend_on_the_batch,
            [encoder(lambda x: x.reshape(len(x), -1) / 255)],
        ),
        (
            EncoderContract.test_vectors_are_finite_float32_and_do_not_depend_on_the_batch,
            [encoder(lambda x: x.reshape(len(x), -1).astype(np.float32), features=prop(3))],
        ),
        (
            EncoderContract.test_equal_images_have_equal_vectors_and_others_do_not,
            [encoder(lambda x: np.ones((len(x), 2), np.float32))],
        ),
        (EncoderContract.test_its_slug_fits_names_of_metrics, [encoder(lambda x: x, slug=prop("a-b"))]),
    ],
)
def test_data(law: Callable[..., None], arguments: list[Any]) -> None:
    from prism_bench.testing import data

    data._loaded.cache_clear()
    fails(law, *arguments)


# --- samplers and denoisers -----------------------------------------------------------------------------------------


def euler(_: Any, denoise: Any, x: Tensor, sigmas: Tensor) -> Tensor:
    for now, after in pairwise(sigmas):
        x = x + (after - now) * (x - denoise(x, now)) / now
    return x


def ode(**members: Any) -> Any:
    return broken(ODESampler, **{"integrate": Heun.integrate, "evaluations": Heun.evaluations, **members})


class Net(nn.Module):
    """A network of one convolution; `flaw` may spoil what comes of it."""

    def __init__(self, flaw: Callable[..., Tensor]) -> None:
        super().__init__()
        self.conv, self.flaw = nn.Conv2d(5, 3, 1), flaw

    def forward(self, x: Tensor, c_noise: Tensor, condition: Tensor | None) -> Tensor:
        return self.flaw(self.conv(x), c_noise, condition)


def denoiser(flaw: Callable[..., Tensor] = lambda h, *_: h, **members: Any) -> Any:
    return broken(Denoiser, **{"build": lambda _, r, d, tokens=False: Net(flaw), "check": DDPMpp.check, **members})


def ordered(h: Tensor, noise: Tensor, tokens: Tensor | None) -> Tensor:
    """Looks at the first token alone."""
    assert tokens is not None
    return h + tokens[:, 0].sum(-1)[:, None, None, None]


@pytest.mark.parametrize(
    ("law", "arguments"),
    [
        (SamplerContract.test_evaluations_grow_with_the_steps, [broken(Sampler, evaluations=prop(4))]),
        (
            SamplerContract.test_fewer_than_two_steps_are_refused,
            [broken(Sampler, evaluations=prop(4), __post_init__=lambda _: None)],
        ),
        (
            ODESamplerContract.test_the_grid_decreases_strictly_and_has_exact_ends,
            [ode(sigmas=lambda own: torch.linspace(80, 0, own.steps + 1))],
        ),
        (ODESamplerContract.test_it_has_the_order_it_states, [ode(integrate=euler)]),
        (ODESamplerContract.test_it_calls_the_network_as_often_as_it_says, [ode(evaluations=prop(18))]),
        (
            ODESamplerContract.test_samples_have_the_spread_of_the_data,
            [ode(integrate=lambda own, denoise, x, sigmas: 1.1 * Heun.integrate(own, denoise, x, sigmas))],
        ),
        (
            ODESamplerContract.test_a_sample_does_not_depend_on_its_batch,
            [ode(integrate=lambda own, denoise, x, sigmas: euler(own, denoise, x - x.mean(), sigmas))],
        ),
        (DenoiserContract.test_an_impossible_resolution_is_refused, [denoiser(check=lambda *_: None)]),
        (DenoiserContract.test_every_patch_side_gives_an_image_of_its_size, [denoiser(lambda h, *_: h[..., :4]), 8]),
        (DenoiserContract.test_a_patch_does_not_depend_on_its_batch, [denoiser(lambda h, *_: h - h.mean())]),
        (DenoiserContract.test_noise_level_and_condition_reach_the_output, [denoiser()]),
        (DenoiserContract.test_tokens_are_a_set_and_one_of_zeros_is_none, [denoiser(ordered)]),
        (DenoiserContract.test_tokens_are_a_set_and_one_of_zeros_is_none, [denoiser()]),
    ],
)
def test_sampling(law: Callable[..., None], arguments: list[Any]) -> None:
    fails(law, *arguments)


# --- metrics --------------------------------------------------------------------------------------------------------


def metric(value: Callable[[Any], float], name: str = "m", n: int = 40, **members: Any) -> Any:
    """Of the features of the generated images."""

    def between(_: Any, generated: Any, reference: Any) -> tuple[Value, ...]:
        return (Value(name, value(generated), n, len(reference), "lower", "M", ""),)

    return broken(FeatureMetric, between=between, **members)


FIRST = metric(lambda features: float(features[0, 0]))


@pytest.mark.parametrize(
    ("law", "arguments"),
    [
        (MetricContract.test_values_are_finite_named_and_say_their_sample_sizes, [metric(lambda _: 1.0, "a b")]),
        (MetricContract.test_values_are_finite_named_and_say_their_sample_sizes, [metric(lambda _: 1.0, "fid")]),
        (MetricContract.test_values_are_finite_named_and_say_their_sample_sizes, [metric(lambda _: 1.0, n=39)]),
        (MetricContract.test_values_by_two_encoders_have_two_names, [FIRST]),
        (
            MetricContract.test_too_few_images_are_refused,
            [metric(lambda _: 1.0, measure=lambda *_: Measurement(()))],
        ),
        (MetricContract.test_the_order_of_samples_is_irrelevant, [FIRST]),
        (MetricContract.test_the_same_inputs_give_the_same_values, [metric(lambda _: float(next(TURN)))]),
        (
            MetricContract.test_fingerprints_tell_apart_what_must_not_share_a_column,
            [metric(lambda _: 1.0, fingerprint=lambda *_, **__: "f" * 16)],
        ),
    ],
)
def test_metrics(law: Callable[..., None], arguments: list[Any]) -> None:
    fails(law, *arguments)


# --- methods and variants -------------------------------------------------------------------------------------------


def method(
    draw: Callable[[Any, Any], Any] = lambda images, request: images[: len(request.indices)], **more: Any
) -> Any:
    """Draws from the images it has kept."""
    own = {"kept": lambda _, data: data.images, "draw": lambda _, images, request, side: draw(images, request)}
    return broken(Trivial, **{**own, **more})


def noise(shape: Callable[[int], tuple[int, ...]] = lambda n: (n, 3, 16, 16), seed: Any = None) -> Any:
    return lambda images, request: np.random.default_rng(seed).integers(
        0, 256, shape(len(request.indices)), dtype=np.uint8
    )


@pytest.mark.parametrize(
    ("law", "member"),
    [
        (MethodContract.test_one_seed_trains_the_same_bytes, method(fit=lambda _, data, folder, **more: save(folder))),
        (MethodContract.test_samples_are_images_and_one_request_gives_the_same_bytes, method(noise())),
        (
            MethodContract.test_samples_are_images_and_one_request_gives_the_same_bytes,
            method(noise(lambda n: (n, 3, 8, 8), 0)),
        ),
        (MethodContract.test_sample_i_does_not_depend_on_the_batch, method(noise(seed=0))),
        (MethodContract.test_another_seed_makes_other_samples, method()),
        (MethodContract.test_costs_are_positive_where_they_are_counted, method(training_flops=lambda *_: -1.0)),
        (MethodContract.test_it_passes_its_own_checks_and_some_sampler_fits, method(trained_on=prop(""))),
    ],
)
def test_methods(law: Callable[..., None], member: Method, tmp_path: Path) -> None:
    wanted = {"trained": lambda: train(member, tmp_path / "trained"), "tmp_path": lambda: tmp_path}
    more = [wanted[name]() for name in inspect.signature(law).parameters if name in wanted]
    fails(law, member, *more)


def save(folder: Path) -> None:
    np.save(folder / "images.npy", np.zeros((1, 3, 16, 16), np.uint8))
    (folder / "model.safetensors").write_text(str(next(TURN)))


def variant(**members: Any) -> Any:
    own = {"label": "V", "method": lambda _, scale: scale.method, **members}
    return broken(Variant, **own)


@pytest.mark.parametrize(
    ("law", "member"),
    [
        (VariantContract.test_its_method_fits_scale_and_sampler, variant(k_sample=lambda *_: -1)),
        (VariantContract.test_its_method_fits_scale_and_sampler, variant(applies=lambda *_: " ")),
        (
            VariantContract.test_its_method_is_the_same_each_time,
            variant(method=lambda _, scale: PatchMethod(schedule=Fixed(k_train=1 + next(TURN)))),
        ),
        (VariantContract.test_it_is_called_something, variant(label="")),
    ],
)
def test_variants(law: Callable[..., None], member: Variant) -> None:
    fails(law, member)
    law(VariantContract(), Prism())


CONTRACTS: list[type] = [getattr(testing, name) for name in testing.__all__]


def test_every_law_is_broken_here() -> None:
    """A law that nothing here breaks could be one that cannot fail."""
    laws = {f"{kind.__name__}.{name}" for kind in CONTRACTS for name in vars(kind) if name.startswith("test_")}
    text = Path(__file__).read_text()
    assert {law for law in laws if law not in text and law.replace(".", "().") not in text} == set()
