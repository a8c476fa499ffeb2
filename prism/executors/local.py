"""The executor of this machine alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from prism_bench.prism.engine.store import Store
from prism_bench.prism.executors.devices import devices_called
from prism_bench.prism.executors.executor import Executor, Resources
from prism_bench.prism.executors.local_pool import LocalPool


@dataclass(frozen=True, kw_only=True)
class Local(Executor, name="local"):
    """Processes of this machine, one for each GPU or core."""

    divides: ClassVar[bool] = True

    @override
    def pool(self, store: Store, asked: Resources, plugins: tuple[Path, ...]) -> LocalPool:
        return LocalPool(store, asked.here(devices_called(asked.device)), plugins)
