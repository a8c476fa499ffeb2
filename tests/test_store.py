"""The store: keys, publishing, checksums, locks."""

import json
import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import pytest

from prism_bench.prism.component import Json
from prism_bench.prism.conditioning.neighbour_search import ExactSearch
from prism_bench.prism.conditioning.retrieval import Nearest
from prism_bench.prism.data.split import Split
from prism_bench.prism.data.toyfaces import ToyFaces
from prism_bench.prism.encoders.pca import PixelsPCA
from prism_bench.prism.engine.runtime import Runtime, StopRequestedError
from prism_bench.prism.engine.stage import Stage, StageContext, explain, perform
from prism_bench.prism.engine.store import Store, file_digest
from prism_bench.prism.errors import ComputeError, InputError
from prism_bench.prism.methods.method import AllImages
from prism_bench.prism.methods.sampling import Heun
from prism_bench.prism.patch_diffusion.patch_method import PatchMethod
from prism_bench.prism.stages.data import DatasetStage, EmbeddingsStage, NeighboursStage, SplitStage
from prism_bench.prism.stages.model import SamplesStage, TrainingStage


@dataclass(frozen=True, kw_only=True)
class Note(Stage):
    """A stage that writes a word; for tests."""

    kind: ClassVar[str] = "note"
    word: str
    after: "Note | None" = None
    fails: Callable[[], None] | None = None

    def parameters(self) -> dict[str, Json]:
        return {"word": self.word}

    def inputs(self) -> dict[str, Stage]:
        return {} if self.after is None else {"after": self.after}

    def run(self, context: StageContext) -> None:
        if self.fails is not None:
            self.fails()
        before = (context.inputs["after"] / "word.txt").read_text() if self.after else ""
        (context.folder / "word.txt").write_text(before + self.word)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store")


def test_a_stage_is_published_whole_and_made_once(store: Store) -> None:
    first, second = Note(word="a"), Note(word="b", after=Note(word="a"))
    assert perform(first, store, Runtime()) > 0
    perform(second, store, Runtime())
    assert (store.folder(second.address) / "word.txt").read_text() == "ab"
    assert perform(first, store, Runtime()) == 0.0
    assert store.fault(first.address) is None
    assert not list((store.root / "work").iterdir())


def test_a_stage_that_fails_leaves_its_work_and_is_not_published(store: Store) -> None:
    def fail() -> None:
        raise ComputeError("no")

    with pytest.raises(ComputeError):
        perform(Note(word="a", fails=fail), store, Runtime())
    assert store.manifest(Note(word="a").address) is None
    assert perform(Note(word="a"), store, Runtime()) > 0


def test_the_key_depends_on_parameters_inputs_and_version_but_not_on_the_label() -> None:
    base = Note(word="a", after=Note(word="z"))
    assert base.address == Note(word="a", after=Note(word="z"), label="other").address
    assert base.address != Note(word="b", after=Note(word="z")).address
    assert base.address != Note(word="a", after=Note(word="y")).address

    class Newer(Note):
        version = 2

    assert base.address != Newer(word="a", after=Note(word="z")).address


@pytest.mark.parametrize("harm", ["change", "remove", "manifest"])
def test_corruption_is_found_and_set_aside(store: Store, harm: str) -> None:
    note = Note(word="a")
    perform(note, store, Runtime())
    file = store.folder(note.address) / "word.txt"
    if harm == "change":
        file.write_text("b")
        message = "word.txt has sha256"
    elif harm == "remove":
        file.unlink()
        message = "word.txt is missing"
    else:
        (store.folder(note.address) / "stage.json").write_text("{")
        message = "stage.json is not valid JSON"
    assert message in (store.fault(note.address) or "")
    kept = store.set_aside(note.address)
    assert kept.exists()
    assert perform(note, store, Runtime()) > 0
    assert store.fault(note.address) is None


def test_a_store_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(InputError, match=r"cannot be written.*--store DIR"):
        Store.create(file / "store")
    if os.getuid() != 0:
        tmp_path.chmod(stat.S_IREAD | stat.S_IEXEC)
        with pytest.raises(InputError, match="cannot be written"):
            Store.create(tmp_path / "store")


@pytest.mark.parametrize("stops_after", [1, 2, 3, 4])
def test_an_interrupted_table_of_neighbours_goes_on(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops_after: int
) -> None:
    monkeypatch.setattr("prism_bench.prism.stages.data.QUERY_BATCH", 32)
    # Two batches of vectors and nine of queries, of which some are there when it stops.
    stages = chain(size=288)
    stage = stages["neighbours"]
    for needed in ("data", "split", "embeddings"):
        perform(stages[needed], store, Runtime())
    whole = Store.create(tmp_path / "whole")
    for needed in ("data", "split", "embeddings", "neighbours"):
        perform(stages[needed], whole, Runtime())
    asked: list[int] = []
    searched = ExactSearch.__call__
    monkeypatch.setattr(ExactSearch, "__call__", lambda self, rows: asked.extend(rows) or searched(self, rows))
    reports = iter(range(100))
    with pytest.raises(StopRequestedError):
        perform(stage, store, Runtime(), should_stop=lambda: next(reports) + 1 >= stops_after)
    assert store.manifest(stage.address) is None
    perform(stage, store, Runtime())
    assert asked == list(range(288)), "every query is searched once"
    for name in ("vectors.npy", "neighbours.npy"):
        assert (store.folder(stage.address) / name).read_bytes() == (whole.folder(stage.address) / name).read_bytes()


def test_why_names_the_field_that_differs(store: Store) -> None:
    assert explain(Note(word="a"), store) == "no such stage yet"
    perform(Note(word="a", label="first"), store, Runtime())
    assert explain(Note(word="b"), store) == "differs from 'first' in word a -> b"


def chain(**changes: object) -> dict[str, Stage]:
    """The stages from data to samples, with some parameters changed."""
    data = DatasetStage(dataset=ToyFaces(size=int(str(changes.get("size", 64)))))
    split = SplitStage(data=data, split=Split(seed=int(str(changes.get("split_seed", 0)))))
    retrieval = Nearest(encoder=PixelsPCA(components=int(str(changes.get("components", 8)))))
    embeddings = EmbeddingsStage(data=data, split=split, encoder=retrieval.encoder)
    width = int(str(changes.get("width", 8)))
    neighbours = NeighboursStage(embeddings=embeddings, split=split, retrieval=retrieval, width=width)
    method = PatchMethod(retrieval=retrieval)
    training = TrainingStage(
        data=data, split=split, neighbours=neighbours, method=method, seed=int(str(changes.get("seed", 0)))
    )
    samples = SamplesStage(training=training, sampler=Heun(), k_sample=int(str(changes.get("k", 1))), samples=4, seed=0)
    return {
        "data": data,
        "split": split,
        "embeddings": embeddings,
        "neighbours": neighbours,
        "training": training,
        "samples": samples,
    }


@pytest.mark.parametrize(
    ("change", "unchanged"),
    [
        ({"k": 2}, {"data", "split", "embeddings", "neighbours", "training"}),
        ({"seed": 1}, {"data", "split", "embeddings", "neighbours"}),
        ({"components": 9}, {"data", "split"}),
        ({"split_seed": 1}, {"data"}),
        ({"size": 65}, set()),
        # A wider table holds the same prefix: nothing that rests on it changes.
        ({"width": 9}, {"data", "split", "embeddings", "training", "samples"}),
    ],
)
def test_a_change_recomputes_exactly_what_rests_on_it(change: dict[str, int], unchanged: set[str]) -> None:
    before, after = chain(), chain(**change)
    assert {name for name in before if before[name].address == after[name].address} == unchanged


def test_an_unconditional_training_does_not_depend_on_neighbours_or_k() -> None:
    data = DatasetStage(dataset=ToyFaces(size=64))
    split = SplitStage(data=data, split=Split())
    training = TrainingStage(
        data=data, split=split, neighbours=None, method=PatchMethod(training_set=AllImages()), seed=0
    )
    one = SamplesStage(training=training, sampler=Heun(), k_sample=1, samples=4, seed=0)
    other = SamplesStage(training=training, sampler=Heun(), k_sample=5, samples=4, seed=0)
    assert one.address == other.address
    assert set(training.inputs()) == {"data", "split"}


def test_manifests_say_what_was_done(store: Store) -> None:
    perform(Note(word="a", label="mine"), store, Runtime(threads=2))
    manifest = json.loads((store.folder(Note(word="a").address) / "stage.json").read_text())
    assert manifest["label"] == "mine"
    assert manifest["identity"]["parameters"] == {"word": "a"}
    assert manifest["runtime"] == {"device": "cpu", "threads": 2, "torch": version("torch"), "compiled": False}
    assert manifest["files"]["word.txt"]["bytes"] == 1


# --- stamps ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files whose checksums are taken."""
    seen: list[str] = []
    digest = file_digest

    def noted(path: Path) -> str:
        seen.append(path.name)
        return digest(path)

    monkeypatch.setattr("prism_bench.prism.engine.store.file_digest", noted)
    return seen


def test_a_file_that_looks_as_it_did_is_not_read_again(store: Store, read: list[str]) -> None:
    note = Note(word="a")
    perform(note, store, Runtime())
    read.clear()
    assert store.fault(note.address) is None
    assert read == []
    path = store.folder(note.address) / "word.txt"
    os.utime(path, (1.0, 1.0))
    assert store.fault(note.address) is None
    assert store.fault(note.address) is None
    assert read == ["word.txt"], "once, for its time is another one"


def test_whatever_changes_a_file_is_noticed(store: Store, read: list[str]) -> None:
    for word, change in (
        ("a", lambda path: path.write_text("b")),
        ("longer", lambda path: path.write_text("short")),
        ("gone", lambda path: path.unlink()),
    ):
        note = Note(word=word)
        perform(note, store, Runtime())
        change(store.folder(note.address) / "word.txt")
        assert "word.txt" in (store.fault(note.address) or ""), word


def test_a_change_without_a_trace_is_found_by_reading_everything(store: Store) -> None:
    note = Note(word="a")
    perform(note, store, Runtime())
    path = store.folder(note.address) / "word.txt"
    before = path.stat()
    path.write_text("b")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert store.fault(note.address) is None
    assert "word.txt has sha256" in next(store.faults(note.address))


def test_a_copied_store_is_read_once(store: Store, tmp_path: Path, read: list[str]) -> None:
    note = Note(word="a")
    perform(note, store, Runtime())
    copy = Store(tmp_path / "copy")
    shutil.copytree(store.root, copy.root)
    read.clear()
    assert copy.fault(note.address) is None
    assert copy.fault(note.address) is None
    assert read == ["word.txt"]
