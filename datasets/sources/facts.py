"""What a newcomer asks of each data set: how large it is, under which terms, how it is had."""

from __future__ import annotations

from typing import NamedTuple


class Facts(NamedTuple):
    """Facts about a data set.

    Attributes
    ----------
    images : int
        Members, queries and database together.
    classes : str
        How many, and of which kind.
    had : str
        Whether it is embedded, downloaded, or fetched by the user.
    page : str
        Where its authors or the hub describe it; empty where it is our own.
    licence : str
        Empty where its page has to tell.
    """

    images: int
    classes: str
    had: str
    page: str
    licence: str = ""

    @property
    def terms(self) -> str:
        """Licence, or where it is read."""
        return f"licence: {self.licence or 'see its page'}" + (f", {self.page}" * bool(self.page))


_HUB = "huggingface.co/datasets"
_HERE, _DOWNLOADED, _BY_HAND = "embedded", "downloaded", "needs --data-root"

FACTS = {
    "digits": Facts(1_797, "10 classes", _HERE, "scikit-learn.org, load_digits"),
    "cifar10": Facts(60_000, "10 classes", _DOWNLOADED, f"{_HUB}/uoft-cs/cifar10"),
    "cifar100": Facts(60_000, "100 classes in 20 groups", _DOWNLOADED, f"{_HUB}/uoft-cs/cifar100"),
    "mnist": Facts(70_000, "10 classes", _DOWNLOADED, f"{_HUB}/ylecun/mnist"),
    "fashion_mnist": Facts(
        70_000, "10 classes", _DOWNLOADED, f"{_HUB}/zalando-datasets/fashion_mnist", "MIT"
    ),
    "tiny_imagenet": Facts(110_000, "200 classes", _DOWNLOADED, f"{_HUB}/zh-plus/tiny-imagenet"),
    "ucmerced": Facts(
        2_100,
        "21 scenes or 17 labels",
        _BY_HAND,
        "weegee.vision.ucmerced.edu/datasets/landuse.html",
    ),
    "nuswide21": Facts(195_834, "21 labels", _BY_HAND, "lms.comp.nus.edu.sg/research/NUS-WIDE.htm"),
    "nuswide81": Facts(209_347, "81 labels", _BY_HAND, "lms.comp.nus.edu.sg/research/NUS-WIDE.htm"),
    "mscoco": Facts(122_218, "80 labels", _BY_HAND, "cocodataset.org"),
    "flickr25k": Facts(25_000, "24 or 38 labels", _BY_HAND, "press.liacs.nl/mirflickr"),
    "voc2012": Facts(11_540, "20 labels", _BY_HAND, "host.robots.ox.ac.uk/pascal/VOC/voc2012"),
    "imagenet100": Facts(133_503, "100 classes", _BY_HAND, "image-net.org"),
    "imagenet": Facts(1_331_167, "1,000 classes", _BY_HAND, "image-net.org"),
    "conceptual_captions": Facts(
        3_334_173, "words of captions", _BY_HAND, "ai.google.com/research/ConceptualCaptions"
    ),
    "synthetic": Facts(600, "5 classes", _HERE, "", "that of this suite"),
}
"""By the names of `datasets.DATASETS`. No licence stands here that its page does not state."""
