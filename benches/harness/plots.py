"""The plots: plots.py DATA FOLDER. Needs matplotlib, so it runs in a virtual environment of its own.

Owns how a picture looks. Gets all numbers prepared, as JSON. Promises that the same numbers give the same bytes, and
that text and lines can be read on white and on black.
"""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator  # noqa: E402

# Neither black nor white: a page may be either.
INK = "#7a7f87"
OURS, LIMIT, OTHER = "#e8590c", "#2f9e44", "#4c8dd6"
LINES = ("#e8590c", "#2f9e44", "#9775c9", "#4c8dd6", "#d6a214", "#c2528b", "#3aa6a0", "#8a6d4b", "#6a9c2f", "#b35555",
         "#5f7f99")
MARKS = "osD^vPX*<>h"

STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "wsrelayd", "font.family": "sans-serif", "font.size": 10,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.facecolor": "none", "figure.facecolor": "none",
    "savefig.facecolor": "none", "legend.frameon": False, "grid.color": INK, "grid.alpha": 0.3, "axes.titlesize": 11,
}


def words(value, _position=None):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def colour(name):
    return {"wsrelayd": OURS, "floor": LIMIT, "plain": LIMIT}.get(name, OTHER)


def bars(axes, panel):
    """One value for each name, smallest on top, on a logarithmic axis, the value beside the bar."""
    rows = sorted(panel["values"], key=lambda row: -row[1])
    names, values = [row[0] for row in rows], [row[1] for row in rows]
    axes.barh(names, values, color=[colour(name) for name in names], height=0.7)
    axes.set_xscale("log")
    axes.set_xlim(min(values) * 0.5, max(values) * 6)
    for place, value in enumerate(values):
        axes.text(value * 1.15, place, words(value), va="center", fontsize=9)
    axes.set_title(panel["title"], loc="left")
    axes.xaxis.set_major_locator(NullLocator())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.spines["bottom"].set_visible(False)


def lines(axes, panel):
    """A line for each name over a logarithmic axis, with the spread as a band."""
    for place, line in enumerate(panel["lines"]):
        xs, ys = [point[0] for point in line["points"]], [point[1] for point in line["points"]]
        least, most = [point[2] for point in line["points"]], [point[3] for point in line["points"]]
        axes.plot(xs, ys, color=LINES[place % len(LINES)], marker=MARKS[place % len(MARKS)], ms=4, lw=1.6,
                  label=line["name"])
        axes.fill_between(xs, least, most, color=LINES[place % len(LINES)], alpha=0.18, lw=0)
    axes.set(xscale="log", yscale="log", xlabel=panel["x"], ylabel=panel["y"])
    ticks = sorted({point[0] for line in panel["lines"] for point in line["points"]})
    axes.set_xticks(ticks, [words(tick) for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(words))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y", which="major")
    axes.set_title(panel["title"], loc="left")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def draw(picture, folder):
    panels = picture["panels"]
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    width, height = (10, 3.1 * rows) if columns == 2 else (8, 4)
    figure, grid = plt.subplots(rows, columns, figsize=(width, height), squeeze=False)
    places = [axes for row in grid for axes in row]
    for axes, panel in zip(places, panels):
        (lines if "lines" in panel else bars)(axes, panel)
    for axes in places[len(panels):]:
        axes.set_visible(False)
    figure.tight_layout()
    figure.savefig(folder / f"{picture['name']}.svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)


def main():
    pictures = json.loads(Path(sys.argv[1]).read_text())
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(STYLE):
        for picture in pictures:
            draw(picture, folder)


if __name__ == "__main__":
    main()
