"""Places for stages: GPUs that are pretended, threads that are kept, work that finds its place."""

import ctypes
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from conftest import Cli

from prism_bench.prism.engine.manifest import UsedRuntime
from prism_bench.prism.engine.pool import prepare_process
from prism_bench.prism.engine.runtime import Report, Runtime
from prism_bench.prism.engine.scheduler import Scheduler
from prism_bench.prism.engine.stage import Stage, StageContext
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import InputError
from prism_bench.prism.executors.devices import devices_called
from prism_bench.prism.executors.local_pool import LocalPool
from prism_bench.prism.executors.slots import Slots, slots_for
from prism_bench.prism.training.ran_on import as_before

GPUS = ("cuda:0", "cuda:1", "cuda:2", "cuda:3")


@pytest.fixture
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)


@pytest.mark.parametrize(
    ("asked", "devices"),
    [
        ("auto", GPUS),
        ("cuda", GPUS),
        ("cuda:2", ("cuda:2",)),
        ("cuda:0,cuda:2", ("cuda:0", "cuda:2")),
        ("cuda:1,cuda:1", ("cuda:1",)),
        ("cpu", ("cpu",)),
    ],
)
def test_a_list_of_devices_is_those_gpus(four_gpus: None, asked: str, devices: tuple[str, ...]) -> None:
    assert devices_called(asked) == devices


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("cuda:4", "--device cuda:4: this machine has 4 GPUs, cuda:0 to cuda:3"),
        ("cuda:0,cpu", "--device cuda:0,cpu: several devices must be GPUs"),
        ("cuda:0,kuda:1", "--device kuda:1"),
    ],
)
def test_devices_that_are_not_there_are_named(four_gpus: None, asked: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        devices_called(asked)


def test_a_machine_without_a_gpus_driver_is_not_asked_by_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_driver(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", no_driver)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delitem(sys.modules, "torch")
    assert devices_called("auto") == devices_called("cpu") == ("cpu",)
    assert "torch" not in sys.modules


def test_a_machine_without_gpus_has_places_for_everything() -> None:
    slots = slots_for(("cpu",), cores=8, trainings=20)
    assert len(slots.places) == 8
    assert all(place.device_stages and place.host_stages for place in slots.places)
    assert {place.runtime.threads for place in slots.places} == {1}
    few = slots_for(("cpu",), cores=8, trainings=2)
    assert [place.runtime.threads for place in few.places] == [4, 4]
    assert str(few) == "2 workers"
    assert slots_for(("cpu",), cores=8, trainings=2, threads=3).first.threads == 3


def test_every_gpu_has_a_place_and_what_needs_none_has_others() -> None:
    slots = slots_for(GPUS, cores=32, trainings=20)
    assert [place.runtime.device for place in slots.places] == [*GPUS, "cpu", "cpu", "cpu", "cpu"]
    assert [place.host_stages for place in slots.places] == [False] * 4 + [True] * 4
    assert {place.runtime.threads for place in slots.places} == {4}
    assert str(slots) == "4 GPUs and 4 workers"
    assert len(slots_for(GPUS, cores=4, trainings=1).places) == 5, "one place at least for what needs no GPU"
    assert len(slots_for(GPUS, cores=32, trainings=1, workers=2).places) == 6


def test_this_process_has_one_device() -> None:
    with pytest.raises(InputError, match="--workers 0 computes in this process, on one device, and --device names 4"):
        slots_for(GPUS, cores=32, trainings=1, workers=0)
    one = slots_for(("cuda:1",), cores=8, trainings=1, workers=0)
    assert (one.here, one.first.device, one.first.threads) == (True, "cuda:1", 8)


@dataclass(frozen=True, kw_only=True)
class Where(Stage):
    """where.txt: the device and threads it was given, and its process."""

    kind: ClassVar[str] = "where"
    number: int

    def run(self, context: StageContext) -> None:
        import os
        import time

        time.sleep(0.2)
        where = f"{context.runtime.device} {torch.get_num_threads()} {os.getpid()}"
        (context.folder / "where.txt").write_text(where)


@dataclass(frozen=True, kw_only=True)
class OnDevice(Where):
    """The same, of those that use the device."""

    kind: ClassVar[str] = "on-device"
    uses_device: ClassVar[bool] = True


def places(store: Store, slots: Slots, stages: list[Where]) -> list[list[str]]:
    with LocalPool(store, slots, (Path(__file__),)) as pool:
        scheduler = Scheduler(store, pool)
        scheduler.run({str(stage.address): stage for stage in stages})
    assert not scheduler.failed
    return [(store.folder(stage.address) / "where.txt").read_text().split() for stage in stages]


def test_stages_find_their_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pretended GPUs (`meta`, on which nothing can be computed) and one other place."""
    slots = slots_for(("meta:0", "meta:1"), cores=3, trainings=4, workers=1)
    stages: list[Where] = [cls(number=n) for n in range(4) for cls in (OnDevice, Where)]
    found = places(Store.create(tmp_path), slots, stages)
    on_device = [where for where, stage in zip(found, stages, strict=True) if stage.uses_device]
    others = [where for where, stage in zip(found, stages, strict=True) if not stage.uses_device]
    assert {device for device, *_ in on_device} == {"meta:0", "meta:1"}, "both are used"
    assert {device for device, *_ in others} == {"cpu"}
    for pinned in ("meta:0", "meta:1"):
        assert len({process for device, _, process in on_device if device == pinned}) == 1


def test_this_process_works_as_a_worker_does_and_is_itself_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)  # as torch has it, whatever ran before
    before, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    slots = Slots.one(Runtime(threads=before + 1), here=True)
    ((device, threads, _),) = places(Store.create(tmp_path), slots, [Where(number=0)])
    assert (device, int(threads)) == ("cpu", before + 1)
    assert torch.get_num_threads() == before
    assert torch.are_deterministic_algorithms_enabled() == deterministic
    assert torch.backends.cudnn.allow_tf32


def test_float32_is_float32_on_a_gpu_too() -> None:
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = (cudnn.allow_tf32, products.allow_tf32, cudnn.benchmark)
    cudnn.allow_tf32 = products.allow_tf32 = cudnn.benchmark = True
    put_back = prepare_process(Runtime(threads=torch.get_num_threads()))
    assert (cudnn.allow_tf32, products.allow_tf32, cudnn.benchmark) == (False, False, False)
    put_back()
    assert (cudnn.allow_tf32, products.allow_tf32, cudnn.benchmark) == (True, True, True)
    cudnn.allow_tf32, products.allow_tf32, cudnn.benchmark = before


# --- going on as before ---------------------------------------------------------------------------------------------


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return Report(tmp_path / "progress.json")


def test_a_resumed_training_keeps_the_threads_of_its_checkpoint(report: Report) -> None:
    before = torch.get_num_threads()
    first = UsedRuntime.here("cpu", before + 2)
    with as_before((first,), Runtime(threads=before), report) as ran_on:
        assert torch.get_num_threads() == before + 2
        assert ran_on == (first,)
    assert torch.get_num_threads() == before
    assert not report.note


@pytest.mark.parametrize(
    ("first", "words"),
    [
        (UsedRuntime.here("cuda:1", 4), "device cuda -> cpu"),
        (UsedRuntime(device="cpu", threads=1, torch="1.0"), r"torch 1.0 -> "),
        (UsedRuntime.here("cpu", 1, compiled=True), "compiled True -> False"),
    ],
)
def test_what_cannot_be_kept_is_said(report: Report, first: UsedRuntime, words: str) -> None:
    with as_before((first,), Runtime(threads=1), report) as ran_on:
        assert words in report.note
        assert ran_on == (first, UsedRuntime.here("cpu", 1))
    report(1, 2, "images")
    assert words in report.path.read_text()


def test_threads_are_said_by_the_command(cli: Cli, tmp_path: Path) -> None:
    from conftest import TINY

    said = cli(f"run ablation-table3 {TINY} --only variant=patchd --threads 2")
    assert said.code == 0, said.err
    manifests = Store(tmp_path / "prism-bench-store").manifests("training")
    assert [manifest.runtime.threads for manifest in manifests] == [2]
    assert manifests[0].runtime.torch == torch.__version__.partition("+")[0] or manifests[0].runtime.torch
    assert cli(f"run ablation-table3 {TINY} --threads 0").code == 2
