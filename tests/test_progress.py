"""What the runner shows while it works."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from benchmarks.runner.progress import bars

LONG = "cifar10/1k-5k cibhash(matmul=medium) 64 bits seed 4: epoch 23/60 contrastive 1.2345 kl 0.1"


@pytest.mark.parametrize("width", [60, 80, 140])
def test_counts_and_times_keep_their_room_and_the_description_is_cut(width):
    console = Console(width=width, file=io.StringIO(), force_terminal=True)
    shown = bars(console)
    shown.add_task("grid", total=148, completed=37)
    shown.add_task(LONG, total=None)
    console.print(shown.get_renderable())
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 2
    assert "37/148" in lines[0]
    assert "0:00:0" in lines[0]
    assert "cifar10/1k-5k cibhash" in lines[1]
    assert "0:00:0" in lines[1]
    assert all(len(Text.from_ansi(line).plain) <= width for line in lines)
