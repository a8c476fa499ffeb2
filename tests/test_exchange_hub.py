"""export --to hf --push: the card as the Hub reads it, and the upload, to a stand-in for the Hub in this process."""

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import Cli
from huggingface_hub import ModelCard

TOKEN = "hf_of_a_test"


@dataclass
class Hub:
    """What was asked of the stand-in, and what it answers: `status` in place of 200 to the commit."""

    address: str = ""
    status: int = 200
    asked: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    made: dict = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    def answer(self, path: str, body: bytes) -> tuple[int, dict]:
        self.asked.append(path)
        match path.strip("/").split("/")[1:]:
            case ["repos", "create"]:
                self.made = json.loads(body)
                return 200, {"url": f"{self.address}/me/model"}
            case ["models", "me", "model", "preupload", "main"]:
                names = [one["path"] for one in json.loads(body)["files"]]
                return 200, {
                    "files": [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]
                }
            case ["models", "me", "model", "commit", "main"]:
                if self.status != 200:
                    return self.status, {"error": "You may not write to this repository"}
                for line in map(json.loads, body.splitlines()):
                    if line["key"] == "file":
                        self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                return 200, {"commitUrl": f"{self.address}/me/model/commit/1", "commitOid": "1", "hookOutput": ""}
            case ["validate-yaml"]:
                return 200, {"errors": [], "warnings": []}
        return 404, {"error": f"the stand-in knows no {path}"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    found = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.tokens.add(self.headers.get("authorization", ""))
            length = self.headers.get("content-length")
            body = self.rfile.read(int(length)) if length else self._chunks()
            status, said = found.answer(self.path, body)
            data = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _chunks(self) -> bytes:
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            return body

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.address = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield found
        server.shutdown()


PUSH = "export ablation-table3/prism model --workers 0 --to hf --push me/model"


def test_the_folder_is_uploaded_in_one_commit(cli: Cli, store: Path, hub: Hub) -> None:
    Path("model").mkdir()
    Path("model/notes.txt").write_text("my own")
    said = cli(f"{PUSH} --endpoint {hub.address} --force")
    assert said.code == 0, said.err
    assert f"Uploaded: {hub.address}/me/model" in said.out
    names = ["README.md", "config.json", "model.safetensors", "retrieval.safetensors"]
    assert sorted(hub.files) == names, "and nothing else that lies there"
    assert all(data == Path("model", name).read_bytes() for name, data in hub.files.items())
    assert sum("/commit/" in path for path in hub.asked) == 1
    assert hub.tokens == {f"Bearer {TOKEN}"}
    assert (hub.made["name"], hub.made["organization"], hub.made["visibility"]) == ("model", "me", "private")
    assert store.is_dir()


def test_the_address_of_the_environment_and_a_public_repository(
    cli: Cli, store: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    said = cli(f"{PUSH} --public --json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["address"] == f"{hub.address}/me/model"
    assert hub.made["visibility"] == "public"
    assert store.is_dir()


@pytest.mark.parametrize(("status", "code", "words"), [(403, 2, "HF_TOKEN"), (409, 2, "answers 409"), (400, 2, "400")])
def test_a_refusal_is_one_message_and_the_folder_stays(
    cli: Cli, store: Path, hub: Hub, status: int, code: int, words: str
) -> None:
    hub.status = status
    said = cli(f"{PUSH} --endpoint {hub.address}")
    assert said.code == code
    for expected in (words, "You may not write", "is written and whole"):
        assert expected in " ".join(said.err.split()), said.err
    assert TOKEN not in said.err
    assert cli(f"sample model --n 2 --store {store}").code == 0


def test_what_cannot_be_uploaded_is_said_before_anything_is_written(
    cli: Cli, store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    for line, words in (
        (PUSH, "nobody is logged in"),
        (PUSH.replace("me/model", "model"), "USER/NAME"),
        (PUSH.replace("me/model", "me/mo--del"), "--push me/mo--del"),
        (f"{PUSH} --endpoint nowhere", "is no address"),
    ):
        said = cli(line)
        assert (said.code, words in said.err) == (2, True), said.err
    assert sorted(path.name for path in tmp_path.iterdir()) == [store.name]


def test_a_host_that_is_not_there_is_one_message_and_the_folder_stays(
    cli: Cli, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    said = cli(f"{PUSH} --endpoint http://127.0.0.1:9")
    assert said.code == 1, said.err
    assert "cannot be reached" in said.err
    assert "Traceback" not in said.err
    assert Path("model/config.json").is_file()
    assert store.is_dir()


def test_the_card_is_one_that_the_hub_reads(cli: Cli, store: Path) -> None:
    assert cli("export ablation-table3/prism model --workers 0 --to hf").code == 0
    card = ModelCard.load(Path("model/README.md"))
    facts = card.data.to_dict()
    assert facts["library_name"] == "prism-bench"
    assert facts["datasets"] == ["toyfaces"]
    assert "license" not in facts, "it is not ours to choose"
    (record,) = (one for one in map(load, store.glob("records/*.json")) if one["row"] == "prism")
    told = {result.metric_type: result.metric_value for result in card.data.eval_results or ()}
    assert told == {value["name"]: value["value"] for value in record["values"]}
    assert "# ST + RAG + PatchD + DS (PRISM)" in card.text
    assert cli("export ablation-table3/prism model --workers 0 --to hf --force --licence cc-by-4.0").code == 0
    assert ModelCard.load(Path("model/README.md")).data.license == "cc-by-4.0"


def load(path: Path) -> dict:
    return json.loads(path.read_text())
