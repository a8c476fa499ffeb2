"""Files that are not what was written: seen before they enter a result, and mended."""

import json
import os
import random
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from beside import program
from conftest import Cli
from tiny import RUN

from prism_bench.analysis.errors import AnalysisError
from prism_bench.analysis.frame.frame import read_frame
from prism_bench.experiments.store.gc import Wish, sweep
from prism_bench.experiments.store.in_use import in_use, stages_in_use
from prism_bench.experiments.store.inventory import Inventory
from prism_bench.experiments.store.verify import check, wrong_documents
from prism_bench.experiments.tools.find import training_stage
from prism_bench.prism.engine.resumable_array import fill_rows
from prism_bench.prism.engine.runtime import StopRequestedError
from prism_bench.prism.engine.store import Store
from prism_bench.prism.stages.model import TrainingStage
from prism_bench.prism.training.checkpoint import Checkpoints, Position
from prism_bench.sealed import DamagedError, sealed, unsealed

SEEN_ANYWAY = ("reports", "locks", "mlflow-artifacts", "logs")
"""Folders of a store that hold copies of what stands elsewhere."""


@contextmanager
def flipped(path: Path, bit: int) -> Iterator[None]:
    """One bit of a file the other way round, its size and times as they were; put back at the end."""
    whole, times = path.read_bytes(), path.stat()
    data = bytearray(whole)
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns + 1))
    try:
        yield
    finally:
        path.write_bytes(whole)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def flip(path: Path, bit: int) -> None:
    """One bit of a file the other way round, for good."""
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def test_every_flipped_bit_of_a_document_is_seen_or_says_the_same() -> None:
    document = {"value": 12.625, "name": "fd \u2193", "rows": [{"id": "a", "n": 1000}, None, True]}
    text = json.dumps(sealed(document), indent=1, ensure_ascii=False).encode()
    assert unsealed(text)["value"] == 12.625
    unseen = 0
    for bit in range(8 * len(text)):
        data = bytearray(text)
        data[bit // 8] ^= 1 << bit % 8
        try:
            found = unsealed(bytes(data))
        except DamagedError:
            continue
        unseen += 1
        assert {name: value for name, value in found.items() if name in document} == document
    assert 0 < unseen < 0.2 * 8 * len(text), "white space, and the name of the checksum"


def state_of(store: Path) -> str:
    """Every number that the store's records hold."""
    return read_frame(store).to_csv()


def is_seen(store: Path, before: str) -> bool:
    """Whether reading everything finds a fault, or a command that reads the numbers refuses them."""
    inventory = Inventory.read(store)
    if any(one.fault for one in check(inventory)) or list(wrong_documents(inventory)):
        return True
    try:
        return state_of(store) != before and "failed" in state_of(store)
    except AnalysisError:
        return True


def test_flipped_bits_of_a_finished_store_are_seen_or_change_no_number(store: Path) -> None:
    draw, before = random.Random(0), state_of(store)
    files = [path for path in sorted(store.rglob("*")) if path.is_file() and path.stat().st_size]
    files = [path for path in files if path.relative_to(store).parts[0] not in SEEN_ANYWAY]
    assert {path.relative_to(store).parts[0] for path in files} == {"stages", "records", "experiments"}
    seen = 0
    # Half of them drawn by file, so that small ones have their turn, and half by byte.
    sizes = [path.stat().st_size for path in files]
    drawn = [*draw.choices(files, k=100), *draw.choices(files, weights=sizes, k=100)]
    for path in drawn:
        with flipped(path, draw.randrange(8 * path.stat().st_size)):
            found = is_seen(store, before)
            assert found or state_of(store) == before, path
            seen += found
    assert seen > 150
    assert not is_seen(store, before)


def numbers(rows: range) -> Any:
    return np.stack([np.random.default_rng(row).integers(0, 256, 7, np.uint8) for row in rows])


class Stopping:
    """A report that asks to stop once so many rows are there."""

    def __init__(self, at: int) -> None:
        self.at, self.done = at, 0

    def __call__(self, done: int, total: int, unit: str) -> None:
        self.done = done

    def should_stop(self) -> bool:
        return self.done >= self.at


def fill(path: Path, made: list[int], *, stops_at: int = 1000) -> None:
    def make(rows: range) -> Any:
        made.append(rows.start)
        return numbers(rows)

    try:
        fill_rows(path, (95, 7), np.uint8, batch=10, make=make, report=Stopping(stops_at), unit="rows")  # type: ignore[arg-type]
    except StopRequestedError:
        assert not path.exists()


@pytest.mark.parametrize("stops_at", [60, 95])
def test_work_files_are_made_again_where_they_are_wrong_and_only_there(tmp_path: Path, stops_at: int) -> None:
    whole, draw, counted = tmp_path / "whole.npy", random.Random(1), 0
    fill(whole, [])
    np.testing.assert_array_equal(np.load(whole), numbers(range(95)))
    for attempt in range(60):
        path = tmp_path / f"{attempt}" / "a.npy"
        path.parent.mkdir()
        made: list[int] = []
        fill(path, made, stops_at=stops_at)
        harmed = draw.choice(sorted(path.parent.iterdir()))
        kind, size = draw.choice(("flip", "flip", "flip", "cut", "empty", "gone", "garbage")), harmed.stat().st_size
        if kind == "flip":
            flip(harmed, draw.randrange(8 * size))
        elif kind == "gone":
            harmed.unlink()
        else:
            harmed.write_bytes({"cut": harmed.read_bytes()[: size // 2], "empty": b"", "garbage": b"\xff" * size}[kind])
        again: list[int] = []
        fill(path, again)
        assert path.read_bytes() == whole.read_bytes(), (kind, harmed.name)
        if kind == "flip":
            assert len(again) <= len(range(stops_at, 95, 10)) + 1, "one batch, beside those that were missing"
            counted += 1
    assert counted > 15


def test_an_array_under_way_goes_on_where_the_disk_has_no_room_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "a.npy", [], stops_at=60)
    monkeypatch.setattr("prism_bench.prism.engine.rows_file.disk_usage", lambda _: Mock(free=0))
    fill(tmp_path / "a.npy", [])
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), numbers(range(95)))


class Weights:
    """What a checkpoint can hold."""

    def __init__(self, value: float) -> None:
        self.named = {"w": torch.full((5, 3), value), "n": torch.tensor(int(value)), "h": torch.ones(2).bfloat16()}

    def tensors(self) -> dict[str, torch.Tensor]:
        return self.named

    def restore(self, named: dict[str, torch.Tensor]) -> None:
        self.named = named


def test_a_flipped_bit_of_a_checkpoint_is_seen_and_the_one_before_it_taken(tmp_path: Path) -> None:
    kept, log = Checkpoints(tmp_path, 0.0), {"rows": [{"images": 5, "loss": 0.25}]}
    for step in (1, 2):
        kept.save(Weights(step), Position(step, 10 * step, log))
    positions = set()
    for bit in random.Random(2).sample(range(8 * kept.latest.stat().st_size), 600):
        with flipped(kept.latest, bit):
            state = Weights(0.0)
            position = kept.restore(state)
        assert position.log == log
        assert state.named["w"].unique().tolist() == [position.step]
        positions.add((position.step, position.seen))
    assert positions <= {(1, 10), (2, 20)}
    assert (1, 10) in positions
    kept.latest.write_bytes(b"")
    kept.previous.write_bytes(b"\0" * 100)
    assert kept.restore(Weights(0.0)) == Position()


def test_what_others_left_in_a_work_folder_is_no_part_of_the_stage(cli: Cli, store: Path) -> None:
    stage = sorted(store.glob("stages/metric/*"))[0]
    files = {
        path.name: path.read_bytes() for path in stage.iterdir() if path.suffix == ".npz" or path.name == "values.json"
    }
    shutil.rmtree(stage)
    work = store / "work" / f"metric-{stage.name}"
    work.mkdir()
    for name in ("foreign.npy", "values.json", ".details.npz.x.tmp"):
        (work / name).write_bytes(b"not ours")
    said = cli(RUN)
    assert said.code == 0, said.err
    assert {path.name: path.read_bytes() for path in stage.iterdir() if path.name in files} == files
    assert {path.name for path in stage.iterdir()} == {*files, "stage.json", ".stamps.json"}
    assert cli("cache verify").code == 0


def value_of(said: str, label: str) -> str:
    return next(line for line in said.splitlines() if label in line)


def test_what_is_evaluated_is_whole(cli: Cli, store: Path) -> None:
    """Half of the samples zero, as a bad disk leaves them: they are made again before anything is measured."""
    asked = "evaluate ablation-table3/prism --metrics frechet:pixels-pca --workers 0"
    record = next(it for it in Inventory.read(store).records.values() if it.row == "prism")
    shutil.copytree(store, store.parent / "sound")
    sound = cli(f"{asked} --store sound")
    samples = store / "stages" / "samples" / record.stages["samples"] / "images.npy"
    whole = samples.read_bytes()
    samples.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2))
    said = cli(asked)
    assert (sound.code, said.code) == (0, 0), said.err
    assert "was damaged (images.npy has sha256" in said.out
    assert value_of(said.out, "FD") == value_of(sound.out, "FD")
    assert samples.read_bytes() == whole


@pytest.mark.parametrize(
    "line", ["sample ablation-table3/prism --n 4 --workers 0", "compare ablation-table3/patchd ablation-table3/prism"]
)
def test_what_is_shown_is_whole(cli: Cli, store: Path, line: str) -> None:
    for samples in store.glob("stages/*/*/images.npy"):
        flip(samples, 8 * (samples.stat().st_size - 1))
    said = cli(line)
    assert "Traceback" not in said.err
    assert "damaged" in (said.out + said.err), "made again and said so, or refused with what to do"
    assert (said.code == 0) == ("computed again" in said.out)


DAMAGE = program("damage")


@pytest.mark.parametrize("document", DAMAGE.DOCUMENTS)
def test_a_damaged_document_is_named_and_mended(cli: Cli, made: Path, store: Path, document: str) -> None:
    before, draw = state_of(made), random.Random(document)
    record = sorted(store.glob("records/*"))[0].stem
    for number, (harm, harmed) in enumerate(DAMAGE.HARM.items()):
        shutil.rmtree(store)
        shutil.copytree(made, store)
        path = sorted(store.glob(document))[0]
        harmed(path)
        line = draw.choice(DAMAGE.COMMANDS).format(record=record, number=number)
        said = cli(line)
        assert said.code in (0, 1, 2), (line, harm)
        assert "Traceback" not in said.err + said.out, (line, harm)
        verified = cli("cache verify --set-aside")
        # A cell without a record has simply not been computed; what computes makes damaged stages again unasked.
        mended = document.startswith("stages") and line.startswith(("evaluate", "sample"))
        if not mended and not (harm == "deleted" and document.startswith("records")):
            assert verified.code == 1, (line, harm)
            assert path.name in verified.out or path.parent.name in verified.out, (line, harm)
        assert cli("cache verify").code == 0, (line, harm)
    again = cli(f"{RUN} --store {store}")
    assert again.code == 0, again.err
    assert state_of(store) == before


def test_a_report_says_which_record_is_damaged_and_shows_the_others(cli: Cli, store: Path) -> None:
    path = next(path for path in store.glob("records/*") if '"row": "prism"' in path.read_text())
    text = path.read_text()
    path.write_text(text.replace("1", "2", 1))
    said = cli("report ablation-table3 --format markdown")
    assert said.code == 0, said.err
    (shown,) = store.glob("reports/*/*/ablation-table3.md")
    assert f"records/{path.name}: was changed after it was written" in shown.read_text()


def test_gc_leaves_what_a_running_command_needs(cli: Cli, store: Path) -> None:
    for path in (*store.glob("records/*"), *store.glob("experiments/*/*")):
        path.unlink()
    inventory = Inventory.read(store)
    held = next(
        it for it in inventory.stages.values() if it.kind == "training" and "neighbours" in it.identity["inputs"]
    )
    stage = training_stage(held.identity, held.label, inventory.store)
    assert isinstance(stage, TrainingStage)
    with in_use([stage], inventory.store):
        kept = {item.address for item in sweep(inventory, Wish(older_than=0)).items}
        assert not kept & stages_in_use(inventory.store)
        assert {"training", "dataset", "split", "neighbours", "embeddings"} <= {
            it.kind for it in stages_in_use(inventory.store)
        }
    gone = {item.address for item in sweep(inventory, Wish(older_than=0)).items}
    assert stage.address in gone
    assert not list(store.glob("locks/*"))


def test_two_processes_that_meet_one_damage_set_it_aside_once(store: Path) -> None:
    own = Store(store)
    (path,) = store.glob("stages/split/*/retrieval.npy")
    flip(path, 8 * 130)
    address = next(address for address in Inventory.read(store).stages if address.kind == "split")
    cleared: list[Any] = []
    both = [threading.Thread(target=lambda: cleared.append(own.clear(address))) for _ in range(4)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert sum(one is not None for one in cleared) == 1
    assert len(list((store / "corrupted").iterdir())) == 1
