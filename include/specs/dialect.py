"""How a source writes its values: what stands between them, what means nothing, how numbers and times look.

What belongs here: the choices, their defaults, and which don't go together. What does not: reading by them, and which
columns there are.
"""

from __future__ import annotations

from dataclasses import dataclass

from include.specs.time_patterns import compile_pattern

# Words that mean "there is no value". "NA" is not among them: it is a country, and somebody's name.
NULL_WORDS = ("", "NULL", "null", "NaN", "nan", "N/A", "n/a", "#N/A", "<NA>", "\\N", "None")

# What looks like nothing at the ends of a value: white space, and characters of no width.
BLANKS = (
    " \t\n\v\f\r\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\u200b\u200c\u200d\u2060\ufeff"
)

_DELIMITERS = ",;\t|:^~\x01\x1f"
_DECIMALS = (".", ",")
_THOUSANDS = (".", ",", "'", " ", "\xa0", "\u202f", "\u2019")


@dataclass(frozen=True)
class Dialect:
    r"""How values are written in the files of a source.

    Attributes
    ----------
    delimiter : str or None
        What stands between two values of a text file; None: a tab in ``.tsv``, else a comma.
    decimal : {".", ","}
        Before the digits of a fraction.
    thousands : str or None
        Between groups of exactly three digits, which may be left out; None: nothing is allowed there.
    encoding : str
        Of a text file, as Python names it.
    null_words : tuple of str
        Texts that mean that there is no value, compared without blanks at their ends. A text of blanks alone means so
        if "" does.
    trim : bool
        Whether blanks at the ends of a value are no part of it: see `BLANKS`.
    time_patterns : tuple of str
        How times are written beside ISO 8601, e.g. ``%d.%m.%Y %H:%M``: `include.specs.time_patterns`. A time that
        two patterns read differently is none.

    Raises
    ------
    ValueError
        If a value isn't allowed, or two of them can't be told apart.

    Examples
    --------
    >>> Dialect(delimiter=";", decimal=",").separator(".csv")
    ';'
    >>> Dialect().separator(".tsv.gz")
    '\t'
    """

    delimiter: str | None = None
    decimal: str = "."
    thousands: str | None = None
    encoding: str = "utf-8"
    null_words: tuple[str, ...] = NULL_WORDS
    trim: bool = True
    time_patterns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that the choices are allowed."""
        _check_mark("delimiter", self.delimiter, tuple(_DELIMITERS), may_be_none=True)
        _check_mark("decimal", self.decimal, _DECIMALS, may_be_none=False)
        _check_mark("thousands", self.thousands, _THOUSANDS, may_be_none=True)
        if self.thousands == self.decimal:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}; name two that can be told apart")
        try:
            "".encode(self.encoding)
        except LookupError as err:
            raise ValueError(
                f"encoding {self.encoding!r} is not known; allowed: what Python knows, such as utf-8, latin-1, cp1252"
            ) from err
        for pattern in self.time_patterns:
            compile_pattern(pattern)

    def separator(self, extension: str) -> str:
        """Return what stands between values in a file whose name ends so."""
        return self.delimiter or ("\t" if extension.startswith(".tsv") else ",")


def _check_mark(name: str, found: str | None, allowed: tuple[str, ...], *, may_be_none: bool) -> None:
    if found not in allowed and not (found is None and may_be_none):
        raise ValueError(f"{name} {found!r} is not allowed; allowed: {', '.join(map(repr, allowed))}")


DEFAULT_DIALECT = Dialect()
