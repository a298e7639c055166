"""Figures of repeated measurements, as rows of Markdown tables."""

from collections.abc import Mapping, Sequence
from statistics import median

from attrs import evolve, field, frozen

TENS, HUNDREDS = 10, 100


@frozen
class Row:
    """One figure: each contender's values, one a turn; less is better."""

    label: str
    values: Mapping[str, Sequence[float]]

    def ratio(self, name: str, base: str) -> float | None:
        """Return how many times *base*'s it is: the median of the turns' ratios."""
        if base not in self.values or name not in self.values:
            return None
        pairs = zip(self.values[name], self.values[base], strict=True)
        return median(mine / theirs for mine, theirs in pairs)


@frozen
class Table:
    """
    Rows under one title; ratios are to *base*'s values of the same turn. *columns* come
    first.
    """

    title: str
    base: str
    rows: list[Row] = field(factory=list)
    note: str = ""
    columns: Sequence[str] = ()

    def empty(self) -> "Table":
        """Return this table without its rows."""
        return evolve(self, rows=[])

    def markdown(self) -> str:
        measured = dict.fromkeys(name for row in self.rows for name in row.values)
        names = [name for name in self.columns if name in measured]
        names += [name for name in measured if name not in names]
        lines = [
            f"### {self.title}\n",
            *([f"{self.note}\n"] if self.note else []),
            _line(["", *names]),
            _line(["---"] * (len(names) + 1)),
        ]
        lines += [
            _line([row.label, *(self._cell(row, name) for name in names)])
            for row in self.rows
        ]
        return "\n".join([*lines, ""])

    def _cell(self, row: Row, name: str) -> str:
        if not (values := row.values.get(name)):
            return ""
        shown = number(median(values))
        if (ratio := row.ratio(name, self.base)) is not None:
            shown = f"{shown} **{ratio:.2f}×**"
        if len(values) > 1:
            shown = f"{shown} ({number(min(values))}–{number(max(values))})"
        return shown


def number(value: float) -> str:
    """Return *value* with three figures that count."""
    if abs(value) >= HUNDREDS:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= TENS else f"{value:.2f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
