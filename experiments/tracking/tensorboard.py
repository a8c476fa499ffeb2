"""TensorBoard: event files in the store, a folder for each cell."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from prism_bench.experiments.tracking.cells import CellRun, CellsView, Key
from prism_bench.experiments.tracking.payload import EVERYTHING, MEASURED, PICTURE, Point, now_ms, typed
from prism_bench.experiments.tracking.tracker import Tracker
from prism_bench.prism.errors import InputError

FOLDER = "tensorboard"


class TensorBoard:
    """`--log tensorboard`."""

    def check(self) -> None:
        """Refuse where it is not installed.

        Raises:
            InputError: with the command that installs it.
        """
        if find_spec("tensorboard") is None:
            raise InputError('--log tensorboard needs the package tensorboard: pip install "prism-bench[tensorboard]"')

    def tracker(self, store: Path, say: Callable[[str], None]) -> Tracker:
        """Says how it is looked at."""
        folder = store / FOLDER
        say(f"TensorBoard: {shlex.join(['tensorboard', '--logdir', str(folder)])}")
        remedy = "the same command writes what is missing"
        return Tracker(f"TensorBoard in {folder}", lambda plan: _View(store, plan), say, remedy=remedy)


class _View(CellsView):
    name = "tensorboard"

    def open(self, key: Key, params: Mapping[str, str]) -> CellRun:
        folder = self.shown(key).parent
        # Of an attempt that did not come to its end: what it showed is shown again.
        for path in folder.glob("events.out.tfevents.*"):
            path.unlink()
        return _Run(folder, params)

    def shown(self, key: Key) -> Path:
        return self.store / FOLDER / self.plan.experiment / self.plan.plan[:8] / self.names[key] / "shown.json"


class _Run(CellRun):
    def __init__(self, folder: Path, params: Mapping[str, str]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder), flush_secs=10)
        self._params, self._began = params, now_ms() / 1000

    def points(self, points: Sequence[Point]) -> None:
        for point in points:
            for name, value in point.values.items():
                self._writer.add_scalar(name, value, point.step, walltime=self._began + point.seconds)

    def final(self, values: Mapping[str, float], step: int, picture: Path | None) -> None:
        from torch.utils.tensorboard.summary import hparams

        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        shown = {name: typed(text) for name, text in self._params.items() if not name.startswith(EVERYTHING)}
        measured = {name: value for name, value in values.items() if name.startswith(MEASURED)}
        for summary in hparams(shown, measured):  # type: ignore[no-untyped-call]
            self._writer.file_writer.add_summary(summary)
        if picture is not None:
            import numpy as np
            from PIL import Image

            with Image.open(picture) as image:
                pixels = np.asarray(image.convert("RGB"))
            self._writer.add_image(PICTURE.partition(".")[0], pixels, step, dataformats="HWC")

    def close(self, *, ok: bool) -> None:
        self._writer.close()
