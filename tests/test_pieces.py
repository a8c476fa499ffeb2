"""Gradients in pieces, added in one tree: the same bits by any number of processes, whatever becomes of them."""

import contextlib
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from conftest import Cli
from safetensors.torch import load_file
from test_training import METHOD, data, same  # noqa: F401 - a fixture

from prism_bench.prism.data.split import Split
from prism_bench.prism.data.toyfaces import ToyFaces
from prism_bench.prism.encoders.pca import PixelsPCA
from prism_bench.prism.engine.pool import prepare_process
from prism_bench.prism.engine.runtime import Runtime, StopRequestedError
from prism_bench.prism.engine.stage import perform, walk
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import ComputeError, InputError
from prism_bench.prism.executors.slots import slots_for
from prism_bench.prism.methods.method import TrainingData
from prism_bench.prism.patch_diffusion.patch_method import WEIGHTS
from prism_bench.prism.patch_diffusion.patch_objective import PatchBatch, PatchObjective
from prism_bench.prism.patch_diffusion.recipe import Recipe
from prism_bench.prism.stages.data import DatasetStage, EmbeddingsStage, NeighboursStage, SplitStage
from prism_bench.prism.stages.model import TrainingStage
from prism_bench.prism.training.adam import Training
from prism_bench.prism.training.flat import Weights
from prism_bench.prism.training.loop import DivergedError
from prism_bench.prism.training.ranks import Ranks, tree_sum
from prism_bench.prism.training.steps import StepsOfPieces

PIECES = 4
NEVER = 1e9
"""Seconds until a checkpoint is due; weights are looked at then, on a slow machine before a loss is."""
DIVIDED = METHOD.replace(training=METHOD.training.replace(pieces=PIECES))


def training_stage(images: int = 640) -> TrainingStage:
    """With dropout, whose random numbers are named by piece."""
    faces = DatasetStage(dataset=ToyFaces(size=64))
    split = SplitStage(data=faces, split=Split())
    embeddings = EmbeddingsStage(data=faces, split=split, encoder=PixelsPCA(components=8))
    neighbours = NeighboursStage(embeddings=embeddings, split=split, retrieval=DIVIDED.retrieval, width=8)
    method = DIVIDED.replace(training=DIVIDED.training.replace(images=images))
    return TrainingStage(data=faces, split=split, neighbours=neighbours, method=method, seed=0)


def prepared(root: Path, stage: TrainingStage) -> Store:
    store = Store.create(root)
    for needed in list(walk(stage))[:-1]:
        perform(needed, store, Runtime())
    return store


def by(processes: int, **changes: float) -> Runtime:
    return Runtime(beside=("cpu",) * (processes - 1), **changes)  # type: ignore[arg-type]


def weights(stage: TrainingStage, store: Store) -> dict[str, torch.Tensor]:
    return load_file(store.folder(stage.address) / WEIGHTS)


@pytest.fixture(scope="module", autouse=True)
def _as_a_worker() -> Iterator[None]:
    """Threads and determinism of the processes beside, and no plug-in of another test."""
    put_back = prepare_process(Runtime())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prism_bench.prism.stages.beside.loaded_plugins", tuple)
        yield
    put_back()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """What one process learns, in one go."""
    stage = training_stage()
    store = prepared(tmp_path_factory.mktemp("alone"), stage)
    perform(stage, store, by(1))
    return weights(stage, store)


def test_four_processes_give_the_bits_of_one(alone: dict[str, torch.Tensor], tmp_path: Path) -> None:
    stage = training_stage()
    store = prepared(tmp_path, stage)
    perform(stage, store, by(4))
    assert same(weights(stage, store), alone)


def test_a_stopped_training_goes_on_with_another_number_of_processes(
    alone: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    stage = training_stage()
    store = prepared(tmp_path, stage)
    for processes, steps in ((2, 3), (1, 2), (4, 2)):
        looks = itertools.count()
        with pytest.raises(StopRequestedError):
            perform(stage, store, by(processes), lambda looks=looks, steps=steps: next(looks) >= steps)  # type: ignore[misc]
    perform(stage, store, by(2))
    assert same(weights(stage, store), alone)


def beside(started_by: psutil.Process | None = None) -> Iterator[psutil.Process]:
    """The processes that take part in a training of another, this one by default: it starts others that end at once."""
    for child in (started_by or psutil.Process()).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "prism_bench.prism.stages.beside" in child.cmdline():
                yield child


def test_a_process_that_dies_is_named_and_the_training_goes_on(alone: dict[str, torch.Tensor], tmp_path: Path) -> None:
    stage = training_stage()
    store = prepared(tmp_path, stage)
    checkpoint = store.work_folder(stage.address) / "checkpoint.safetensors"

    def kill() -> None:
        while not checkpoint.exists():
            time.sleep(0.01)
        next(beside()).kill()

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with pytest.raises(ComputeError, match="process 2 of the 2 that train together ended with code -9; type the same"):
        perform(stage, store, by(2, checkpoint_seconds=0.0))
    killer.join()
    assert not list(beside())
    assert checkpoint.exists()
    perform(stage, store, by(1))
    assert same(weights(stage, store), alone)


def test_all_processes_agree_that_a_training_diverged(tmp_path: Path) -> None:
    stage = training_stage()
    wild = stage.method.replace(training=DIVIDED.training.replace(learning_rate=1e30, rampup_images=0))
    stage = replace(stage, method=wild)
    with pytest.raises(DivergedError, match=r"at image [1-9]\d* \(step [1-9]\d?\)") as alone:
        perform(stage, prepared(tmp_path / "one", stage), by(1, checkpoint_seconds=NEVER))
    with pytest.raises(DivergedError) as together:
        perform(stage, prepared(tmp_path / "two", stage), by(2, checkpoint_seconds=NEVER))
    assert str(together.value) == str(alone.value)
    assert not list(beside())


def test_a_process_that_cannot_begin_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = training_stage()
    store = prepared(tmp_path, stage)
    monkeypatch.setattr("prism_bench.prism.stages.beside.loaded_plugins", lambda: (tmp_path / "gone.py",))
    with pytest.raises(ComputeError, match=r"process 2 of the 2 .* ended with code 1: .*gone.py: no such file"):
        perform(stage, store, by(2))


def test_those_beside_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    """It is killed, so that it cannot tell them."""
    stage = training_stage(images=10_000_000)
    prepared(tmp_path / "store", stage)
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import test_pieces as t\n"
        f"t.perform(t.training_stage(images=10_000_000), t.Store(t.Path({str(tmp_path / 'store')!r})), t.by(2))"
    )
    process = subprocess.Popen([sys.executable, "-P", "-c", code])
    while not (children := list(beside(psutil.Process(process.pid)))):
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.05)
    process.kill()
    process.wait()
    gone, alive = psutil.wait_procs(children, timeout=20)
    assert (len(gone), alive) == (1, [])


def test_the_gradient_is_that_of_the_whole_batch(data: TrainingData) -> None:  # noqa: F811
    """In float64 and without dropout, of the same noise: the pieces' batches, put together."""
    method = DIVIDED.replace(denoiser=DIVIDED.denoiser.replace(dropout=0.0))  # type: ignore[call-arg]
    objective = PatchObjective(
        data, Recipe(method.training, method.patches, method.schedule, method.diffusion), 0, Runtime()
    )
    network = method.network(16, 8, 0).double()
    draw = objective.draw(0, 0)
    weights = Weights(list(network.parameters()), 0.0)
    steps = StepsOfPieces(
        network=network,
        objective=objective,
        weights=weights,
        autocast=torch.autocast("cpu", enabled=False),
        seed=0,
        pieces=PIECES,
        ranks=Ranks(),
    )
    pieces = [part._replace(batch=doubled(part.batch)) for part in steps.gather(draw)]
    assert [part.share for part in pieces] == [len(part.batch.clean) / draw.n for part in pieces]
    (loss,) = steps.take(0, pieces, 0.0)
    gradients = [weight.grad for weight in network.parameters()]
    network.zero_grad()  # which leaves those, and takes new ones
    parts = zip(*(part.batch for part in pieces), strict=True)
    whole = PatchBatch(*(None if one[0] is None else torch.cat(one) for one in parts))  # type: ignore[arg-type]
    (expected,) = objective.losses(network, whole)
    assert expected is not None
    expected.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    for gradient, weight in zip(gradients, network.parameters(), strict=True):
        known = torch.zeros_like(weight) if weight.grad is None else weight.grad
        torch.testing.assert_close(gradient, known, rtol=1e-9, atol=1e-9)


def doubled(batch: PatchBatch) -> PatchBatch:
    return PatchBatch(*(None if part is None else part.double() for part in batch))


def test_a_branch_of_the_tree_can_be_added_up_elsewhere() -> None:
    parts = list(torch.randn(8, 1000, generator=torch.Generator().manual_seed(0)))
    whole = tree_sum(parts)
    for size in (2, 4, 8):
        branches = [tree_sum([parts[i] for i in Ranks(rank, size).share(8)]) for rank in range(size)]
        assert torch.equal(tree_sum(branches), whole)
    assert not torch.equal(sum(parts), whole), "the order decides the last bits"


def test_one_piece_is_no_field_of_the_digest() -> None:
    assert Training(pieces=1).digest() == Training().digest() != Training(pieces=2).digest()
    for pieces in (0, 3, 1024):
        with pytest.raises(
            InputError, match=f"a power of two from 1 to the 512 images of training.batch, not {pieces}"
        ):
            Training(pieces=pieces)


def test_gpus_and_cores_are_grouped() -> None:
    gpus = tuple(f"cuda:{index}" for index in range(5))
    places = slots_for(gpus, cores=10, trainings=9, workers=1, processes=2)
    assert [(place.runtime.device, place.runtime.beside) for place in places.places] == [
        ("cuda:0", ("cuda:1",)),
        ("cuda:2", ("cuda:3",)),
        ("cuda:4", ()),
        ("cpu", ()),
    ]
    assert str(places) == "5 GPUs and 1 worker"
    (one, two) = slots_for(("cpu",), cores=8, trainings=2, processes=2).places
    assert (one.runtime.beside, one.runtime.threads) == (("cpu",), 2) == (two.runtime.beside, two.runtime.threads)
    with pytest.raises(InputError, match="--processes 4 trains on as many GPUs, and --device names 1"):
        slots_for(("cuda:0",), cores=8, trainings=2, processes=4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--processes 3", "--processes 3: gradients are added up in a binary tree; use 2, 4, 8"),
        ("--processes 4 --set training.pieces=2", "--processes 4 does not divide training.pieces = 2"),
        ("--processes 2 --plugin mine.py --executor nowhere", "--executor nowhere gives each training one process"),
    ],
)
@pytest.mark.parametrize("command", ["train prism", "tune k-max"])
def test_what_cannot_be_divided_is_refused(cli: Cli, options: str, words: str, command: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import prism_bench.prism.executors.executor as e\nfrom dataclasses import dataclass\n"
        "@dataclass(frozen=True, kw_only=True)\nclass Nowhere(e.Executor, name='nowhere'):\n"
        "    '''None.'''\n    def pool(self, store, asked, plugins):\n        raise AssertionError\n"
    )
    said = cli(f"{command} --scale smoke {options.replace('mine.py', str(tmp_path / 'mine.py'))}")
    assert said.code == 2
    assert words in said.err


def test_the_command_trains_on_several_processes(cli: Cli, tmp_path: Path) -> None:
    line = "train prism --scale smoke --no-mlflow --threads 1 --workers 1 --set samples=8 --set training.images=64 "
    line += "--set training.rampup_images=0 --set sampler.steps=2 --set dataset.size=64 --set denoiser.channels=4 "
    files = {}
    for name, more in (("two", "--processes 2"), ("one", "--set training.pieces=2")):
        said = cli(f"{line} {more} --store {tmp_path / name}")
        assert said.code == 0, said.err
        (files[name],) = (tmp_path / name).glob("stages/training/*/model.safetensors")
        assert ("2 pieces a step (training.pieces), on 2 processes" in said.out) == (name == "two")
    assert files["one"].parent.name == files["two"].parent.name
    assert files["one"].read_bytes() == files["two"].read_bytes()


def test_rows_that_cannot_be_divided_are_named(cli: Cli) -> None:
    said = cli("run table1 --scale smoke --processes 2 --dry-run")
    assert said.code == 0, said.err
    assert "on 2 processes; in one process: RISSOLE" in said.out
