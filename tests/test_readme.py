"""Every command of the README, typed in its order in one folder, at sizes that take seconds."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, Cli
from PIL import Image

README = (Path(__file__).parent.parent / "README.md").read_text()
ELSEWHERE = {"ui": "a server: tests/test_mlflow_page.py types it"}
"""Commands that are not typed here, and why."""
TRAINING = {"run", "schedule-sweep", "tune"}
"""Commands that take settings: they are made small."""


def typed() -> list[str]:
    """The commands of the README's blocks, without `prism-bench`."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    typed = [line for language, block in blocks if not language for line in block.splitlines()]
    lines = [part.strip() for line in typed for part in line.split("&&")]
    return [line.partition(" #")[0].strip().removeprefix("prism-bench ") for line in lines if "prism-bench " in line]


def small(line: str) -> str:
    """The command with a small plan; one whose plan is only shown stays as it is."""
    if line.split(maxsplit=1)[0] not in TRAINING or "--dry-run" in line:
        return line
    settings = TINY.replace("--set dataset.size=64", "") if "--data" in line else TINY
    return f"{line} {settings.replace('--set training.images=128', '--set training.images=32')}"


def pictures(folder: Path, n: int, seed: int) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for index in range(n):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(folder / f"{index}.png")
    return folder


def test_the_commands_are_found() -> None:
    names = [line.split()[0] for line in typed()]
    assert len(names) > 12
    assert {*names} > {"run", "report", "sample", "compare", *ELSEWHERE}


@pytest.mark.timeout(1200)
def test_every_command_of_the_readme_works_as_it_stands(cli: Cli, tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "my-images"), "zip", pictures(tmp_path / "my", 48, 0))
    pictures(tmp_path / "generated-folder", 40, 1)
    pictures(tmp_path / "reference-folder", 40, 2)
    (tmp_path / "mine.py").write_text(README.partition("```python\n")[2].partition("```")[0])
    for line in typed():
        if line.split()[0] in ELSEWHERE:
            continue
        said = cli(small(line))
        assert said.code == 0, f"prism-bench {line}\n{said.out}{said.err}"
    with Image.open(tmp_path / "faces.png") as faces:
        assert faces.width > 16
    assert (tmp_path / "report" / "index.html").is_file()
    assert (tmp_path / "report" / "all.tex").is_file()
