"""What a user may choose of a report: its figures, further columns and formats, by name.

Commands read their arguments with these, so nothing is imported here.
"""

CAPTIONS = {
    "map_against_bits": "Retrieval quality against code length",
    "recall_against_bytes": "Recall of the nearest neighbours against bytes an item",
    "precision_recall": "Precision against recall by Hamming radius, at the longest codes",
    "precision_at_n": "Precision of the nearest N",
    "recall_at_n": "Recall of the nearest N",
    "precision_at_radius_2": (
        "Precision within Hamming radius 2 against code length; an empty ball counts 0"
    ),
    "cost": "Retrieval quality against training time",
    "shift": "Retrieval quality against how much worse the query images are",
    "growth": "Retrieval quality while the database grows with distractors",
    "mean_ranks": "Mean ranks over data sets, by labels",
    "mean_ranks_by_neighbours": "Mean ranks over data sets, by neighbours",
    "labels_against_neighbours": "What labels say against what neighbours say",
    "bit_balance": "How often each bit is set",
    "loss": "Loss by epoch",
    "distance_histograms": "Hamming distances of relevant and other pairs",
    "bit_correlation": "Correlation between bits",
    "tsne": "Codes on a map (t-SNE)",
}
"""Of every figure, by its name, in the order of the page."""

COLUMNS = {
    "ties": (
        ("{metric}, worst order of ties", "{metric}:worst"),
        ("{metric}, best order of ties", "{metric}:best"),
    ),
    "time": (("training (s)", "cost.fit_s"),),
    "speed": (("encoding (images/s)", "cost.images_per_s"),),
    "memory": (("peak memory (MiB)", "cost.memory_mib"),),
}
"""Headings and metrics that tables show on request, with a place for the table's own metric."""

FORMATS = ("pdf", "png", "svg")
"""Of figures."""
FILES = ("pdf", "png")
"""Formats of figures where none is named."""
