"""Engines, which run the jobs of a folder: threads of this process, or workers of Ray on one machine or many.

```
jobs ─ engine ─┬─ threads.py: one process, `run` is made once ──┬─ (job, outcome), in the order of the jobs
               └─ ray_engine.py: a process per worker, each     │
                  makes its own `run`, jobs of the dead go on ──┘
photographs, files, bundles ─ storage.py ─ a path, or fsspec's URL
```
"""

from elic_runtime.engines.choosing import ENGINE_NAMES, EngineName, make_engine
from elic_runtime.engines.protocol import Engine, Job, MakeRun, Outcome, Result, Run, WorkerError
from elic_runtime.engines.ray_engine import RayEngine
from elic_runtime.engines.threads import Threads

__all__ = [
    "ENGINE_NAMES",
    "Engine",
    "EngineName",
    "Job",
    "MakeRun",
    "Outcome",
    "RayEngine",
    "Result",
    "Run",
    "Threads",
    "WorkerError",
    "make_engine",
]
