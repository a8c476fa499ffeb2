"""`prism-bench doctor`: what this machine can run, on one screen; every line that fails says what mends it."""

import io
import platform
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from packaging.version import Version
from rich.console import Console

from prism_bench.experiments.formatting import counted, size
from prism_bench.experiments.options.stored import DoctorOptions
from prism_bench.experiments.screen import Screen
from prism_bench.prism.engine.runtime import usable_cores
from prism_bench.prism.engine.store import Store
from prism_bench.prism.errors import InputError

if TYPE_CHECKING:
    from prism_bench.prism.encoders.base import Encoder

State = Literal["ok", "note", "fails"]
MAIN = ("run", "ablation-table3", "--scale", "smoke")
"""What is typed first."""
LEAST_DISK = 2 * 2**30
GOLDEN_DATA = "e56224d960fafade674dfa36daed511687b6cb019961eee87d377c0a0efd1459"
GOLDEN_LOSS, LOSS_TOLERANCE = 188.729, 2e-3
GOLDEN_FLOOR, FLOOR_TOLERANCE = 572.259, 1e-3
"""The tiny run's data (to the byte), training loss and floor (relative), on CPUs and GPUs alike up to rounding."""
GOLDEN_SETTINGS = "samples=16 training.images=128 training.rampup_images=0 sampler.steps=3 dataset.size=64"


@dataclass(frozen=True)
class Line:
    """One finding: what was looked at, how it stands, what was found, and the command that mends it."""

    name: str
    state: State
    text: str
    remedy: str = ""


def run_doctor(options: DoctorOptions, console: Console) -> list[Line]:
    """Print every finding as it is made; one fails that a run here needs."""
    found: list[Line] = []
    checks: list[tuple[str, Callable[[], Iterator[Line]]]] = [
        ("versions", _versions),
        ("devices", _devices),
        ("OpenMP", _openmp),
        ("store", lambda: _store(options)),
        ("weights", _weights),
        ("data", lambda: _data(options)),
    ]
    for name, check in [*checks, *([("golden run", _golden)] if options.golden else [])]:
        for line in _guarded(name, check):
            found.append(line)
            colour = {"ok": "green", "note": "yellow", "fails": "red"}[line.state]
            console.print(f"[{colour}]{line.state:>5}[/]  ", end="")
            console.print(f"{line.name}: {line.text}", markup=False)
            if line.remedy:
                console.print(f"       {line.remedy}", markup=False)
    failed = sum(line.state == "fails" for line in found)
    if failed:
        console.print(f"{counted(failed, 'check')} failed; what mends each stands below it")
    else:
        console.print(f"Ready: {options.next_command(*MAIN)}", markup=False)
    return found


def _guarded(name: str, check: Callable[[], Iterator[Line]]) -> Iterator[Line]:
    """The lines of a check. One that breaks is a finding like any other: this command is for broken machines."""
    try:
        yield from check()
    except Exception as error:
        yield Line(name, "fails", f"{type(error).__name__}: {error}", "python -m pip install --force-reinstall .")


def _versions() -> Iterator[Line]:
    from prism_bench.experiments.execution.cell_record import environment

    found = environment()
    missing = [library for library, version in found.items() if version.startswith("not installed")]
    yield Line("python", "ok", f"{platform.python_version()} on {sys.platform} {platform.machine()}")
    if missing:
        yield Line("libraries", "fails", f"{', '.join(missing)} missing", "python -m pip install .")
    else:
        libraries = [name for name in found if name not in {"python", "system"}]
        yield Line("libraries", "ok", ", ".join(f"{name} {found[name]}" for name in libraries))
    yield from _mismatches()


def _mismatches() -> Iterator[Line]:
    """Combinations that are known not to work, though each part is installed."""
    import torch

    release, vision = Version(torch.__version__).release, Version(version("torchvision")).release
    # Since torch 2.0 and torchvision 0.15 the two are built in step.
    if release[0] == 2 and vision[1] != release[1] + 15:
        fitting = f"0.{release[1] + 15}.*"
        text = f"torchvision {version('torchvision')} was not built for torch {torch.__version__}"
        yield Line("torchvision", "fails", text, f"python -m pip install 'torchvision=={fitting}'")
    if shutil.which("nvidia-smi") and torch.version.cuda is None:
        text = f"an NVIDIA driver is here, but torch {torch.__version__} was built without CUDA"
        yield Line("torch", "note", text, "python -m pip install --force-reinstall torch torchvision  (a CUDA build)")


def _devices() -> Iterator[Line]:
    import torch

    cores = counted(usable_cores(), "core")
    yield Line("processor", "ok", f"{cores}, torch uses {counted(torch.get_num_threads(), 'thread')}")
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        half = "bf16" if torch.cuda.is_bf16_supported() else "no bf16: --set training.precision=float32"
        yield Line(f"cuda:{index}", "ok", f"{facts.name}, {size(facts.total_memory)}, {half}")
    if not torch.cuda.is_available():
        yield Line("GPU", "note", "none that torch can use; scales smoke and laptop are made for that")


def _openmp() -> Iterator[Line]:
    import faiss  # noqa: F401 - it brings its own copy
    import torch  # noqa: F401 - and so does it
    from threadpoolctl import threadpool_info

    copies = [Path(pool["filepath"]).name for pool in threadpool_info() if pool["user_api"] == "openmp"]
    text = f"{counted(len(copies), 'copy') if len(copies) == 1 else f'{len(copies)} copies'} loaded"
    if len(copies) > 1 and sys.platform == "darwin":
        remedy = "if it crashes: conda install faiss-cpu pytorch (one OpenMP for both), or OMP_NUM_THREADS=1"
        yield Line("OpenMP", "note", f"{text} ({', '.join(copies)}), which is known to crash on macOS", remedy)
    else:
        yield Line("OpenMP", "ok", text)


def _store(options: DoctorOptions) -> Iterator[Line]:
    store = options.store
    try:
        Store.create(store)
    except InputError as error:
        yield Line("store", "fails", str(error), "prism-bench ... --store ANOTHER-FOLDER")
        return
    free = shutil.disk_usage(store).free
    state: State = "ok" if free >= LEAST_DISK else "fails"
    remedy = f"free some space, or name another disk with --store DIR; {options.next_command('cache', 'gc')}"
    yield Line("store", state, f"{store} can be written, {size(free)} free", "" if state == "ok" else remedy)


def _weights() -> Iterator[Line]:
    from prism_bench.prism.encoders.clip import CLIP
    from prism_bench.prism.encoders.efficientnet import EfficientNetLite0, EfficientNetLite2
    from prism_bench.prism.encoders.inception import InceptionClean

    for encoder in (EfficientNetLite0(), EfficientNetLite2()):
        yield _checked(encoder, encoder.name, "python -m pip install --force-reinstall .")
    inception, clip = InceptionClean(), CLIP()
    if inception.at_hand():
        yield _checked(inception, "inception (FID)", f"rm {inception.weights.at_hand()}")
    else:
        remedy = f"fetched at first use, or put {inception.weights.file} into the folder PRISM_BENCH_WEIGHTS names"
        yield Line("inception (FID)", "note", "not here; scales gpu and paper need it", remedy)
    if clip.weights_sha256 is not None:
        yield Line("clip", "ok", f"{clip.model}, {clip.pretrained}, sha256 {clip.weights_sha256[:12]}")
    else:
        remedy = "fetched from the Hugging Face hub at first use (HF_HOME), or a file: --clip-weights PATH"
        yield Line("clip", "note", "not here; scales gpu and paper retrieve with it", remedy)


def _checked(encoder: "Encoder", name: str, remedy: str) -> Line:
    """Whether an encoder's weights are what they should be."""
    try:
        encoder.check()
    except InputError as error:
        return Line(name, "fails", str(error), remedy)
    return Line(name, "ok", f"sha256 {str(encoder.weights_sha256)[:12]}")


def _data(options: DoctorOptions) -> Iterator[Line]:
    from prism_bench.experiments.data.prepare import note_of, prepared
    from prism_bench.experiments.paper.scales import PAPER_DATASETS

    kept = Store(options.store)
    for name, dataset in PAPER_DATASETS.items():
        note = note_of(dataset, kept)
        if note is None or prepared(dataset, kept) is None:
            remedy = options.next_command("data", "prepare", name, "--from", "PATH")
            yield Line(name, "note", "not here; scale paper needs it", remedy)
        else:
            yield Line(name, "ok", f"{note['images']:,} images at {dataset.resolution}x{dataset.resolution}")


def _golden() -> Iterator[Line]:
    """PRISM's whole way from data to a number, tiny, against what it gave when this was written."""
    from prism_bench.analysis.schema.records import load_record
    from prism_bench.experiments.execution.run_experiments import run_experiments
    from prism_bench.experiments.options.training import RunOptions
    from prism_bench.prism.data.toyfaces import ToyFaces
    from prism_bench.prism.data.user_images.image_files import content_of
    from prism_bench.prism.training.training_log import read_log

    began = time.monotonic()
    if content_of(ToyFaces(resolution=16, size=64).build()) != GOLDEN_DATA:
        text = "toyfaces are drawn differently here"
        yield Line("golden run", "fails", text, "python -m pip install --upgrade numpy")
    with tempfile.TemporaryDirectory() as folder:
        options = RunOptions(
            experiments=("ablation-table3",),
            scale="smoke",
            settings=tuple(GOLDEN_SETTINGS.split()),
            only=(("variant", "prism"),),
            workers=0,
            mlflow=False,
            store=Path(folder),
        )
        said = io.StringIO()
        result = run_experiments(options, Screen.on(Console(file=said, highlight=False, soft_wrap=True)))
        if not result.ok:
            text = said.getvalue().strip()[-400:]
            yield Line("golden run", "fails", text, shlex.join(["prism-bench", *MAIN]))
            return
        (path,) = Path(folder).glob("records/*.json")
        record = load_record(path)
        log = Path(folder) / "stages" / "training" / record.stages["training"] / "metrics.jsonl"
        loss = list(read_log(log))[-1]["loss"]
    floor = next(value.floor or 0.0 for value in record.values if value.name.startswith("fd_"))
    wrong = [
        f"{name} {found:.6g} instead of {golden:.6g}"
        for name, found, golden, tolerance in (
            ("training loss", loss, GOLDEN_LOSS, LOSS_TOLERANCE * GOLDEN_LOSS),
            ("floor", floor, GOLDEN_FLOOR, FLOOR_TOLERANCE * GOLDEN_FLOOR),
        )
        if abs(found - golden) > tolerance
    ]
    seconds = time.monotonic() - began
    if wrong:
        text = f"it gives other numbers here: {', '.join(wrong)}"
        yield Line("golden run", "fails", text, "compare the versions above with those of a record you trust")
    else:
        yield Line("golden run", "ok", f"data, training, sampling and metric as they should be ({seconds:.0f} s)")
