"""Named protocols as data: how many rows ask, train and answer, and which rows they are.

The same Roman numeral means different things in different papers, so a protocol is named here by
what it does, and `Protocol_.sizes` belongs into every output.

Rows are drawn by the rules of `datasets.protocols.rules`, the same on every machine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from torch import Tensor

from datasets.errors import DatasetError, lookup
from datasets.labels import Labels
from datasets.protocols.rules import RULES, Split, n_set_aside, set_aside
from datasets.protocols.training_part import long_tail, unseen_classes, without_classes

TUNE = "+tune"
"""What the name of a protocol ends in that settings are chosen by."""

DISTANCES = {"l2": "Euclidean distance", "cosine": "cosine", "ip": "inner product"}
"""By which neighbours are nearest, and what it is called."""


@dataclass(frozen=True)
class Protocol_:
    """One way to split one data set and to score it.

    Parameters
    ----------
    dataset, name : str
        ``"cifar10"`` and ``"1k-5k"``.
    n_query, n_train, n_database : int
        Sizes of the three parts, in rows.
    rule : str
        Key of `datasets.protocols.rules.RULES`: which rows make up the parts.
    cutoff : int
        The k of mAP@k, in database items.
    relevance : str
        When a database item counts as relevant to a query.
    source : str
        Who uses this protocol. A note: it takes no part in the digest.
    resize : str
        How papers that use it bring a test image to the input of their network; empty where
        nothing is known of it. A note, too.
    neighbours : int
        k, where the k nearest database items of a query are what is relevant to it; 0 where labels
        decide.
    distance : str
        "l2", "cosine" or "ip", by which they are nearest.
    n_drawn : int
        Training rows that the rule gives before some are left out of them; 0 where all stay.
    unseen : float
        Share of the classes that no training row has, see `datasets.protocols.training_part`; 0
        leaves none out.
    imbalance : int
        By how much the first class has more training rows than the last, see there; 0 for as many
        as the rule gives.
    tunes : `Protocol_` or None
        The protocol whose training rows are split once more, see `for_tuning`.

    Examples
    --------
    >>> rule = "pooled, train is the database"
    >>> protocol = Protocol_("birds", "tiny", 10, 50, 50, rule, 20, "shares a label", "our own")
    >>> protocol.label, protocol.sizes
    ('birds/tiny', '10 queries, 50 train, 50 database, mAP@20')
    """

    dataset: str
    name: str
    n_query: int
    n_train: int
    n_database: int
    rule: str
    cutoff: int
    relevance: str
    source: str
    resize: str = ""
    neighbours: int = 0
    distance: str = ""
    n_drawn: int = 0
    unseen: float = 0.0
    imbalance: int = 0
    tunes: Protocol_ | None = None

    def of_neighbours(self, k: int, distance: str) -> Protocol_:
        """Return the same split under the other truth, and the name that tells so.

        Examples
        --------
        >>> rule = "pooled, train is the database"
        >>> protocol = Protocol_("birds", "tiny", 1, 5, 5, rule, 2, "shares a label", "our own")
        >>> protocol.of_neighbours(10, "l2").label
        'birds/tiny+knn10-l2'
        """
        return replace(
            self,
            name=f"{self.name}+knn{k}-{distance}",
            relevance=f"one of the {k} nearest by {DISTANCES[distance]}",
            neighbours=k,
            distance=distance,
        )

    def for_tuning(self) -> Protocol_:
        """Return the protocol by which settings are chosen, from the training rows of this one.

        A fifth of them is set aside and asks; the others train and answer. No query of this
        protocol is looked at, and of its database nothing but training rows.

        Raises
        ------
        DatasetError
            If there are too few rows to set any aside.

        Examples
        --------
        >>> rule = "pooled, train is the database"
        >>> protocol = Protocol_("birds", "tiny", 9, 50, 50, rule, 50, "shares a label", "our own")
        >>> protocol.for_tuning().label, protocol.for_tuning().sizes
        ('birds/tiny+tune', '10 queries, 40 train, 40 database, mAP@40')
        """
        n_query = n_set_aside(self.n_train)
        if not n_query:
            raise DatasetError(
                f"{self.label}: tuning sets a fifth of the training rows aside, and there are "
                f"{self.n_train}; take a protocol with at least 5"
            )
        n_train = self.n_train - n_query
        return replace(
            self,
            name=f"{self.name}{TUNE}",
            n_query=n_query,
            n_train=n_train,
            n_database=n_train,
            rule="a fifth of the training rows asks, the others train and answer",
            cutoff=min(self.cutoff, n_train),
            tunes=self,
        )

    @property
    def metric(self) -> str:
        """The metric that tables show, of which records keep every query."""
        k = self.neighbours
        return f"recall{k}@{k}" if k else f"mAP@{self.cutoff}"

    @property
    def label(self) -> str:
        """Data set and protocol: what a user types, and the caption of a table."""
        return f"{self.dataset}/{self.name}"

    @property
    def sizes(self) -> str:
        """Sizes and cutoff for a human reader."""
        return (
            f"{self.n_query:,} queries, {self.n_train:,} train, {self.n_database:,} database, "
            f"{self.metric}{self._left_out}"
        )

    @property
    def split_rule(self) -> str:
        """The rule, and what is left out of training, for a human reader."""
        return self.rule + self._left_out

    @property
    def _left_out(self) -> str:
        if self.unseen:
            return f"; {self.unseen:.0%} of the classes unseen in training"
        if self.imbalance:
            return f"; training rows a class fall to 1/{self.imbalance}"
        return ""

    @property
    def digest(self) -> str:
        """SHA-256 of all fields but the notes, as canonical JSON, 64 hexadecimal digits."""
        notes = ("source", "resize")
        fields = {key: value for key, value in asdict(self).items() if key not in notes}
        if not (self.neighbours or self.distance):
            del fields["neighbours"], fields["distance"]
        for name in ("n_drawn", "unseen", "imbalance"):  # digests of the others are as old as they
            if not fields[name]:
                del fields[name]
        if self.tunes is None:
            del fields["tunes"]
        else:
            fields["tunes"] = self.tunes.digest
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def split(
        self,
        labels: Labels | Tensor,
        parts: Mapping[str, Tensor] | None = None,
        *,
        allow_missing: bool = False,
    ) -> Split:
        """Choose the rows.

        Parameters
        ----------
        labels : Labels, or Tensor, bool, shape (N, C)
            Labels of all rows; classes are balanced by them.
        parts : Mapping[str, Tensor] or None
            Row numbers of the parts that the data set comes in, for the rules that keep them:
            ``{"train": ..., "test": ...}``.
        allow_missing : bool
            Take what there is where the rows are fewer than the sizes of this protocol.

        Returns
        -------
        Split
            Sorted rows.

        Raises
        ------
        ValueError
            If the labels are neither.
        DatasetError
            If the labels or parts cannot give the sizes of this protocol, or there are too few
            classes to leave any out.
        """
        labels = Labels.of(labels)
        if self.tunes is not None:
            split = set_aside(self.tunes.split(labels, parts, allow_missing=allow_missing).train)
        else:
            split = self._drawn(labels, parts or {})
        for part, expected in (
            ("train", self.n_train),
            ("query", self.n_query),
            ("database", self.n_database),
        ):
            rows: Tensor = getattr(split, part)
            if len(rows) != expected and not allow_missing:
                raise DatasetError(
                    f"{self.label}: the protocol has {expected:,} {part} rows, these "
                    f"{len(labels):,} rows give {len(rows):,}; is the copy complete?"
                )
        return Split(*(rows.sort().values for rows in split))

    def _drawn(self, labels: Labels, parts: Mapping[str, Tensor]) -> Split:
        """Choose rows by the rule, and leave out of training what the protocol leaves out."""
        drawn = replace(self, n_train=self.n_drawn or self.n_train)
        split = lookup("split rule", self.rule, RULES)(drawn, labels, parts)
        if self.unseen:
            classes = unseen_classes(self.label, labels.n_classes, self.unseen)
            split = split._replace(train=without_classes(labels, split.train, classes))
        if self.imbalance:
            split = split._replace(train=long_tail(labels, split.train, self.imbalance))
        return split
