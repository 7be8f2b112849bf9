"""Great Expectations, as this project runs it: quiet, without files of its own, on its pandas engine.

What belongs here: one frame held against expectations, and let go; numbers held against bounds. What does not: whose
they are.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterable, Sequence
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

from include.errors import MlopsError

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.core.batch_definition import BatchDefinition
    from great_expectations.expectations import Expectation

# A frame of so many values (0.8 MB of numbers) is worth a walk over all that the process holds, which is 0.2 s.
_LARGE = 100_000
# All frames are the same batch to Great Expectations, which keeps its numbers.
_ONE_AT_A_TIME = Lock()


def run_expectations(
    name: str, frame: pd.DataFrame, expectations: Iterable[Expectation], *, index: str | None = None
) -> list[Any]:
    """Hold a frame against expectations and return Great Expectations' results, one for each.

    Parameters
    ----------
    name : str
        What the rows are, for messages.
    frame : pandas.DataFrame
        The rows.
    expectations : iterable of Expectation
        Of columns' values.
    index : str, optional
        A column: results then list its values where an expectation fails (``unexpected_index_list``).

    Raises
    ------
    MlopsError
        If an expectation can't be evaluated.
    """
    # At INFO its import alone writes hundreds of lines into a task's log.
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    try:
        with _ONE_AT_A_TIME:
            results = _validate(name, frame, expectations, index)
    finally:
        # A batch and its results are a cycle of a thousand objects. Python collects by number, not by bytes:
        # tens of frames would wait for it.
        if frame.size >= _LARGE:
            gc.collect()
    for result in results:
        if "unexpected_count" not in result.result:
            raise MlopsError(
                f"Great Expectations could not evaluate {result.expectation_config.type} of {name} "
                f"({result.expectation_config.kwargs}): {result.exception_info}"
            )
    return results


def find_outside(name: str, values: Sequence[Sequence[float | None]]) -> list[int]:
    """Hold numbers against bounds of their own and return the places of those outside, in order.

    One expectation, however many bounds there are: what it costs is Great Expectations' own work, and not the values.

    Parameters
    ----------
    name : str
        What the numbers are of, for messages.
    values : sequence of (float, float, float)
        A number, the least and the most that it may be; None for a number is not judged, for a bound is none.

    Raises
    ------
    MlopsError
        If an expectation can't be evaluated.
    """
    import great_expectations.expectations as gxe
    import pandas as pd

    # A number is at least its low, and its high at least the number: the same expectation of two pairs.
    pairs = [pair for number, low, high in values for pair in ((number, low), (high, number))]
    frame = pd.DataFrame(pairs, columns=["most", "least"], dtype="float64")
    frame["place"] = [place for place in range(len(values)) for _ in range(2)]
    ordered = gxe.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A="most", column_B="least", or_equal=True, ignore_row_if="either_value_is_missing"
    )
    (result,) = run_expectations(name, frame, [ordered], index="place")
    return sorted({int(entry["place"]) for entry in result.result.get("unexpected_index_list") or []})


def _validate(name: str, frame: pd.DataFrame, expectations: Iterable[Expectation], index: str | None) -> list[Any]:
    import great_expectations as gx

    of_a_frame = _whole_frame()
    suite = gx.ExpectationSuite(name=name)
    for expectation in expectations:
        suite.add_expectation(expectation)
    wanted: Any = "BASIC"
    if index is not None:
        wanted = {"result_format": "COMPLETE", "unexpected_index_column_names": [index]}
    batch = of_a_frame.get_batch(batch_parameters={"dataframe": frame})
    try:
        return list(batch.validate(suite, result_format=wanted).results)
    finally:
        # It would keep the frame until the next one.
        kept = batch.data.execution_engine.batch_manager
        kept.reset_batch_cache()
        kept.batch_data_cache.clear()


@cache
def _whole_frame() -> BatchDefinition[Any]:
    """Return what makes a batch of a frame: to set it up takes longer than most frames do."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    return context.data_sources.pandas_default.add_dataframe_asset("rows").add_batch_definition_whole_dataframe("all")
