"""Copies of a store elsewhere: an object store's real HTTP server, interruptions, damage on the way."""

import json
import shutil
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from conftest import TINY, Cli
from moto.server import ThreadedMotoServer
from tiny import made_by

from prism_bench.experiments.store import remote
from prism_bench.experiments.store.inventory import Inventory
from prism_bench.prism.engine.store import Store
from prism_bench.sealed import sealed

S3 = "s3://bucket/team/store"
RUN = f"run ablation-table3 {TINY} --only variant=patchd"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """An S3 that keeps everything in memory, spoken to over HTTP."""
    running = ThreadedMotoServer(port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An address in an empty bucket."""
    for method, path in (("POST", "/moto-api/reset"), ("PUT", "/bucket")):
        connection = HTTPConnection(server.removeprefix("http://"))
        connection.request(method, path)
        assert connection.getresponse().status == 200
    for name, value in (
        ("AWS_ENDPOINT_URL", server), ("AWS_ALLOW_HTTP", "true"), ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    return S3


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made_by(RUN, tmp_path_factory, "remote"), tmp_path / "prism-bench-store"))


def files(store: Path) -> dict[str, bytes]:
    names = ("stages/*/*/*", "records/*", "experiments/*/*")
    paths = [path for name in names for path in store.glob(name) if path.is_file() and not path.name.startswith(".")]
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in paths}


def test_a_store_comes_back_as_it_went(cli: Cli, store: Path, bucket: str) -> None:
    count = len(Inventory.read(store).stages)
    said = cli(f"cache push {bucket}")
    assert said.code == 0, said.err
    assert f"Pushed {count} stages, " in said.out
    assert f"to {bucket}" in said.out
    said = cli(f"cache pull {bucket} --store copy")
    assert said.code == 0, said.err
    assert f"Pulled {count} stages, " in said.out
    assert files(Path("copy")) == files(store)
    assert not list(Path("copy/work").iterdir())
    said = cli(f"{RUN} --store copy")
    assert said.code == 0
    assert ", 0 to do" in said.out, "what was pulled is taken for what it is"


def test_a_second_time_nothing_moves_and_nothing_is_written_over(cli: Cli, store: Path, bucket: str) -> None:
    cli(f"cache push {bucket}")
    (record,) = (store / "records").iterdir()
    record.write_text(record.read_text().replace('"status": "done"', '"status": "failed"'))
    said = cli(f"cache push {bucket}")
    assert "Pushed 0 stages" in said.out
    assert "there already" in said.out
    assert f"note: records/{record.name} is there with other contents, and was left as it is" in said.out
    said = cli(f"cache pull {bucket}")
    assert "Pulled 0 stages" in said.out
    assert '"failed"' in record.read_text(), "nor here"


@pytest.mark.parametrize("way", ["push", "pull"])
def test_what_was_interrupted_goes_on_where_it_was(
    cli: Cli, store: Path, bucket: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest comes last, so that half a stage is none."""
    if way == "pull":
        cli(f"cache push {bucket}")
    call, function, moved = remote._call, {"push": "put", "pull": "get"}[way], []

    def breaks(name: str, place: object, *given: object, **named: object) -> object:
        if name == function and str(given[0]).endswith("model.safetensors"):
            raise KeyboardInterrupt
        return call(name, place, *given, **named)  # type: ignore[arg-type]

    def watched(name: str, place: object, *given: object, **named: object) -> object:
        moved.extend([str(given[0])] if name == function and str(given[0]).endswith(".npy") else [])
        return call(name, place, *given, **named)  # type: ignore[arg-type]

    target = "" if way == "push" else " --store copy"
    monkeypatch.setattr(remote, "_call", breaks)
    assert cli(f"cache {way} {bucket}{target}").code == 130
    monkeypatch.setattr(remote, "_call", watched)
    at = [path for path, _ in remote._listed(remote.open_remote(bucket), "stages/training")]
    if way == "push":
        assert not any(path.endswith("stage.json") for path in at)
    else:
        assert not list(Path("copy/stages").glob("training/*"))
    said = cli(f"cache {way} {bucket}{target}")
    assert said.code == 0, said.err
    assert not any(path.startswith("stages/dataset") for path in moved), "what was whole is not moved again"
    cli(f"cache pull {bucket} --store end")
    assert files(Path("end")) == files(store)


def test_what_arrives_otherwise_is_not_kept(cli: Cli, store: Path, bucket: str) -> None:
    cli(f"cache push {bucket}")
    place = remote.open_remote(bucket)
    (model,) = (path for path, _ in remote._listed(place, "stages/") if path.endswith("model.safetensors"))
    remote._call("put", place, model, b"something else")
    said = cli(f"cache pull {bucket} --store copy")
    assert said.code == 1
    assert f"{model} arrived with sha256 " in said.err
    assert not list(Path("copy/stages").glob("training/*"))


def test_a_manifest_that_leads_elsewhere_is_refused(cli: Cli, store: Path, bucket: str) -> None:
    cli(f"cache push {bucket}")
    place = remote.open_remote(bucket)
    path = next(path for path, _ in remote._listed(place, "stages/split") if path.endswith("stage.json"))
    manifest = json.loads(remote._bytes(place, path))
    for change, words in (
        ({"files": {"../../out": {"bytes": 1, "sha256": "0" * 64}}}, "is no file below the stage's folder"),
        ({"identity": {**manifest["identity"], "version": 99}}, "tells of the stage split"),
        ({"key": "0" * 20}, "tells of the stage split 0000"),
    ):
        remote._call("put", place, path, json.dumps(sealed({**manifest, **change})).encode())
        said = cli(f"cache pull {bucket} --store copy")
        assert said.code == 1
        assert words in said.err


def test_a_damaged_stage_is_not_pushed(cli: Cli, store: Path, bucket: str) -> None:
    (model,) = store.glob("stages/training/*/model.safetensors")
    model.write_bytes(b"damaged")
    said = cli(f"cache push {bucket}")
    assert said.code == 1
    assert "is damaged (model.safetensors has sha256 " in said.err
    assert "prism-bench cache verify" in said.err


def test_a_folder_is_an_address_too(cli: Cli, store: Path, tmp_path: Path) -> None:
    assert cli(f"cache push file://{tmp_path / 'there'}").code == 0
    assert cli(f"cache pull file://{tmp_path / 'there'} --store copy").code == 0
    assert files(Path("copy")) == files(store)
    assert Store(Path("copy").absolute()).manifests("training")


@pytest.mark.parametrize(
    ("address", "words"), [("somewhere", "somewhere is no address; give s3://"), ("s4://bucket", "s4://bucket: ")]
)
def test_what_is_no_address_is_said(cli: Cli, store: Path, address: str, words: str) -> None:
    said = cli(f"cache push {address}")
    assert said.code == 2
    assert words in said.err


def test_a_server_that_is_not_there_is_said(
    cli: Cli, store: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        remote, "open_remote", lambda url: __import__("obstore").store.from_url(url, retry_config={"max_retries": 0})
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    said = cli(f"cache push {bucket}")
    assert said.code == 1
    assert "the same command goes on from here" in said.err
