"""Which formats and suffixes are pictures that are read: all still pictures of which this Pillow knows a suffix."""

from functools import cache

from PIL import Image

NO_PICTURES = frozenset({"BUFR", "GRIB", "HDF5", "IPTC", "MPEG", "PDF"})
"""What Pillow registers beside still pictures: containers of data, films, documents. Such files are left out."""
SAME_READER = {"MPO": "JPEG"}
VECTOR, UNRANGED, UNKNOWN = "a vector graphic", "measurements of no fixed range", "not read by Pillow as installed here"
REFUSED = {"EPS": VECTOR, "WMF": VECTOR, "FITS": UNRANGED}
OF_OTHERS = {
    **dict.fromkeys((".svg", ".svgz"), VECTOR),
    **dict.fromkeys((".heic", ".heif", ".jxl", ".avif", ".jp2"), UNKNOWN),
    **dict.fromkeys((".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"), UNKNOWN),
}
"""Suffixes of pictures that Pillow does not register, or registers only where it was built with a library."""

_PACKED = "unpack it and give the folder"
OF_OTHER_PROGRAMS = {
    ".tar": "pictures in .tar files (shards of WebDataset, archives) are not read: unpack them (tar -xf) into a folder",
    **dict.fromkeys((".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar"), _PACKED),
    ".parquet": "parquet files are read alone or from a folder, not from within an archive: " + _PACKED,
    ".arrow": "Arrow files are read as save_to_disk of `datasets` leaves them: give that folder, with its state.json",
    **dict.fromkeys((".tfrecord", ".h5", ".hdf5", ".mat", ".pkl", ".pt"), "write the pictures to a folder as PNG"),
}
"""Files that hold pictures in a form that is not read, by suffix, and what to do with them."""


@cache
def _registered() -> dict[str, str]:
    """The format of each suffix that Pillow opens."""
    known = {suffix: SAME_READER.get(name, name) for suffix, name in Image.registered_extensions().items()}
    return {suffix: name for suffix, name in known.items() if name in Image.OPEN and name not in NO_PICTURES}


@cache
def read_formats() -> tuple[str, ...]:
    """Pillow's names of the formats that are read, the common ones first, as Pillow tries them."""
    named = set(_registered().values()) - REFUSED.keys()
    return tuple(name for name in Image.OPEN if name in named)


@cache
def read_suffixes() -> frozenset[str]:
    """The suffixes, with their dot and in lower case, of the pictures that are read."""
    return frozenset(suffix for suffix, name in _registered().items() if name not in REFUSED)


@cache
def refused_suffixes() -> dict[str, str]:
    """Suffixes of pictures that are not read, and why; they are reported as bad, not passed over."""
    own = {suffix: REFUSED[name] for suffix, name in _registered().items() if name in REFUSED and suffix != ".ps"}
    return {suffix: why for suffix, why in (OF_OTHERS | own).items() if suffix not in read_suffixes()}
