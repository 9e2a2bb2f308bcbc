"""One data set a file, the trees over their classes, and data sets by name.

>>> from datasets.sources import protocol_of
>>> protocol_of("cifar100").label
'cifar100/official'
"""

from __future__ import annotations

import re
from dataclasses import replace

from datasets.assemble import assemble
from datasets.base import RetrievalDataset
from datasets.contents import Contents, LoadOptions
from datasets.errors import DatasetError, OptionError, UnknownName
from datasets.errors import lookup as lookup
from datasets.image_source import ImageSource, MemoryImages
from datasets.own.kinds import is_own, own_name, read_own, refuse_own_options
from datasets.own.plugins import Loader, Plugin, offers, read_plugin
from datasets.protocols.protocol import DISTANCES, TUNE, Protocol_
from datasets.protocols.table import PROTOCOLS
from datasets.sources.cifar import load_cifar10
from datasets.sources.cifar100 import load_cifar100
from datasets.sources.coco import load_mscoco
from datasets.sources.conceptual import load_conceptual_captions
from datasets.sources.digits import load_digits
from datasets.sources.flickr import load_flickr25k
from datasets.sources.imagenet import load_imagenet, load_imagenet100
from datasets.sources.mnist import load_fashion_mnist, load_mnist
from datasets.sources.nuswide import load_nuswide21, load_nuswide81
from datasets.sources.synthetic import load_synthetic
from datasets.sources.tiny_imagenet import load_tiny_imagenet
from datasets.sources.ucmerced import load_ucmerced
from datasets.sources.voc import load_voc2012

__all__ = [
    "DATASETS",
    "PROTOCOLS",
    "Contents",
    "DatasetError",
    "ImageSource",
    "LoadOptions",
    "MemoryImages",
    "OptionError",
    "Protocol_",
    "RetrievalDataset",
    "UnknownName",
    "full_name",
    "load",
    "lookup",
    "protocol_of",
    "read",
]

DATASETS: dict[str, Loader] = {
    "digits": load_digits,
    "cifar10": load_cifar10,
    "cifar100": load_cifar100,
    "mnist": load_mnist,
    "fashion_mnist": load_fashion_mnist,
    "tiny_imagenet": load_tiny_imagenet,
    "ucmerced": load_ucmerced,
    "nuswide21": load_nuswide21,
    "nuswide81": load_nuswide81,
    "mscoco": load_mscoco,
    "flickr25k": load_flickr25k,
    "voc2012": load_voc2012,
    "imagenet100": load_imagenet100,
    "imagenet": load_imagenet,
    "conceptual_captions": load_conceptual_captions,
    "synthetic": load_synthetic,
}


DEFAULT_NEIGHBOURS = 10
_TRUTH = re.compile(rf"\+(?:labels|knn(\d{{1,9}})-({'|'.join(DISTANCES)}))$")


def split_truth(name: str) -> tuple[str, tuple[int, str] | None]:
    """Split off what a name says of relevance: k and distance, k = 0 for labels, None for nothing.

    Raises
    ------
    OptionError
        If it asks for no neighbour.

    Examples
    --------
    >>> split_truth("cifar10/1k-5k+knn10-l2"), split_truth("cifar10")
    (('cifar10/1k-5k', (10, 'l2')), ('cifar10', None))
    """
    found = _TRUTH.search(name)
    if found is None:
        return name, None
    if found[1] is None:
        return name[: found.start()], (0, "")
    if int(found[1]) < 1:
        raise OptionError(f"{name}: neighbours must be at least 1, got {found[1]}")
    return name[: found.start()], (int(found[1]), found[2])


def protocol_of(name: str) -> Protocol_:
    """Return the protocol that a name means, without touching any data.

    Parameters
    ----------
    name : str
        ``"cifar10/official"``, or ``"cifar10"`` for its default protocol; with ``+tune`` behind
        it, what settings are chosen by, and then with ``+knn10-l2``, what neighbours decide.

    Returns
    -------
    Protocol_
        The protocol.

    Raises
    ------
    UnknownName
        If there is no such data set or protocol.

    Examples
    --------
    >>> protocol_of("cifar10").label
    'cifar10/1k-5k'
    """
    plain, truth = split_truth(name)
    protocol = _base(plain.removesuffix(TUNE))
    return _of_truth(protocol.for_tuning() if plain.endswith(TUNE) else protocol, truth)


def _base(name: str) -> Protocol_:
    """Look a protocol up in the tables."""
    dataset, slash, protocol = name.partition("/")
    known = _source(dataset).protocols
    if not slash:
        return next(iter(known.values()))
    return lookup(f"protocol of {dataset}", protocol, known)


def _of_truth(protocol: Protocol_, truth: tuple[int, str] | None) -> Protocol_:
    """Let neighbours decide where a name says so."""
    return protocol.of_neighbours(*truth) if truth and truth[0] else protocol


def _source(dataset: str) -> Plugin:
    """Find a data set: our own first, then those that installed packages offer."""
    if dataset in DATASETS:
        return Plugin(PROTOCOLS[dataset], DATASETS[dataset])
    offered = offers()
    lookup("data set", dataset, {**DATASETS, **offered})
    return read_plugin(offered[dataset])


def full_name(name: str) -> str:
    """Return the one name of all that mean the same data set and protocol.

    Raises
    ------
    UnknownName
        If there is no such data set or protocol.

    Examples
    --------
    >>> full_name("cifar10"), full_name("folder:photos/../birds/").endswith("/birds")
    ('cifar10/1k-5k', True)
    """
    if not is_own(name):
        return protocol_of(name).label
    plain = split_truth(name)[0].removesuffix(TUNE)
    return own_name(plain) + name[len(plain) :]


def read(name: str, options: LoadOptions) -> tuple[Protocol_, Contents]:
    """Read what a source holds, and find the protocol that is to split it.

    Parameters
    ----------
    name : str
        ``"cifar10/official"``, ``"cifar10"`` for its default protocol, or ``"folder:PATH"`` and
        its like, see `datasets.own.kinds`.
    options : LoadOptions

    Returns
    -------
    Protocol_, Contents

    Raises
    ------
    UnknownName
        If there is no such data set or protocol.
    OptionError
        If an option makes no sense for this data set.
    DatasetError
        If its files are absent or wrong.
    """
    plain, truth = split_truth(name)
    base = plain.removesuffix(TUNE)
    if is_own(name):
        protocol, contents = read_own(base, options)
    else:
        protocol = _base(base)
        refuse_own_options(protocol.dataset, options)
        contents = _source(protocol.dataset).load(protocol, options)
    if base != plain:  # neighbours that come with the data are those of its own queries
        protocol, contents = protocol.for_tuning(), replace(contents, neighbours=None)
    if is_own(name):
        if truth is None and contents.distance is not None:
            known = protocol.n_database
            if contents.neighbours is not None:
                known = contents.neighbours.shape[1]
            truth = min(DEFAULT_NEIGHBOURS, known), contents.distance
        if not (truth and truth[0]) and not contents.labels.counts().any():
            raise OptionError(f"{plain}: has no labels; give --relevance knn")
    if truth and truth[1] != contents.distance:  # those that come with it are by another distance
        contents = replace(contents, neighbours=None)
    return _of_truth(protocol, truth), contents


def load(name: str, options: LoadOptions | None = None) -> RetrievalDataset:
    """Load a data set, split by a protocol.

    Parameters
    ----------
    name : str
        As for `read`.
    options : LoadOptions, optional
        Where the data lie, and whether rows may be missing.

    Returns
    -------
    RetrievalDataset
        The checked data set.

    Raises
    ------
    DatasetError
        As `read`, or if images are missing and may not be.
    """
    options = options or LoadOptions()
    return assemble(*read(name, options), options)
