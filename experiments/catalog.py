"""The paper's experiments as data."""

import json
from abc import abstractmethod
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, ClassVar, NamedTuple

from prism.component import Component

DATASET_TITLES = {"celeba": "CelebA 64x64", "cifar10": "CIFAR-10 32x32"}


class Quoted(NamedTuple):
    """A number of the paper's, never merged with a measured one."""

    column: str
    value: float


@dataclass(frozen=True, kw_only=True)
class Experiment(Component, family="experiment"):
    """A table or figure: its rows by variant name, and the paper's numbers for them."""

    title: ClassVar[str]
    paper_table: ClassVar[str]
    quoted_source: ClassVar[str]
    variants: ClassVar[tuple[str, ...]]

    @abstractmethod
    def quoted(self, variant: str) -> tuple[Quoted, ...]:
        """The paper's numbers for a row; empty for a row the paper does not have."""


@dataclass(frozen=True, kw_only=True)
class AblationTable3(Experiment, name="ablation-table3"):
    """Table 3: what retrieval (RAG), the Set Transformer (ST) and the dynamic schedule (DS) each add to PatchD."""

    title: ClassVar[str] = "Ablation: retrieval (RAG), Set Transformer (ST), dynamic scheduling (DS)"
    paper_table: ClassVar[str] = "Table 3"
    quoted_source: ClassVar[str] = "PRISM, Table 3: FID, 50,000 samples against all real training images"
    variants: ClassVar[tuple[str, ...]] = ("patchd", "rag", "st-rag", "prism")

    def quoted(self, variant: str) -> tuple[Quoted, ...]:
        """FID on CelebA and CIFAR-10."""
        names = {"patchd": "patchd", "rag": "rag", "st-rag": "st+rag", "prism": "prism"}
        for row in paper_numbers()["table3"]:
            if row["method"] == names.get(variant):
                return tuple(Quoted(title, row[key]) for key, title in DATASET_TITLES.items())
        return ()


def paper_numbers() -> dict[str, Any]:
    """The paper's published numbers, with their source, as shipped in paper.json."""
    value: dict[str, Any] = json.loads(files("experiments").joinpath("paper.json").read_text())
    return value
