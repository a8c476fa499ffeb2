"""How a training is fed: what is drawn, where data lie, the next input while this one runs, losses looked at later."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pytest
import torch
from conftest import TINY, Cli
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from prism_bench.experiments.options.training import RunOptions
from prism_bench.experiments.paper.scales import PAPER_DATASETS, paper_method
from prism_bench.experiments.planning.resolve_options import resources
from prism_bench.prism.conditioning.schedules import Decreasing, Fixed
from prism_bench.prism.engine.manifest import UsedRuntime
from prism_bench.prism.engine.runtime import Report, Runtime, StopRequestedError
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import InputError
from prism_bench.prism.executors.compiler import check_compiler
from prism_bench.prism.executors.local import Local
from prism_bench.prism.methods.method import Gallery, TrainingData
from prism_bench.prism.patch_diffusion.cropping import coordinate_grid
from prism_bench.prism.patch_diffusion.denoiser import DDPMpp
from prism_bench.prism.patch_diffusion.patch_method import WEIGHTS, PatchMethod
from prism_bench.prism.patch_diffusion.patch_objective import PatchBatch, PatchObjective
from prism_bench.prism.patch_diffusion.patches import PatchSizes
from prism_bench.prism.patch_diffusion.recipe import Recipe, step_rng
from prism_bench.prism.rng import torch_rng
from prism_bench.prism.training import loop, placement
from prism_bench.prism.training.adam import Training
from prism_bench.prism.training.ahead import one_ahead
from prism_bench.prism.training.checkpoint import Checkpoints
from prism_bench.prism.training.loop import DivergedError
from prism_bench.prism.training.placement import placed
from prism_bench.prism.training.training_log import TrainingLog, read_log
from prism_bench.prism.training.unseen import Taken, Unseen

METHOD = PatchMethod(
    schedule=Decreasing(k_max=4),
    patches=PatchSizes(full=0.3),
    denoiser=DDPMpp(channels=8, multipliers=(1, 2), blocks=1, attention=(8,), dropout=0.1),
    training=Training(images=640, batch=8, learning_rate=2e-3, rampup_images=64, ema_halflife=100),
)
CPU = torch.device("cpu")
MIB = 2**20
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    """Images in a file that is mapped and cannot be written to, as a training finds them."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("images") / "images.npy"
    np.save(path, rng.integers(0, 256, (64, 3, 16, 16), np.uint8))
    gallery = Gallery(rng.standard_normal((64, 8), np.float32), rng.integers(0, 40, (64, 8)))
    return TrainingData(np.load(path, mmap_mode="r"), rng.permutation(64)[:30], np.arange(40), gallery)


def recipe(method: PatchMethod) -> Recipe:
    return Recipe(method.training, method.patches, method.schedule, method.diffusion)


def plain_batch(objective: PatchObjective, data: TrainingData, step: int, seen: int) -> PatchBatch:
    """The input of a step patch by patch, as the paper's text has it; random numbers in the order of 0.4.0."""
    resolution, training = data.images.shape[-1], objective.recipe.training
    rng, noise_rng = step_rng(objective.seed, step), torch_rng(objective.seed, "training noise", step)
    side, n = objective.recipe.step(resolution, rng, seen)
    ids = data.ids[objective.epochs.rows(seen, n)]
    corners = rng.integers(0, resolution - side + 1, (n, 2))
    noise = torch.randn(n, 3, side, side, generator=noise_rng)
    sigma = (torch.randn(n, generator=noise_rng) * 1.2 - 1.2).exp()
    grid = coordinate_grid(resolution)
    places = [(slice(None), slice(r, r + side), slice(c, c + side)) for r, c in corners]
    clean = np.stack([data.images[i][place] for i, place in zip(ids, places, strict=True)])
    k = objective.recipe.schedule.k(min(1.0, (seen + n) / training.images))
    assert data.gallery is not None
    neighbours = np.stack([data.gallery.vectors[data.gallery.neighbours[i, :k]] for i in ids])
    return PatchBatch(
        clean=torch.from_numpy(clean).float() / 127.5 - 1,
        noise=noise,
        sigma=sigma,
        coordinates=torch.stack([grid[place] for place in places]),
        neighbours=torch.from_numpy(neighbours),
    )


@pytest.mark.parametrize("placed_there", [False, True], ids=["on the host", "on the device"])
def test_what_is_drawn_and_gathered_is_the_plain_batch(data: TrainingData, placed_there: bool) -> None:
    """To the bit and in the same layout, for that decides in which order convolutions add up."""
    objective = PatchObjective(data, recipe(METHOD), 3, Runtime())
    assert not isinstance(objective.images, Tensor), "the CPU reads the map"
    if placed_there:
        assert data.gallery is not None
        objective.images, objective.vectors = torch.tensor(data.images), torch.tensor(data.gallery.vectors)
    sides = set()
    for step in range(12):
        seen = 50 * step
        draw = objective.draw(step, seen)
        batch, plain = objective.gather(draw), plain_batch(objective, data, step, seen)
        sides.add(draw.side)
        for name, one, other in zip(batch._fields, batch, plain, strict=True):
            assert torch.equal(one, other), f"{name} at step {step}"
        last = torch.channels_last
        assert batch.clean.is_contiguous(memory_format=last)
        assert batch.coordinates.is_contiguous(memory_format=last)
        assert batch.noise.is_contiguous()
    assert sides == {4, 8, 16}


@pytest.mark.parametrize("panel", PAPER_DATASETS)
def test_at_the_papers_sizes_less_than_a_mebibyte_goes_to_the_device(panel: str) -> None:
    """8 bytes for each patch, 16 for its corner, 8 for each neighbour; the noise is drawn there."""
    method, resolution, images = paper_method(panel), PAPER_DATASETS[panel].resolution, 5000
    table = np.zeros((images, method.largest_k), np.int64)
    gallery = Gallery(np.zeros((images, 2), np.float32), table)
    pixels = np.broadcast_to(np.zeros((), np.uint8), (images, 3, resolution, resolution))
    method = method.replace(schedule=Fixed(k_train=method.largest_k))
    ids = np.arange(images)
    objective = PatchObjective(TrainingData(pixels, ids, ids, gallery), recipe(method), 0, Runtime())
    draws = [objective.draw(step, 0) for step in range(12)]
    assert {draw.side for draw in draws} == {resolution // 2, resolution // 4}
    for draw in draws:
        assert draw.nbytes == draw.n * (8 + 16 + 8 * method.largest_k)
    assert max(draw.n for draw in draws) == 4 * method.training.batch
    assert max(draw.nbytes for draw in draws) < MIB


# --- where data lie -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("free", "there"),
    [(10_000, [True, True, True]), (2400, [True, False, True]), (700, [False, False, True]), (0, [False] * 3)],
)
def test_what_fits_into_its_share_of_free_memory_lies_on_the_device(
    monkeypatch: pytest.MonkeyPatch, free: int, there: list[bool]
) -> None:
    """Three arrays of 1000, 400 and 200 bytes, half of what is free, on a pretended device (`meta`)."""
    monkeypatch.setattr(placement, "free_bytes", lambda device: free)
    arrays = [np.zeros(size, np.uint8) for size in (1000, 400, 200)]
    held = placed(arrays, torch.device("meta"), 0.5)
    assert [isinstance(one, Tensor) for one in held] == there
    assert all(one.device.type == "meta" for one in held if isinstance(one, Tensor))
    assert all(one is array for one, array in zip(held, arrays, strict=True) if not isinstance(one, Tensor))
    assert all(one is array for one, array in zip(placed(arrays, CPU, 0.5), arrays, strict=True)), "the CPU has them"


@pytest.mark.parametrize(("free", "resident"), [(2**20, True), (2**16, False)])
def test_a_training_knows_whether_its_data_lie_on_the_device(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch, free: int, resident: bool
) -> None:
    """2 KiB of embeddings and 48 of images; a quarter of what is free."""
    monkeypatch.setattr(placement, "free_bytes", lambda device: free)
    objective = PatchObjective(data, recipe(METHOD), 0, Runtime(device="meta"))
    assert isinstance(objective.vectors, Tensor), "embeddings first, for they are what a step takes most of"
    assert objective.is_resident == resident
    assert PatchObjective(data, recipe(METHOD), 0, Runtime()).is_resident


# --- the next input while this one runs -----------------------------------------------------------------------------


def test_items_are_made_one_ahead_and_the_thread_ends() -> None:
    before, makers, made = threading.active_count(), set(), []
    third = threading.Event()

    def items() -> Iterator[int]:
        for item in range(10):
            makers.add(threading.current_thread())
            made.append(item)
            if item == 2:
                third.set()
            yield item

    stream = one_ahead(items(), CPU)
    assert [next(stream), next(stream)] == [0, 1]
    assert third.wait(10), "the next one is made while this one is in use"
    assert made == [0, 1, 2], "and no more than that"
    assert threading.current_thread() not in makers
    stream.close()
    assert threading.active_count() == before
    assert list(one_ahead(items(), CPU)) == list(range(10))
    assert threading.active_count() == before


def test_what_the_making_of_an_item_raises_comes_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 0
        raise OSError("the disk is gone")

    stream = one_ahead(items(), CPU)
    assert next(stream) == 0
    with pytest.raises(OSError, match="the disk is gone"):
        next(stream)


FED = Runtime(draws_ahead=True, look_every=7)
"""As on a device other than the CPU."""


def fit(data: TrainingData, folder: Path, runtime: Runtime, report: Report | None = None) -> dict[str, Tensor]:
    folder.mkdir(exist_ok=True)
    METHOD.fit(data, seed=0, folder=folder, runtime=runtime, report=report or Report(folder / "progress.json"))
    return load_file(folder / WEIGHTS)


def log_of(folder: Path) -> list[dict[str, float]]:
    return [{**row, "seconds": 0, "images_per_second": 0} for row in read_log(folder / "metrics.jsonl")]


class Killed(BaseException):
    """In place of a signal that leaves no time."""


def test_ahead_and_looked_at_later_are_the_same_weights_and_the_same_log(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unbroken; stopped twice, where what had been drawn for the next step is drawn again; and killed.

    The last checkpoint is then of the fifth step, and the ninth one was at work, with losses that nobody had seen.
    """
    monkeypatch.setattr(loop, "ROWS", 3)
    plain = fit(data, tmp_path / "plain", Runtime())
    threads = threading.active_count()

    def check(folder: Path) -> None:
        fed = fit(data, folder, FED)
        assert plain.keys() == fed.keys()
        assert all(torch.equal(plain[name], fed[name]) for name in plain)
        assert log_of(folder) == log_of(tmp_path / "plain")
        assert threading.active_count() == threads

    check(tmp_path / "unbroken")
    for _ in range(2):
        looks = iter(range(100))
        stopping = Report(tmp_path / "progress.json", should_stop=lambda looks=looks: next(looks) >= 8)  # type: ignore[misc]
        with pytest.raises(StopRequestedError):
            fit(data, tmp_path / "stopped", FED, stopping)
    check(tmp_path / "stopped")

    def end_the_ninth() -> None:
        if next(reports) == 9:
            raise Killed

    reports, dues = iter(range(1, 100)), iter(range(1, 100))
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "due", lambda self: next(dues) == 5)
        with pytest.raises(Killed):
            fit(data, tmp_path / "killed", FED, Report(tmp_path / "progress.json", check=end_the_ninth))
    with safe_open(tmp_path / "killed" / "checkpoint.safetensors", "pt") as file:
        assert file.metadata()["step"] == "5"
    check(tmp_path / "killed")


@pytest.mark.parametrize("runtime", [Runtime(checkpoint_seconds=1e9), FED], ids=["every step", "every seventh"])
def test_a_loss_that_is_not_finite_is_named_with_its_step_whenever_it_is_seen(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: Runtime
) -> None:
    """The fourth step's loss is broken; three steps have been logged, and nothing is kept after it."""
    original, calls = PatchObjective.losses, []

    def losses(self: PatchObjective, network: torch.nn.Module, batch: PatchBatch) -> Iterator[Tensor | None]:
        calls.append(len(batch.sigma))
        for loss in original(self, network, batch):  # type: ignore[arg-type]
            yield loss * float("nan") if len(calls) == 4 and loss is not None else loss

    monkeypatch.setattr(PatchObjective, "losses", losses)
    monkeypatch.setattr(loop, "ROWS", 1)
    with pytest.raises(DivergedError) as broken:
        fit(data, tmp_path / "bad", runtime)
    assert f"the loss became nan at image {sum(calls[:3])} (step 3); no checkpoint had been due yet" in str(
        broken.value
    )
    assert len(calls) == (4 if runtime.look_every is None else 7)
    assert not (tmp_path / "bad" / "checkpoint.safetensors").exists()


def test_no_checkpoint_is_written_of_a_loss_that_nobody_has_seen(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop after a broken step, long before the next look."""
    monkeypatch.setattr(PatchObjective, "losses", lambda self, network, batch: iter([_broken_loss(network)]))
    monkeypatch.setattr(loop, "ROWS", 1)
    saved: list[object] = []
    monkeypatch.setattr(Checkpoints, "save", lambda self, state, at: saved.append(at))
    report = Report(tmp_path / "progress.json", should_stop=lambda: True)
    with pytest.raises(DivergedError, match=r"the loss became inf at image 0 \(step 0\)"):
        fit(data, tmp_path / "bad", Runtime(look_every=1000), report)
    assert not saved


def _broken_loss(network: torch.nn.Module) -> Tensor:
    return sum((weight.sum() * 0 for weight in network.parameters()), torch.tensor(0.0)) + float("inf")


def test_losses_are_looked_at_when_a_line_of_the_log_is_due_or_as_many_wait_as_may(tmp_path: Path) -> None:
    unseen = Unseen(TrainingLog(tmp_path / "metrics.jsonl", every=10, seen=0, known={}), every=5)
    due = []
    for step in range(9):
        unseen.add(Taken(step, 2 * step, 2, [torch.tensor(float(step))], {}))
        due.append(unseen.due)
        if unseen.due:
            assert unseen.look() is None
        if step == 1:
            assert unseen.look() is None
    assert [step for step, is_due in enumerate(due) if is_due] == [4], "at the line, after 10 images"
    unseen.add(Taken(9, 16, 2, [torch.tensor(9.0)], {}))
    assert unseen.due, "five wait"
    unseen.look()
    assert [row["loss"] for row in read_log(tmp_path / "metrics.jsonl")] == [2.0]


def test_the_cpu_does_one_thing_after_the_other() -> None:
    assert Runtime().pace == (False, 1)
    assert Runtime(device="cuda:1").pace == (True, 50)
    assert Runtime(device="cuda:1", draws_ahead=False, look_every=3).pace == (False, 3)


# --- compiling ------------------------------------------------------------------------------------------------------


class Marked(torch.nn.Module):
    """Says in its output whether it was compiled."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight + (3.0 if torch.compiler.is_compiling() else 2.0)


class Width(NamedTuple):
    """Four images, so wide."""

    side: int
    n: int = 4
    facts: Mapping[str, float] = MappingProxyType({})


class TwoWidths:
    """Images of two widths in turn; the loss is the square of what the network says of zeros."""

    def parameter_groups(self, network: Marked) -> list[list[torch.nn.Parameter]]:
        return [list(network.parameters())]

    def draw(self, step: int, seen: int) -> Width:
        return Width(2 + step % 2)

    def gather(self, draw: Width) -> Tensor:
        return torch.zeros(draw.n, draw.side)

    def losses(self, network: Marked, batch: Tensor) -> Iterator[Tensor | None]:
        yield (network(batch) ** 2).mean()


def trained_in_two_widths(folder: Path, runtime: Runtime) -> list[float]:
    training = Training(images=16, batch=4, rampup_images=0)
    folder.mkdir()
    report = Report(folder / "progress.json")
    average = loop.train(Marked(), TwoWidths(), training, seed=0, folder=folder, runtime=runtime, report=report)
    assert average(torch.zeros(1)).item() == 2, "what is handed back is as it was"
    assert report.ran_on == (UsedRuntime.here("cpu", runtime.threads, compiled=runtime.compiles),)
    return [row["loss"] for row in read_log(folder / "metrics.jsonl")]


def test_a_compiled_network_is_trained_at_every_patch_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        check_compiler()
    except InputError as error:
        pytest.skip(str(error))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "kernels"))
    torch.compiler.reset()
    assert trained_in_two_widths(tmp_path / "plain", Runtime()) == [4.0] * 4
    assert trained_in_two_widths(tmp_path / "compiled", Runtime(compiles=True)) == [9.0] * 4


def test_the_option_reaches_every_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", sys.executable)  # any program that is there
    store = Store.create(tmp_path)
    for asked in (True, False):
        options = RunOptions(experiments=(), device="cpu", workers=2, compiles=asked)
        places = Local().pool(store, resources(options, 2), ()).slots.places
        assert [place.runtime.compiles for place in places] == [asked, asked]


def test_compiling_without_a_compiler_is_refused(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    said = cli(f"run ablation-table3 {TINY} --only variant=patchd --compile")
    assert said.code == 2
    assert "--compile needs a C++ compiler, and there is no no-such-compiler here" in " ".join(said.err.split())


# --- the programs that measure it -----------------------------------------------------------------------------------


def printed(program: str, arguments: str) -> list[list[str]]:
    """The cells of every line of the tables that a benchmark prints."""
    # Threads that wait for each other cost more than they give at this size.
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", f"benchmarks.{program}", *arguments.split()]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=alone, check=False)
    assert done.returncode == 0, done.stderr
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines() if "|" in line]


def test_drawing_costs_the_host_a_fifth_of_what_it_did_at_most() -> None:
    """The program compares both ways bit by bit, and fails where it is more, or more than a mebibyte is sent."""
    rows = {row[0]: row[1:] for row in printed("drawing", "--images 600 --rounds 3")}
    before, now, _ = rows["MiB to the device"]
    assert (float(before), float(now)) == (68.0, pytest.approx(2048 * (8 + 16 + 16 * 8) / MIB, abs=0.01))
    assert float(rows["CPU-ms of the host"][2]) >= 5


def test_every_switch_is_measured_on_whatever_device_there_is() -> None:
    rows = {
        row[0]: row[1:] for row in printed("gpu", "--tiny --device cpu --images 100 --steps 1 --warm-up 1 --samples 2")
    }
    training = {"data on the host", "drawn when needed, not ahead", "every loss looked at", "float32, TF32"}
    assert training <= rows.keys()
    assert all(float(rows[words][0].replace(",", "")) > 0 for words in training)
    assert float(rows["as shipped"][0]) > 0, "of sampling, which comes last"
