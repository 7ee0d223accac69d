"""Runs the notebooks: the text of each (NAME.py) becomes NAME.ipynb, with what its cells show.

::

    python notebooks/execute.py              # all of them, in their order: the later ones use the store of the first
    python notebooks/execute.py 4_from_a_frame_to_a_face

They run in a temporary folder, so nothing that they show names a place of this machine.
"""

import os
import re
import sys
import tempfile
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
NAMES = tuple(path.stem for path in sorted(HERE.glob("[0-9]*.py")))

#: Of the kernels: one thread, as where several tests run; no warnings of libraries, which name files.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "TQDM_DISABLE": "1"}

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")  # colours of a terminal


def read(name: str) -> nbformat.NotebookNode:
    """The notebook of a text, without outputs; its cells are numbered, so that a run alone changes none of their names."""
    notebook = jupytext.read(HERE / f"{name}.py")
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def executed(name: str, folder: Path) -> nbformat.NotebookNode:
    """The notebook after a run in a folder.

    Raises:
        nbclient.exceptions.CellExecutionError: if a cell fails.
    """
    notebook = read(name)
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute(env={**os.environ, **_ENVIRONMENT})
    notebook.metadata.language_info = {"name": "python"}  # not the version of who ran it
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [_cleaned(output, folder) for output in cell.outputs if not _is_progress(output)]
    return notebook


def _is_progress(output: nbformat.NotebookNode) -> bool:
    """Whether it is what a command tells a terminal while it works."""
    return output.get("data", {}).get("text/html", "").startswith("<pre style=") or output.get("name") == "stderr"


def _cleaned(output: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """Text without a terminal's colours and without the folder that it ran in."""
    if output.output_type == "stream":
        output.text = _ESCAPES.sub("", output.text).replace(f"{folder.resolve()}/", "")
    return output


def main() -> None:
    """Run those named, or all, and write them."""
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or NAMES:
            start = time.perf_counter()
            notebook = executed(name, Path(folder))
            nbformat.write(notebook, HERE / f"{name}.ipynb")
            print(f"{name}: {time.perf_counter() - start:.0f} s, {(HERE / f'{name}.ipynb').stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
