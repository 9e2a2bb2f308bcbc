"""Every named protocol: a row each, with its sizes, its rule and who uses it."""

from __future__ import annotations

from datasets.protocols.protocol import Protocol_
from datasets.protocols.rules import LABELLED_INSIDE


def _table(
    dataset: str,
    *rows: tuple[str, int, int, int, str, int, str] | tuple[str, int, int, int, str, int, str, str],
    n_drawn: int = 0,
    unseen: float = 0.0,
    imbalance: int = 0,
) -> dict[str, Protocol_]:
    """One data set's protocols by name; the first is the default."""
    return {
        name: Protocol_(
            *(dataset, name, n_query, n_train, n_database, rule, cutoff, "shares a label", source),
            resize="".join(resize),
            n_drawn=n_drawn,
            unseen=unseen,
            imbalance=imbalance,
        )
        for name, n_query, n_train, n_database, rule, cutoff, source, *resize in rows
    }


# Each row: name, queries, train, database, rule, cutoff k, source, and what is known of resizing.
# fmt: off
PROTOCOLS: dict[str, dict[str, Protocol_]] = {
    "digits": _table(
        "digits",
        ("300-1497", 300, 1497, 1497, "pooled, train is the database", 100, "our own"),
    ),
    "cifar10": _table(
        "cifar10",
        ("1k-5k", 1000, 5000, 59_000, "pooled, train inside the database", 1000,
         "SDC (BMVC 2023); `cifar10-1` of WCH's code",
         "SDC: resized and the centre cut out, of sizes not known; WCH: whole, 224 px"),
        ("official", 10_000, 50_000, 50_000, "official parts, train is the database", 1000,
         "GreedyHash (in its code), TBH, OH, CGHash; SPQ by others' account, its code not read"),
        # CIBHash validates on the half of the test part that is unused here.
        ("cibhash", 5000, 5000, 50_000, "official parts, train inside the database", 1000,
         "CIBHash (IJCAI 2021), github.com/zexuanqiu/CIBHash",
         "CIBHash: whole, 224 px"),
        ("wch", 1000, 5000, 54_000, "pooled, train outside the database", 1000,
         "WCH (ACCV 2022), default of github.com/RosieYuu/WCH",
         "WCH: whole, 224 px"),
        # As large as the official parts, but 1,000 queries a class of all images.
        ("10k-50k", 10_000, 50_000, 50_000, "pooled, train is the database", 1000,
         "Bi-half's (AAAI 2021) and MeCoQ's (AAAI 2022) CIFAR-10 (I)",
         "Bi-half: whole, 224 px; MeCoQ: not known"),
        # The cutoff is the whole database: mAP over all.
        ("10k-5k", 10_000, 5000, 50_000, "pooled, train inside the database", 50_000,
         "CIMON (IJCAI 2021), Bi-half's CIFAR-10 (II); MeCoQ's (II) at 1,000; DistillHash by "
         "CIMON's account",
         "CIMON: 256 px, the centre of 224 px; Bi-half: whole, 224 px; others: not known"),
    ) | _table(
        "cifar10",
        ("unseen", 1000, 3500, 59_000, "pooled, train inside the database", 1000,
         "our own: `1k-5k`, 3 classes out of training"),
        n_drawn=5000, unseen=0.25,
    ) | _table(
        "cifar10",
        ("longtail-100", 10_000, 12_406, 50_000, "official parts, train is the database", 1000,
         "our own: `official`, its training rows those of CIFAR-10-LT's sizes"),
        n_drawn=50_000, imbalance=100,
    ),
    "cifar100": _table(
        "cifar100",
        # The cutoff is of mAP; mAHP@2500 looks at as many images as a coarse class has.
        ("official", 10_000, 50_000, 50_000, "official parts, train is the database", 1000,
         "HPDH, KL-hash"),
        ("1k-5k", 1000, 5000, 59_000, "pooled, train inside the database", 1000,
         "our own, after CIFAR-10's"),
        ("coarse-official", 10_000, 50_000, 50_000, "official parts, train is the database", 1000,
         "our own: the 20 coarse labels"),
        ("coarse-1k-5k", 1000, 5000, 59_000, "pooled, train inside the database", 1000,
         "our own: the 20 coarse labels"),
    ) | _table(
        "cifar100",
        ("unseen", 10_000, 37_500, 50_000, "official parts, train is the database", 1000,
         "our own: `official`, 25 classes out of training"),
        n_drawn=50_000, unseen=0.25,
    ),
    "mnist": _table(
        "mnist",
        ("1k-5k", 1000, 5000, 69_000, "pooled, train inside the database", 1000,
         "our own, after CIFAR-10's"),
        ("official", 10_000, 60_000, 60_000, "official parts, train is the database", 1000,
         "our own: the published parts"),
    ),
    "fashion_mnist": _table(
        "fashion_mnist",
        ("1k-5k", 1000, 5000, 69_000, "pooled, train inside the database", 1000,
         "our own, after CIFAR-10's"),
        ("official", 10_000, 60_000, 60_000, "official parts, train is the database", 1000,
         "our own: the published parts"),
    ),
    "tiny_imagenet": _table(
        "tiny_imagenet",
        ("official", 10_000, 5000, 100_000, "official parts, train inside the database", 1000,
         "our own: the published parts"),
    ) | _table(
        "tiny_imagenet",
        ("unseen", 10_000, 3750, 100_000, "official parts, train inside the database", 1000,
         "our own: `official`, 50 classes out of training"),
        n_drawn=5000, unseen=0.25,
    ),
    "ucmerced": _table(
        "ucmerced",
        ("scene", 210, 1890, 1890, "pooled, train is the database", 100,
         "our own: ten queries a scene"),
        ("multi", 210, 1890, 1890, "pooled, train is the database", 100,
         "our own: the 17 labels of Chaudhuri et al."),
    ),
    "nuswide21": _table(
        "nuswide21",
        ("2k-10k", 2100, 10_500, 193_734, "pooled, train inside the database", 5000,
         "WCH and the SSDH line: 100 queries and 500 training images a concept",
         "WCH: short side 224 px, the centre of 224 px"),
        ("lists", 2100, 10_500, 193_734, "as listed", 5000,
         "github.com/swuxyj/DeepHash-pytorch, nuswide_21"),
    ),
    "nuswide81": _table(
        "nuswide81",
        ("5k-10k", 5000, 10_000, 204_347, LABELLED_INSIDE, 5000,
         "our own: as many queries and training images as HashNet, drawn at random from the "
         "complete set; its own rows are those of `lists`"),
        ("lists", 5000, 10_000, 168_692, "as listed", 5000, "HashNet (ICCV 2017)"),
    ),
    "mscoco": _table(
        "mscoco",
        ("5k-10k", 5000, 10_000, 117_218, LABELLED_INSIDE, 5000, "WCH, Bi-half, DUH-EG",
         "WCH: short side 224 px, the centre of 224 px; Bi-half, DUH-EG: not known"),
        ("lists", 5000, 10_000, 117_218, "as listed", 5000,
         "HashNet (ICCV 2017), Bi-half; github.com/thuml/HashNet"),
    ),
    "flickr25k": _table(
        "flickr25k",
        ("2k-5k", 2000, 5000, 23_000, "pooled at random, train inside the database", 5000,
         "MeCoQ (AAAI 2022); 24 labels"),
        # The cutoff is the whole database: mAP over all.
        ("bihalf", 2000, 5000, 23_000, "pooled at random, train inside the database", 23_000,
         "Bi-half (AAAI 2021); 24 labels"),
        ("labelled", 2000, 5000, 22_581, LABELLED_INSIDE, 5000,
         "github.com/Dreamupers/DeepHashing; images with one of 24 labels"),
        ("ssdh", 2000, 10_000, 18_015, "as listed", 5000,
         "SSDH (IJCAI 2018), github.com/yangerkun/IJCAI2018_SSDH; 24 labels",
         "SSDH: stretched to 224 px"),
        ("lists", 1000, 4000, 20_000, "as listed", 20_000,
         "github.com/swuxyj/DeepHash-pytorch, mirflickr; 38 labels"),
    ),
    "voc2012": _table(
        "voc2012",
        ("1k-4k", 1000, 4000, 10_540, "pooled at random, train inside the database", 5000,
         "our own"),
        ("lists", 1000, 4000, 6540, "as listed", 6540,
         "github.com/swuxyj/DeepHash-pytorch, voc2012"),
    ),
    "imagenet100": _table(
        "imagenet100",
        ("lists", 5000, 13_000, 128_503, "as listed", 1000,
         "HashNet (ICCV 2017), SDC, FIRe; github.com/thuml/HashNet"),
    ),
    "imagenet": _table(
        "imagenet",
        ("official", 50_000, 100_000, 1_281_167, "official parts, train inside the database",
         1000, "our own: 100 training images a class"),
    ),
    "conceptual_captions": _table(
        "conceptual_captions",
        ("official", 15_840, 100_000, 3_318_333, "official parts, train inside the database",
         5000, "our own; a label is a frequent word of the caption"),
    ),
    "synthetic": _table(
        "synthetic",
        ("tiny", 50, 300, 550, "pooled, train inside the database", 100, "our own, for tests"),
    ),
}
# fmt: on
