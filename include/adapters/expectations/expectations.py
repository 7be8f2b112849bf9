"""Great Expectations, as this project runs it: quiet, without files of its own, on its pandas engine.

What belongs here: one frame held against expectations. What does not: which expectations there are.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from include.errors import MlopsError

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.expectations import Expectation


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
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    suite = gx.ExpectationSuite(name=name)
    for expectation in expectations:
        suite.add_expectation(expectation)
    batch = (
        context.data_sources.add_pandas("frames")
        .add_dataframe_asset(name)
        .add_batch_definition_whole_dataframe("whole")
        .get_batch({"dataframe": frame})
    )
    wanted: Any = "BASIC"
    if index is not None:
        wanted = {"result_format": "COMPLETE", "unexpected_index_column_names": [index]}
    results = list(batch.validate(suite, result_format=wanted).results)
    for result in results:
        if "unexpected_count" not in result.result:
            raise MlopsError(
                f"Great Expectations could not evaluate {result.expectation_config.type} of {name} "
                f"({result.expectation_config.kwargs}): {result.exception_info}"
            )
    return results
