"""Running cells: on which machine, and each from its lease to its stored record."""
