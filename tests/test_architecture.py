"""Dependencies point one way: export -> models, export -> runtime; the runtime knows no PyTorch."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_imports_keep_the_contracts_of_pyproject_toml():
    command = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
    assert re.search(r"[1-9] kept, 0 broken", run.stdout)


def test_importing_the_library_imports_no_command_line():
    """An application pays for numpy, ONNX Runtime and the coder, not for typer and rich."""
    unwanted = {"typer", "rich", "torch", "onnx", "compressai"}
    code = f"import sys, elic_runtime; print(*sorted({unwanted} & sys.modules.keys()))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
