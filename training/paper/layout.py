"""One table, once for the terminal and once as GitHub's markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

DASH = "–"
"""Where there is no figure."""


@dataclass(frozen=True)
class Section:
    """Rows that belong together.

    Attributes
    ----------
    title : str
        Stands above them.
    rows : sequence of sequences of str
        A cell for every column.
    """

    title: str
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Layout:
    """A table of sections.

    Attributes
    ----------
    title : str
    columns : sequence of str
        Headings; the first column is aligned left, the others right.
    sections : sequence of Section
    notes : sequence of str
        Sentences below the table.
    """

    title: str
    columns: Sequence[str]
    sections: Sequence[Section]
    notes: Sequence[str] = ()

    def to_rich(self) -> Table:
        """Return the table for the terminal."""
        caption = Text(" ".join(self.notes), style="dim")
        table = Table(title=Text(self.title), title_justify="left", caption=caption, caption_justify="left")
        for i, column in enumerate(self.columns):
            table.add_column(Text(column), justify="right" if i else "left")
        for section in self.sections:
            table.add_section()
            table.add_row(Text(section.title, style="bold"))
            for row in section.rows:
                table.add_row(*(Text(cell) for cell in row))
        return table

    def to_markdown(self) -> str:
        """Return the table with a heading above and its notes below."""
        lines = [f"## {self.title}", "", _line(self.columns), _line(["---", *["---:"] * (len(self.columns) - 1)])]
        for section in self.sections:
            lines.append(_line([f"**{_escaped(section.title)}**", *[""] * (len(self.columns) - 1)], escape=False))
            lines.extend(_line(row) for row in section.rows)
        if self.notes:
            lines.extend(["", " ".join(self.notes)])
        return "\n".join(lines) + "\n"


def number(value: float, digits: int = 3) -> str:
    """Return a number with fixed decimals, and no minus before a zero."""
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _line(cells: Sequence[str], escape: bool = True) -> str:
    return f"| {' | '.join(_escaped(cell) if escape else cell for cell in cells)} |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
