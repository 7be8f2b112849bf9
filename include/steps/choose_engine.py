"""Measure the engines on a version's own rows before it is registered, and add the choice to its files.

What belongs here: the measurement. What does not: the choice (``scoring.engine_choice``).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from include.adapters.registry.model_files import unpack
from include.scoring.engine_choice import EngineChoice, Measured
from include.scoring.model import Engine, ScoringModel
from include.scoring.onedal_trees import is_installed
from include.training.artifacts import ENGINES, MODEL_CARD, ONEDAL_MODEL, to_json, with_checksums
from include.training.conversion import with_missing

log = logging.getLogger(__name__)

# As many are as fast for each as a whole night, and take milliseconds.
_ROWS, _ROUNDS = 4096, 3


def with_engine(files: Mapping[str, bytes], rows: NDArray[np.float32]) -> dict[str, bytes]:
    """Return the files of a version and the engine of its nights, which its card tells of too.

    What is measured is another number each time: of equal versions these files differ, and those of the model don't.

    Parameters
    ----------
    files : mapping of str to bytes
    rows : ndarray of shape (n_rows, n_features), float32
        Of the version, one at least.
    """
    model = unpack(files).model
    # Converted once, and what is measured is what nights will read.
    trees = {ONEDAL_MODEL: model.onedal_trees.to_bytes()} if _has_onedal(model, rows) else {}
    choice = choose_engine(unpack({**files, **trees}).model, rows)
    told = files[MODEL_CARD] + choice.to_card().encode()
    kept = trees if choice.engine == "onedal" else {}
    return with_checksums({**files, **kept, MODEL_CARD: told, ENGINES: to_json(choice.to_file()).encode()})


def choose_engine(model: ScoringModel, rows: NDArray[np.float32]) -> EngineChoice:
    """Return the engine of a model's nights, measured on these rows, one at least."""
    many = with_missing(np.resize(rows, (_ROWS, rows.shape[1])))
    engines: list[Engine] = ["native", "onnx"]
    if _has_onedal(model, many):
        engines.append("onedal")
    native = model.predict(many)
    largest = float(np.abs(native).max(initial=1))
    measured: dict[Engine, Measured] = {}
    for engine in engines:
        difference = float(np.abs(native - model.predict(many, engine=engine)).max()) / largest
        seconds = min(_seconds(model, many, engine) for _ in range(_ROUNDS))
        measured[engine] = Measured(seconds / len(many) * 1e6, difference)
    return EngineChoice(measured)


def _has_onedal(model: ScoringModel, rows: NDArray[np.float32]) -> bool:
    if not is_installed():
        return False
    try:
        return bool(np.isfinite(model.predict(rows, engine="onedal")).all())
    except Exception as err:  # It has many kinds of errors for what it can't convert, and native scores all of it.
        log.info("oneDAL has no such trees: %s", err)
        return False


def _seconds(model: ScoringModel, rows: NDArray[np.float32], engine: Engine) -> float:
    # Computing, not the clock, and this thread's: others have this machine too, and this process.
    started = time.thread_time()
    model.predict(rows, engine=engine)
    return time.thread_time() - started
