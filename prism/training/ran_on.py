"""Going on as before: what the bits of a training depend on beside its settings is kept from process to process."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from prism_bench.prism.engine.manifest import UsedRuntime
from prism_bench.prism.engine.runtime import Report, Runtime


@contextmanager
def as_before(earlier: Sequence[UsedRuntime], runtime: Runtime, report: Report) -> Iterator[tuple[UsedRuntime, ...]]:
    """Train with the threads of the process that wrote the checkpoint, and say what cannot be kept.

    earlier: what a training ran on before, oldest first. Yields the same with this process, where it is another kind.
    The order of a sum depends on the number of threads, and so does its last bit; a device or a torch of another kind
    computes otherwise, which the report then says, and the manifest names all of them.
    """
    now = UsedRuntime.here(runtime.device, runtime.threads, compiled=runtime.compiles)
    threads = torch.get_num_threads()
    if earlier:
        last = earlier[-1]
        changed = [
            f"{what} {there} -> {here}"
            for what, there, here in (
                ("device", last.kind, now.kind),
                ("torch", last.torch, now.torch),
                ("compiled", last.compiled, now.compiled),
            )
            if there != here
        ]
        if changed:
            said = f"goes on otherwise than it began ({', '.join(changed)}), so its bits are those of neither"
            report.note = "; ".join(filter(None, (report.note, said)))
        if last.kind == now.kind and last.threads != now.threads:
            torch.set_num_threads(last.threads)
            now = now.model_copy(update={"threads": last.threads})
    report.ran_on = (*earlier, now) if now not in earlier[-1:] else tuple(earlier)
    try:
        yield report.ran_on
    finally:
        torch.set_num_threads(threads)
