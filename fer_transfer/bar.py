"""A progress bar with rate and time left, where there is a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from fer_transfer.files.names import shown

#: Told how much is done, and of how much; None where nobody knows.
Advance = Callable[[int, int | None], None]


class _Rate(ProgressColumn):
    """Work done in a second, in the task's unit."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        shown = "" if speed is None else f"{speed / task.fields['scale']:,.0f} {task.fields['unit']}"
        return Text(shown, style="progress.data.speed")


@contextmanager
def bar(console: Console, title: str, unit: str, scale: float) -> Iterator[Advance]:
    """A progress bar with rate and time left in a terminal, otherwise one line before and one after.

    Args:
        console: where it stands.
        title: what is done.
        unit: of the rate.
        scale: work that makes one of the unit.
    """
    title = shown(title)
    if not console.is_terminal:
        console.print(f"{title} ...", soft_wrap=True)
        yield lambda done, total: None
        console.print(f"{title}: done", soft_wrap=True)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(title, total=None, unit=unit, scale=scale)
        yield lambda done, total: progress.update(task, completed=done, total=total)
