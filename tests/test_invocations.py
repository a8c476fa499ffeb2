"""Whatever is typed ends with exit code 0, 1 or 2, with one message and no traceback; and what once did not."""

import os
import shlex
from pathlib import Path

import pytest
from beside import program
from conftest import Cli
from hypothesis import HealthCheck, Phase, given, settings, target
from hypothesis import strategies as st

from prism_bench.experiments.options.texts import MOST_NUMBERS, numbers
from prism_bench.prism.component import LARGEST_WHOLE
from prism_bench.prism.errors import InputError
from prism_bench.prism.training.adam import Training

DRAWN = 30
RUN = "run ablation-table3 --scale smoke --dry-run"


INVOCATIONS = program("invocations")


@pytest.mark.filterwarnings("ignore")  # of files and databases that a refusal leaves to the garbage collector
def test_no_invocation_ends_badly(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PRISM_BENCH_STORE", raising=False)
    INVOCATIONS.written(tmp_path)
    every = [INVOCATIONS.ended(words, 4 * INVOCATIONS.PATIENCE) for words in INVOCATIONS.drawn(DRAWN, seed=0)]
    assert [(shlex.join(one.words), one.verdict, one.text) for one in every if one.is_bad] == []
    assert len(every) == DRAWN
    assert {one.code for one in every} >= {0, 2}, "some fit and some do not"


def test_every_command_and_option_is_drawn_from() -> None:
    commands = INVOCATIONS.commands()
    assert {"run", "tune", "evaluate", "cache gc", "data embeddings export", "schema"} <= commands.keys()
    assert {"--seeds", "--set", "--data", "experiments"} <= {one.spelled for one in commands["run"]}
    assert set(INVOCATIONS.FIRST) | set(INVOCATIONS.LAST) | set(INVOCATIONS.FITTING) <= commands.keys()


def test_what_is_no_good_end_is_seen() -> None:
    def verdict(code: int | None, text: str, broke: str = "") -> str:
        return str(INVOCATIONS.Ended((), code, text, 0.0, broke).verdict)

    assert verdict(2, "error: no\n") == "exit 2"
    assert verdict(2, "Usage\n╭─ Error ─╮\n│ no │") == "exit 2"
    assert verdict(2, "") == verdict(2, "error: a\nerror: b\n") == "no message or several"
    assert verdict(3, "error: no\n") == "another exit code"
    assert verdict(1, "Traceback (most recent call last):\n") == "traceback"
    assert verdict(None, "", "too slow") == "too slow"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"{RUN} --seeds ²", "'²' is not a whole number or a range"),
        (f"{RUN} --seeds 0-2000000000", "--seeds 0-2000000000: these are more than 10,000 numbers"),
        (f"{RUN} --seeds 1{'0' * 30}", "whole numbers up to 9223372036854775807 are possible"),
        (f"{RUN} --split-seed -1", "--split-seed -1: at least 0 is needed"),
        (f"{RUN} --checkpoint-seconds inf", "--checkpoint-seconds inf: a finite number is needed"),
        (f"{RUN} --resolution 1000000", "--resolution 1000000: at most 4096 is possible"),
        (f"{RUN} --workers 1000", "--workers 1000: this machine has"),
        (f"{RUN} --threads 250", "--threads 250: this machine has"),
        (f"{RUN} --set training.learning_rate=inf", "training.learning_rate must be a finite number, not inf"),
        (f"{RUN} --set training.ema_rampup=nan", "training.ema_rampup must be a finite number, not nan"),
        (f"{RUN} --set training.ema_rampup=-1", "training.ema_rampup must be at least 0, not -1"),
        (f"{RUN} --set training.rampup_images=-1", "training.rampup_images must be at least 0, not -1"),
        (f"{RUN} --set training.images=1{'0' * 30}", "training.images must be at most 9223372036854775807"),
        (f"{RUN} --set sampler.steps=1000000000000", "sampler.steps must be at most 10,000"),
        (f"{RUN} --set sampler.rho=-1", "sampler.rho must be positive, not -1"),
        (f"{RUN} --set dataset.size=1000000000000", "values take 715,255.7 GiB"),
        (f"{RUN} --set k_sample=4 --only variant=patchd --metrics kid:", "--metrics kid: names no encoder"),
        (f"{RUN} --metrics ,", "--metrics ,: it holds no name"),
        (f"{RUN} --metrics fid", "unknown metric 'fid'; here it is called frechet:inception"),
        (f"{RUN} --store ''", "--store is empty (an unset variable?)"),
        (f"{RUN} --only ''", "--only is empty"),
        (f"{RUN} --data https://x.org/a.zip", "addresses are not read; download it"),
        (f"{RUN} --data a --data b", "--data a and --data b are for the same rows"),
        (f"{RUN} --data {'x' * 300}", "no file can be called so"),
        (f"{RUN} --store d\udce9", "its name is not UTF-8, which plans and records are written in"),
        ("evaluate '' ''", "the argument what is empty"),
        ("report all --format ''", "--format is empty"),
        ("tune k-max --scale smoke --study ''", "--study is empty"),
        ("tune k-max --scale smoke --over k-max", "--over k-max: k-max is tuned twice"),
        ("tune k-sample --scale smoke --variant patchd", "changes none of the rows"),
        ("tune k-max --scale smoke --trials 0", "--trials 0: at least 1 is needed"),
        ("cache pull file:///dev/null/x", "file:///dev/null/x: Not a directory"),
        ("cache gc --older-than inf", "--older-than inf: a finite number is needed"),
    ],
)
def test_what_once_ended_badly_is_refused(cli: Cli, line: str, words: str) -> None:
    said = cli(line)
    assert said.code == 2, said
    assert words in said.err
    assert said.err.count("error: ") == 1


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("report ablation-table3", "folder"),
        ("compare ablation-table3/prism ablation-table3/patchd", "folder"),
        ("bundle ablation-table3", "file"),
        ("evaluate ablation-table3/prism", "file"),
        ("data embeddings export --encoder efficientnet-lite0", "file"),
        ("sample ablation-table3/prism", "either"),
    ],
)
def test_no_place_to_write_is_refused_before_the_work(cli: Cli, tmp_path: Path, command: str, kind: str) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    said = cli(f"{command} --out file/below")
    assert (said.code, said.err) == (
        2,
        f"error: --out file/below: {tmp_path}/file is a file, not a folder; name another place\n",
    )
    if kind == "file":
        assert "--out folder is a folder; name a file in it" in cli(f"{command} --out folder").err
    if kind == "folder":
        assert "file is a file, not a folder" in cli(f"{command} --out file").err
    if os.geteuid():
        (tmp_path / "folder").chmod(0o500)
        assert f"{tmp_path}/folder cannot be written to" in cli(f"{command} --out folder/x.zip").err
    assert (tmp_path / "file").read_text() == "mine"
    assert not (tmp_path / "prism-bench-store").exists()


def test_a_resolution_is_checked_by_every_rule_before_anything_is_decoded(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "x.png").write_text("no picture")
    for side, near in ((28, "24 or --resolution 32"), (30, "24 or --resolution 32"), (18, "16 or --resolution 24")):
        said = cli(f"{RUN} --data p --resolution {side}")
        assert said.code == 2
        assert f"every row can have --resolution {near}" in said.err
        assert "Decoding" not in said.out
    assert "images cannot be used" in cli(f"{RUN} --data p --resolution 24").err


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("raise RuntimeError('boom')", "variant mine: RuntimeError in its method (mine.py, line 8): boom"),
        ("return None", "variant mine: its method gives None; it is to return a Method"),
    ],
)
def test_a_plug_in_that_fails_is_named(cli: Cli, tmp_path: Path, method: str, words: str) -> None:
    head = "from dataclasses import dataclass\nfrom prism_bench.prism.variants.variant import Variant\n"
    head += '@dataclass(frozen=True, kw_only=True)\nclass Mine(Variant, name="mine"):\n    """Mine."""\n'
    body = f"    def method(self, scale):\n        {method}\n"
    (tmp_path / "mine.py").write_text(f"{head}    label = 'Mine'\n{body}")
    said = cli(f"{RUN} --plugin mine.py --with mine")
    assert (said.code, said.err) == (2, f"error: {words}\n")
    (tmp_path / "bare.py").write_text(f"{head}{body}".replace('"mine"', '"bare"'))
    assert "variant bare has no label" in cli(f"{RUN} --plugin bare.py --with bare").err
    (tmp_path / "exits.py").write_text("raise SystemExit(0)")
    said = cli(f"{RUN} --plugin exits.py")
    assert said.code == 2
    assert "--plugin exits.py: sys.exit(0) was called in " in said.err


@given(st.floats(allow_nan=True, allow_infinity=True), st.integers())
@settings(phases=[Phase.generate], database=None, suppress_health_check=list(HealthCheck))
def test_no_component_holds_what_is_not_finite_or_beyond_64_bits(real: float, whole: int) -> None:
    target(min(abs(whole), 1e300))
    for name, value in (("ema_rampup", abs(real)), ("images", abs(whole) + 1)):
        fits = value <= LARGEST_WHOLE if isinstance(value, int) else value < float("inf")
        if fits:
            assert getattr(Training().replace(**{name: value}), name) == value
        else:
            with pytest.raises(InputError, match=f"training.{name} must be"):
                Training().replace(**{name: value})


def test_numbers_are_counted_before_they_are_made() -> None:
    assert len(numbers(f"0-{MOST_NUMBERS - 1}")) == MOST_NUMBERS
    for text in (f"0-{MOST_NUMBERS}", f"1,0-{MOST_NUMBERS - 1}", f"0-{LARGEST_WHOLE}"):
        with pytest.raises(ValueError, match="more than 10,000 numbers"):
            numbers(text)
    assert numbers(f"{LARGEST_WHOLE}") == (LARGEST_WHOLE,)
    with pytest.raises(ValueError, match="whole numbers up to"):
        numbers(f"{LARGEST_WHOLE + 1}")
