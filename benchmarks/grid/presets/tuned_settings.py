"""Settings that were chosen by tuning: a TOML file for each table, which ``--recipe`` reads.

.. code-block:: toml

    dataset = "digits"
    protocol = "300-1497"
    backbone = "pixels"
    bits = 32
    trials = 24

    [methods.cibhash]
    lr = 0.002
    tau = 0.2

``--recipe tuned`` takes the file of this package that is of the same data set, protocol and
backbone; ``--recipe FILE.toml`` takes another.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.grid.errors import GridError
from datasets.errors import one_line
from results.store.files import write_atomic
from results.store.run_key import Table

FOLDER = Path(__file__).parent / "tuned"


@dataclass(frozen=True)
class TunedSettings:
    """What was chosen for the methods of one table.

    Attributes
    ----------
    table : Table
        Of the protocol that is tuned for.
    bits : int
        Code length at which trials were scored.
    trials : int
        Of each method.
    methods : mapping from str to mapping
        Hyper-parameters and fields of the recipe, by the names of methods.
    notes : tuple of str
        Lines at the head of the file.
    """

    table: Table
    bits: int
    trials: int
    methods: Mapping[str, Mapping[str, Any]]
    notes: tuple[str, ...] = ()

    def write(self, path: Path) -> None:
        """Write the file.

        Raises
        ------
        OSError
            If the disk refuses.
        """
        head = self.table._asdict() | {"bits": self.bits, "trials": self.trials}
        lines = [f"# {note}" for note in self.notes] + _pairs(head)
        for name, values in self.methods.items():
            lines += ["", f"[methods.{name}]", *_pairs(values)]
        write_atomic(path, ("\n".join(lines) + "\n").encode())


def read_tuned(recipe: str, table: Table) -> TunedSettings:
    """Read what was chosen for a table.

    Parameters
    ----------
    recipe : str
        ``"tuned"``, for the file of this package that is of the table, or the path of another file.
    table : Table
        Of the cells that are to run.

    Raises
    ------
    GridError
        If there is no such file, it cannot be read, or it is of another table.
    """
    name = f"{table.dataset}/{table.protocol} on {table.backbone}"
    way_out = f"tune it with python -m benchmarks.tune --datasets {table.dataset}/{table.protocol}"
    if recipe == "tuned":
        for path in sorted(FOLDER.glob("*.toml")):
            found = _read(path)
            if found.table == table:
                return found
        raise GridError(f"--recipe tuned: nothing was chosen for {name}; {way_out}")
    found = _read(Path(recipe))
    if found.table != table:
        of = f"{found.table.dataset}/{found.table.protocol} on {found.table.backbone}"
        raise GridError(f"--recipe {recipe}: was chosen for {of}, and this is {name}; {way_out}")
    return found


def _read(path: Path) -> TunedSettings:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        table = Table(*(str(content[key]) for key in Table._fields))
        methods = {str(name): dict(values) for name, values in content["methods"].items()}
        return TunedSettings(table, int(content["bits"]), int(content["trials"]), methods)
    except OSError as error:
        raise GridError(
            f"--recipe: {path}: {error.strerror}; give paper, common, tuned or a file of "
            "benchmarks.tune"
        ) from error
    except KeyError as error:
        raise GridError(
            f"--recipe: {path}: it has no {error}; give a file of benchmarks.tune"
        ) from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise GridError(f"--recipe: {path}: {one_line(error)}") from error


def _pairs(values: Mapping[str, Any]) -> list[str]:
    """Write values as lines of TOML: numbers, truth values and plain text are as in JSON."""
    return [f"{key} = {json.dumps(value)}" for key, value in values.items()]
