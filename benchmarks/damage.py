"""How documents of a store are harmed, and what is typed then."""

from collections.abc import Callable
from pathlib import Path

DOCUMENTS = ("records/*.json", "experiments/*/*.json", "experiments/*/latest", "stages/*/*/stage.json")
HARM: dict[str, Callable[[Path], object]] = {
    "emptied": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "no text": lambda path: path.write_bytes(b"\xff\xfe" * 50),
    "another's": lambda path: path.write_text('{"a": [1, 2]}'),
    "deleted": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}
COMMANDS = (
    "report all --format csv",
    "compare ablation-table3/patchd ablation-table3/prism",
    "sample ablation-table3/prism --n 2 --workers 0 --force --out s.png",
    "evaluate ablation-table3/prism --metrics frechet:pixels-pca --workers 0",
    "cache ls",
    "cache why {record}",
    "cache gc --dry-run",
    "bundle all --out {number}.zip",
)
