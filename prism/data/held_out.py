"""Images that a dataset of the paper keeps out of X: its published test set."""

from dataclasses import dataclass

from typing_extensions import override

from prism_bench.prism.data.base import Dataset
from prism_bench.prism.data.decode import check_resolution


@dataclass(frozen=True, kw_only=True)
class HeldOutImages(Dataset, name="held-out"):
    """The test set of a prepared dataset; metrics compare with it, nothing trains on it.

    Attributes: of (the dataset's name), resolution, content (SHA-256, hex, of what was read).
    """

    of: str = ""
    resolution: int = 32
    content: str = ""

    def __post_init__(self) -> None:
        check_resolution(self.resolution)

    @property
    @override
    def preparation(self) -> str:
        return (
            f"the held-out images of {self.of or 'this dataset'} are not in the store; prepare it again: "
            f"prism-bench data prepare {self.of or 'NAME'} --from PATH"
        )
