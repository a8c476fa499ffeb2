"""The training loop: named randomness, resumption, averages, divergence."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from prism_bench.prism.component import Json
from prism_bench.prism.conditioning.neighbour_search import ExactSearch
from prism_bench.prism.conditioning.retrieval import Nearest
from prism_bench.prism.conditioning.schedules import Decreasing
from prism_bench.prism.data.split import Split
from prism_bench.prism.data.toyfaces import ToyFaces
from prism_bench.prism.encoders.pca import PixelsPCA
from prism_bench.prism.engine.resumable_array import fill_rows
from prism_bench.prism.engine.runtime import Report, Runtime, StopRequestedError
from prism_bench.prism.methods.method import AllImages, Gallery, SampleRequest, TrainingData, TrainSplit, pseudo_queries
from prism_bench.prism.methods.sampling import DPMSolverPP2M
from prism_bench.prism.patch_diffusion.denoiser import DDPMpp
from prism_bench.prism.patch_diffusion.diffusion import EDM
from prism_bench.prism.patch_diffusion.patch_method import WEIGHTS, PatchMethod
from prism_bench.prism.patch_diffusion.patch_objective import PatchObjective
from prism_bench.prism.patch_diffusion.recipe import Recipe
from prism_bench.prism.stages.data import DatasetStage, SplitStage
from prism_bench.prism.stages.model import SamplesStage, TrainingStage
from prism_bench.prism.training.adam import Training
from prism_bench.prism.training.loop import DivergedError
from prism_bench.prism.training.training_log import read_log

METHOD = PatchMethod(
    schedule=Decreasing(k_max=4),
    denoiser=DDPMpp(channels=8, multipliers=(1, 2), blocks=1, attention=(8,), dropout=0.1),
    training=Training(images=640, batch=8, learning_rate=2e-3, rampup_images=64, ema_halflife=100),
)
RUNTIME = Runtime()


def objective_of(data: TrainingData, seed: int = 0) -> PatchObjective:
    return PatchObjective(data, recipe(), seed, RUNTIME)


@pytest.fixture(scope="module")
def data() -> TrainingData:
    drawn = ToyFaces(size=64).build()
    parts = Split().parts(drawn.labels)
    vectors = Nearest().prepare(PixelsPCA(components=8).load(drawn.images[parts.retrieval], "cpu")(drawn.images))
    table = ExactSearch(vectors, parts.retrieval, 8)(np.arange(len(vectors)))
    return TrainingData(drawn.images, TrainSplit().ids(parts), parts.retrieval, Gallery(vectors, table))


def fit(
    method: PatchMethod, data: TrainingData, folder: Path, report: Report | None = None, runtime: Runtime = RUNTIME
) -> dict[str, torch.Tensor]:
    folder.mkdir(exist_ok=True)
    method.fit(data, seed=0, folder=folder, runtime=runtime, report=report or Report(folder / "progress.json"))
    return load_file(folder / WEIGHTS)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_interrupted_and_unbroken_training_give_the_same_bits(data: TrainingData, tmp_path: Path) -> None:
    """Stopped after several steps, three times over; dropout, order, noise and Adam's moments all come back."""
    whole = fit(METHOD, data, tmp_path / "whole")
    for stops in range(1, 4):
        looks = iter(range(100))
        report = Report(tmp_path / "progress.json", should_stop=lambda looks=looks, n=3 * stops: next(looks) >= n)  # type: ignore[misc]
        with pytest.raises(StopRequestedError):
            fit(METHOD, data, tmp_path / "broken", report)
    assert same(fit(METHOD, data, tmp_path / "broken"), whole)
    assert not list((tmp_path / "broken").glob("checkpoint*"))


def log_of(folder: Path) -> list[dict[str, float]]:
    """A training's log without its times."""
    return [{**row, "seconds": 0, "images_per_second": 0} for row in read_log(folder / "metrics.jsonl")]


def stopping_after(steps: int, path: Path) -> Report:
    looks = iter(range(steps + 1))
    return Report(path, should_stop=lambda: next(looks) >= steps - 1)


def test_the_log_is_the_same_wherever_a_training_was_interrupted(data: TrainingData, tmp_path: Path) -> None:
    method = METHOD.replace(training=METHOD.training.replace(images=400, rampup_images=0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prism_bench.prism.training.loop.ROWS", 3)  # several steps a line
        fit(method, data, tmp_path / "whole")
        whole, steps = log_of(tmp_path / "whole"), 0
        while True:
            steps += 1
            folder = tmp_path / f"after {steps}"
            try:
                fit(method, data, folder, stopping_after(steps, tmp_path / "progress.json"))
            except StopRequestedError:
                fit(method, data, folder)
                assert log_of(folder) == whole, f"interrupted after step {steps}"
            else:
                break
    assert len(whole) >= 3
    assert steps > 2 * len(whole), "several steps a line"


def test_the_seconds_of_a_training_are_those_of_all_its_parts(data: TrainingData, tmp_path: Path) -> None:
    first = stopping_after(3, tmp_path / "progress.json")
    with pytest.raises(StopRequestedError):
        fit(METHOD, data, tmp_path, first)
    with safe_open(tmp_path / "checkpoint.safetensors", "pt") as file:
        trained = json.loads(file.metadata()["log"])["seconds"]
    report = Report(tmp_path / "progress.json")
    fit(METHOD, data, tmp_path, report)
    assert first.earlier_seconds < trained <= report.earlier_seconds


def test_a_checkpoint_without_the_sums_of_the_log_still_loads(data: TrainingData, tmp_path: Path) -> None:
    """As 0.4.0 wrote them."""
    folder = tmp_path / "old"
    with pytest.raises(StopRequestedError):
        fit(METHOD, data, folder, stopping_after(3, tmp_path / "progress.json"))
    path = folder / "checkpoint.safetensors"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    save_file(load_file(path), path, {name: metadata[name] for name in ("step", "seen")})
    assert same(fit(METHOD, data, folder), fit(METHOD, data, tmp_path / "whole"))


def test_a_checkpoint_every_step_changes_nothing(data: TrainingData, tmp_path: Path) -> None:
    often = fit(METHOD, data, tmp_path / "often", runtime=Runtime(checkpoint_seconds=0.0))
    assert same(often, fit(METHOD, data, tmp_path / "never"))


def test_a_torn_checkpoint_falls_back_to_the_one_before(data: TrainingData, tmp_path: Path) -> None:
    looks = iter(range(100))
    folder = tmp_path / "torn"
    report = Report(tmp_path / "progress.json", should_stop=lambda: next(looks) >= 10)
    with pytest.raises(StopRequestedError):
        fit(METHOD, data, folder, report, Runtime(checkpoint_seconds=0.0))
    latest = folder / "checkpoint.safetensors"
    latest.write_bytes(latest.read_bytes()[:1000])
    assert same(fit(METHOD, data, folder), fit(METHOD, data, tmp_path / "whole"))


def test_another_seed_gives_other_weights_and_data_order(data: TrainingData, tmp_path: Path) -> None:
    one, again, other = (it.gather(it.draw(3, 40)) for it in map(partial(objective_of, data), (0, 0, 1)))
    assert torch.equal(one.clean, again.clean)
    assert one.clean.shape != other.clean.shape or not torch.equal(one.clean, other.clean)
    assert not torch.equal(METHOD.network(16, 8, 0).unet.conv_in.weight, METHOD.network(16, 8, 1).unet.conv_in.weight)  # type: ignore[union-attr, arg-type]


def recipe(method: PatchMethod = METHOD) -> Recipe:
    return Recipe(method.training, method.patches, method.schedule, method.diffusion)


def test_every_epoch_sees_every_image_once(data: TrainingData) -> None:
    batches = objective_of(data)
    size = len(data.ids)
    rows = np.concatenate([batches.epochs.rows(start, 7) for start in range(0, 7 * size, 7)])
    for epoch in range(7):
        assert sorted(rows[epoch * size : (epoch + 1) * size]) == list(range(size))
    assert rows[:size].tolist() != rows[size : 2 * size].tolist()


def test_the_condition_is_the_k_nearest_of_each_image(data: TrainingData) -> None:
    assert data.gallery is not None
    batches = objective_of(data)
    draw = batches.draw(0, 0)
    assert (draw.facts, batches.draw(500, 639).facts) == ({"k_train": 4}, {"k_train": 1})
    first = batches.gather(draw)
    assert first.neighbours is not None
    rows = batches.epochs.rows(0, len(first.clean))
    nearest_ids = data.gallery.neighbours[data.ids[rows], :4]
    assert np.isin(nearest_ids, data.retrieval).all()
    assert torch.equal(first.neighbours, torch.from_numpy(data.gallery.vectors[nearest_ids]))


def test_an_unconditional_method_sees_all_of_x_and_no_neighbour(data: TrainingData) -> None:
    parts = Split().parts(ToyFaces(size=64).build().labels)
    assert sorted(AllImages().ids(parts)) == list(range(64))
    objective = objective_of(data._replace(gallery=None))
    draw = objective.draw(0, 0)
    assert objective.gather(draw).neighbours is None
    assert draw.k == 0


def test_ema_is_the_closed_form_of_its_decays(data: TrainingData, tmp_path: Path) -> None:
    """After one step from a common start w0 to w1 the average is d w0 + (1 - d) w1."""
    method = METHOD.replace(training=METHOD.training.replace(images=1, learning_rate=1e-2, rampup_images=0))
    folder = tmp_path / "one"
    report = Report(tmp_path / "progress.json", should_stop=lambda: True)
    folder.mkdir()
    with pytest.raises(StopRequestedError):
        method.fit(data, seed=0, folder=folder, runtime=RUNTIME, report=report)
    held = load_file(folder / "checkpoint.safetensors")
    start = method.network(16, 8, 0).state_dict()
    n = json.loads((tmp_path / "one" / "metrics.jsonl").read_text().splitlines()[0])["images"]
    decay = method.training.ema_decay(n, n)
    assert 0 < decay < 1
    name = "unet.conv_in.weight"
    expected = decay * start[name] + (1 - decay) * held[f"network.{name}"]
    torch.testing.assert_close(held[f"average.{name}"], expected, rtol=1e-5, atol=1e-7)


def test_ema_decay_halves_after_its_halflife() -> None:
    training = Training(ema_halflife=1000, ema_rampup=0.0)
    assert training.ema_decay(10**9, 100) ** 10 == pytest.approx(0.5)
    ramped = Training(ema_halflife=1000, ema_rampup=0.05)
    assert ramped.ema_decay(2000, 100) == pytest.approx(0.5 ** (100 / 100))


def test_learning_rate_ramps_up_and_falls_to_its_final_fraction() -> None:
    training = Training(images=1000, learning_rate=1.0, rampup_images=100, final_fraction=0.1)
    assert training.rate(0) == 0
    assert training.rate(50) == pytest.approx(0.5 * (0.1 + 0.9 * (1 + np.cos(np.pi * 0.05)) / 2))
    assert training.rate(1000) == pytest.approx(0.1)
    constant = Training(images=1000, learning_rate=1.0, rampup_images=0)
    assert [constant.rate(seen) for seen in (0, 500, 1000)] == [1, 1, 1]


@pytest.mark.parametrize("images", [120, 400, 1200])
def test_a_training_of_another_length_has_the_same_rates_at_the_same_progress(images: int) -> None:
    training = Training(images=400, rampup_images=100, learning_rate=1.0, final_fraction=0.1)
    other = training.lasting(images)
    assert (other.images, other.rampup_images) == (images, images // 4)
    for progress in (0.0, 0.1, 0.25, 0.5, 0.9, 1.0):
        at, there = round(400 * progress), round(images * progress)
        assert other.rate(there) == pytest.approx(training.rate(at))


def test_one_image_can_be_learned_by_heart(tmp_path: Path) -> None:
    """The mean loss on one image falls from about 1, that of a network that knows only the scale, to half of it."""
    image = ToyFaces(size=1).build().images
    method = METHOD.replace(
        aggregator=type(METHOD.aggregator).members["aggregator"]["none"](),  # type: ignore[arg-type]
        training=Training(images=4000, batch=8, learning_rate=4e-3, rampup_images=200, ema_halflife=100),
        denoiser=DDPMpp(channels=16, multipliers=(1, 2), blocks=1, attention=(8,), dropout=0.0),
        diffusion=EDM(loss="mean"),
    )
    fit(method, TrainingData(image, np.zeros(1, np.int64), np.zeros(1, np.int64)), tmp_path / "one")
    rows = list(read_log(tmp_path / "one" / "metrics.jsonl"))
    assert rows[0]["loss"] > 0.7
    assert rows[-1]["loss"] < 0.6


def test_divergence_stops_at_once_and_keeps_the_last_checkpoint(data: TrainingData, tmp_path: Path) -> None:
    method = METHOD.replace(training=METHOD.training.replace(learning_rate=1e25, rampup_images=0))
    with pytest.raises(DivergedError, match=r"loss became (nan|inf) at image \d+.*lower --set training.learning_rate"):
        fit(method, data, tmp_path / "bad", runtime=Runtime(checkpoint_seconds=0.0))
    assert (tmp_path / "bad" / "checkpoint.safetensors").exists()
    assert not (tmp_path / "bad" / WEIGHTS).exists()


@pytest.mark.parametrize(
    ("seconds", "stops"), [(1e9, False), (0.0, False), (1e9, True)], ids=["at the end", "checkpoint due", "stopped"]
)
def test_weights_that_are_not_finite_are_neither_kept_nor_done(
    data: TrainingData, tmp_path: Path, seconds: float, stops: bool
) -> None:
    """The loss of a training's last step is finite, and what that step makes of the weights is not."""
    method = METHOD.replace(training=METHOD.training.replace(images=1, learning_rate=1e39, rampup_images=0))
    folder = tmp_path / "bad"
    report = Report(tmp_path / "progress.json", should_stop=lambda: stops)
    with pytest.raises(DivergedError, match=r"network\.\S+ stopped being finite at image \d+ \(step 1\)"):
        fit(method, data, folder, report, Runtime(checkpoint_seconds=seconds))
    assert not list(folder.glob("*.safetensors"))


def test_bfloat16_trains_and_differs(data: TrainingData, tmp_path: Path) -> None:
    short = METHOD.replace(training=METHOD.training.replace(images=64))
    half = short.replace(training=short.training.replace(precision="bfloat16"))
    one, other = fit(short, data, tmp_path / "32"), fit(half, data, tmp_path / "16")
    assert all(torch.isfinite(value).all() for value in other.values())
    assert not same(one, other)


def test_a_method_trained_in_bfloat16_samples_in_it_under_a_key_of_its_own(data: TrainingData, tmp_path: Path) -> None:
    """The weights are the same; rounding to 8 bits moves grey levels a little; float32 keeps the key it had."""
    short = METHOD.replace(training=METHOD.training.replace(images=64))
    half = short.replace(training=short.training.replace(precision="bfloat16"))
    fit(half, data, tmp_path / "16")
    request = SampleRequest(
        range(4), 5, DPMSolverPP2M(steps=4), 1, pseudo_queries(range(4), 5, data.retrieval), data.gallery
    )
    whole, rounded = (
        method.load(tmp_path / "16", resolution=16, embedding_dim=8, runtime=RUNTIME).sample(request).astype(int)
        for method in (short, half)
    )
    assert 0 < np.abs(whole - rounded).max() <= 16
    dataset = DatasetStage(dataset=ToyFaces(size=64))
    split = SplitStage(data=dataset, split=Split())

    def parameters(method: PatchMethod) -> dict[str, Json]:
        training = TrainingStage(data=dataset, split=split, neighbours=None, method=method, seed=0)
        return SamplesStage(training=training, sampler=request.sampler, k_sample=1, samples=4, seed=5).parameters()

    assert parameters(half) == {**parameters(short), "precision": "bfloat16"}
    assert set(parameters(short)) == {"sampler", "k_sample", "samples", "sample_seed"}, "as 0.4.0 had them"


def test_without_neighbours_the_network_gets_a_zero_vector(data: TrainingData, tmp_path: Path) -> None:
    """k_sample = 0 is Figure 3's picture without the signal: every pseudo-query then gives the same sample."""
    fit(METHOD, data, tmp_path / "m")
    fitted = METHOD.load(tmp_path / "m", resolution=16, embedding_dim=8, runtime=RUNTIME)
    assert data.gallery is not None
    moved = data.gallery._replace(vectors=np.roll(data.gallery.vectors, 1, axis=0))

    def sample(k_sample: int, gallery: Gallery) -> np.ndarray:
        queries = pseudo_queries(range(4), 5, data.retrieval)
        return fitted.sample(SampleRequest(range(4), 5, DPMSolverPP2M(steps=4), k_sample, queries, gallery))

    assert np.array_equal(sample(0, data.gallery), sample(0, moved))
    assert not np.array_equal(sample(1, data.gallery), sample(1, moved))
    with torch.inference_mode():
        assert fitted._condition(data.retrieval[:4], 0, data.gallery).square().sum() == 0  # type: ignore[attr-defined]


def test_pseudo_queries_are_uniform_members_of_d_and_independent_of_the_method() -> None:
    retrieval = np.arange(100, 110)
    drawn = pseudo_queries(range(5000), 3, retrieval)
    counts = np.bincount(drawn - 100, minlength=10)
    # Chi-square with 9 degrees of freedom exceeds 27.9 once in a thousand.
    assert ((counts - 500) ** 2 / 500).sum() < 27.9
    assert (pseudo_queries(range(10, 20), 3, retrieval) == drawn[10:20]).all()


def test_rows_made_before_an_interruption_are_kept(tmp_path: Path) -> None:
    calls: list[range] = []

    def make(rows: range) -> np.ndarray:
        calls.append(rows)
        return np.arange(rows.start, rows.stop, dtype=np.int64)[:, None]

    stop = Report(tmp_path / "progress.json", should_stop=lambda: len(calls) >= 2)
    arguments = {"shape": (10, 1), "dtype": np.int64, "batch": 3, "make": make, "unit": "rows"}
    with pytest.raises(StopRequestedError):
        fill_rows(tmp_path / "a.npy", report=stop, **arguments)  # type: ignore[arg-type]
    fill_rows(tmp_path / "a.npy", report=Report(tmp_path / "progress.json"), **arguments)  # type: ignore[arg-type]
    assert np.load(tmp_path / "a.npy")[:, 0].tolist() == list(range(10))
    assert calls == [range(0, 3), range(3, 6), range(6, 9), range(9, 10)]
