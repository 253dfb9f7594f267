"""Numbers and tables as Markdown.

Owns how a number looks: three digits that say something, and the unit in the column's head.
"""

NOTHING = "–"


def number(value, digits=3):
    """Three significant digits, more only where they stand before the point: 0.0361, 1.23, 12.3, 12,345."""
    if value is None:
        return NOTHING
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    if value == 0:
        return "0"
    text = f"{value:.{digits}g}"
    if "e" in text:
        return f"{value:.2g}"
    # Trailing zeros are digits too: 1.20 is not 1.2.
    whole, point, _ = text.partition(".")
    places = max(digits - significant(text), 0)
    return text + ("" if point or not places else ".") + "0" * places


def significant(text):
    return len(text.replace(".", "").replace("-", "").lstrip("0"))


def milliseconds(micros):
    return number(None if micros is None else micros / 1000)


def between(pair):
    return NOTHING if pair is None else f"{number(pair[0])} to {number(pair[1])}"


def times(ratio):
    return NOTHING if ratio is None else f"{ratio:.2f}"


def markdown(heads, rows):
    """A table whose first column is text, the others numbers."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def plain(heads, rows):
    """The same for a terminal."""
    lines = [[str(cell) for cell in line] for line in (heads, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join("  ".join(aligned(line, widths)).rstrip() for line in lines)


def aligned(cells, widths):
    first, *others = zip(cells, widths)
    return [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
