"""Executes a notebook from top to bottom in the working folder. The arguments are the notebook and the file for the result."""

import sys

import nbclient
import nbformat

notebook = nbformat.read(sys.argv[1], as_version=4)
for cell in notebook.cells:
    if cell.cell_type == "code":
        cell.outputs, cell.execution_count = [], None
nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3", record_timing=False).execute()
notebook.metadata = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
nbformat.validate(notebook)
nbformat.write(notebook, sys.argv[2])
