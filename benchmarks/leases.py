"""How many looks at leases a process and a file system bear.

    python -m benchmarks.leases [--folder DIR] [--looks 2000]

Times are wall seconds on files of that folder. A look is what a command that has nothing to do costs for each stage
that others make, twice a second. elsewhere: the holder is on another machine; here: on this one, and alive.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from prism_bench.prism.engine.lease import Holder
from prism_bench.prism.engine.store import Address, Store

STAGES = 50


def main() -> None:
    parser = argparse.ArgumentParser(description="Looks at leases.")
    parser.add_argument("--folder", type=Path, help="where the store is (default: the system's temporary folder)")
    parser.add_argument("--looks", type=int, default=2000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        store = Store.create(Path(folder))
        addresses = [Address("training", f"{index:020x}") for index in range(STAGES)]
        here = Holder.here()
        others = {"elsewhere": replace(here, machine="another", host="another"), "here": here}
        print("| what | times a second |\n|---|---:|")
        print(f"| nobody has it | {rate(lambda one: store.lease(one).holder(), addresses, options.looks):,.0f} |")
        for name, holder in others.items():
            for one in addresses:
                (store.root / "locks" / str(one)).mkdir(parents=True, exist_ok=True)
                (store.root / "locks" / str(one) / "1.json").write_text(json.dumps(asdict(holder)))
            looks = rate(lambda one: store.lease(one).holder(), addresses, options.looks)
            print(f"| held, {name} | {looks:,.0f} |")
        taken = rate(lambda one: take(store, one), [Address("samples", one.key) for one in addresses], options.looks)
        print(f"| taken and given back | {taken:,.0f} |")


def take(store: Store, address: Address) -> None:
    lease = store.lease(address)
    lease.acquire()
    lease.release()


def rate(what: Callable[[Address], object], addresses: list[Address], times: int) -> float:
    started = time.perf_counter()
    for index in range(times):
        what(addresses[index % len(addresses)])
    return times / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
