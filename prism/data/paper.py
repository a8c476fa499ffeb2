"""The paper's four datasets, as far as they are known before their files are there (paper section 5.1, Table 1)."""

from dataclasses import dataclass
from typing import ClassVar

from prism.data.base import Dataset, Images
from prism.errors import InputError


@dataclass(frozen=True, kw_only=True)
class PaperDataset(Dataset):
    """A dataset that plans can be made for without its files; `build` says how to give them."""

    title: ClassVar[str]

    @property
    def label(self) -> str:
        """The dataset's own name."""
        return self.title

    def build(self) -> Images:
        """Raises InputError always: the pictures come from the user's copy."""
        raise InputError(
            f"the pictures of {self.title} are not here; give your copy as a folder, a .zip or an .npz of images: "
            f"--data {self.name}=PATH (they are resized to {self.resolution}x{self.resolution})"
        )


@dataclass(frozen=True, kw_only=True)
class Cifar10(PaperDataset, name="cifar10"):
    """CIFAR-10, 50,000 training images in ten classes, 32x32 (Krizhevsky 2009); D 40K, X_train 10K."""

    title: ClassVar[str] = "CIFAR-10"
    declared: ClassVar[tuple[int, ...]] = (5000,) * 10
    retrieval_fraction: ClassVar[float] = 40 / 50
    resolution: int = 32


@dataclass(frozen=True, kw_only=True)
class CelebA(PaperDataset, name="celeba"):
    """CelebA, 202,599 aligned faces at 64x64 (Liu et al. 2015); D and X_train as 162 : 70.

    Differs from the paper: it counts 232K images, the aligned release has 202,599.
    """

    title: ClassVar[str] = "CelebA"
    declared: ClassVar[tuple[int, ...]] = (202_599,)
    resolution: int = 64


@dataclass(frozen=True, kw_only=True)
class ImageNet100(PaperDataset, name="imagenet100"):
    """ImageNet-100, 100 classes of ImageNet at 64x64, about 130,000 images; D 100K, X_train 30K.

    The number per class is declared as 1,300 until the files have been counted.
    """

    title: ClassVar[str] = "ImageNet-100"
    declared: ClassVar[tuple[int, ...]] = (1300,) * 100
    retrieval_fraction: ClassVar[float] = 100 / 130
    resolution: int = 64


@dataclass(frozen=True, kw_only=True)
class AFHQv2(PaperDataset, name="afhqv2"):
    """AFHQv2, 15,803 animal faces (cat, dog, wild; train and test) at 64x64 (Choi et al. 2020); D 10K, X_train 5K."""

    title: ClassVar[str] = "AFHQv2"
    declared: ClassVar[tuple[int, ...]] = (5558, 5169, 5076)
    retrieval_fraction: ClassVar[float] = 10 / 15
    resolution: int = 64
