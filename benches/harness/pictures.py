"""What the plots show: from the runs to prepared numbers.

Owns the choice of pictures. Promises that a picture without numbers is left out.
"""

from figures import spread
from workloads import ALONE, SCALE_STEPS, SERIES, WORKLOADS

MICROS = "server CPU per delivery, µs"

# Name, and the panels: workload, figure, divided by, title.
BARS = (
    ("cpu", (("w1-64", "server_us", 1, "W1: 50/s to 1000, CPU per delivery, µs"),
             ("w2-16", "server_us", 1, "W2: 16 in flight, CPU per delivery, µs"),
             ("w2-64", "server_us", 1, "W2: 64 in flight, CPU per delivery, µs"),
             ("w2-256", "server_us", 1, "W2: 256 in flight, CPU per delivery, µs"),
             ("w2-16k", "server_us", 1, "W2: 16 KiB, 4 in flight, CPU per delivery, µs"),
             ("w3-flood", "server_us", 1, "W3: 100 all sending, CPU per delivery, µs"))),
    ("delay", (("w1-64", "p99", 1000, "W1: 50/s to 1000, 99th percentile, ms"),
               ("w2o-200", "p99", 1000, "W2o: 200/s to 1000, 99th percentile, ms"),
               ("w2o-1000", "p50", 1000, "W2o: 1000/s to 1000, median delay, ms"),
               ("w2o-2000", "p50", 1000, "W2o: 2000/s to 1000, median delay, ms"))),
    ("idle", (("w4", "bytes_each", 1, f"Bytes per idle connection, at {SCALE_STEPS[-1]:,}"),
              ("w4", "handshake_us", 1, "CPU per handshake, µs"))),
    ("nginx", (("w5-rate", "server_us", 1, "W5: 50/s, CPU of all processes, µs"),
               ("w5-flood", "server_us", 1, "W5: saturated, CPU of all processes, µs"))),
    ("channels-of-ten", (("w6-many", "server_us", 1, "W6: 1000 channels of 10, CPU per delivery, µs"),
                         ("w6-one", "server_us", 1, "W6: one channel of 10,000, CPU per delivery, µs"))),
)


def bar_panel(table, workload, name, divided_by, title):
    entrants = [entrant.name for entrant in WORKLOADS[workload].entrants]
    medians = [(who, table.median(name, workload, who)) for who in entrants]
    return {"title": title, "values": [[who, value / divided_by] for who, value in medians if value]}


def point(table, x, workload, who):
    values = table.values("server_us", workload, who)
    return [x, table.median("server_us", workload, who), *spread(values)] if values else None


def growth_panel(table, series):
    names = dict.fromkeys(entrant.name for _, workload in series.points for entrant in WORKLOADS[workload].entrants)
    found = {who: [point(table, x, workload, who) for x, workload in series.points] for who in names}
    # Who has the main workloads only would be a dot or two.
    whole = [{"name": who, "points": points} for who, points in found.items() if all(points)]
    return {"title": series.title, "x": series.axis, "y": MICROS, "lines": whole}


def scale_panel(table):
    lines = []
    for entrant in ALONE:
        points = [[step, *values] for step, values in table.last_delay_by_step(entrant.name)]
        lines += [{"name": entrant.name, "points": points}] if points else []
    return {"title": "W4: delay of the last receiver", "x": "connections", "y": "median, ms", "lines": lines}


def pictures(table):
    some = [{"name": name, "panels": [bar_panel(table, *panel) for panel in panels]} for name, panels in BARS]
    some += [{"name": series.name, "panels": [growth_panel(table, series)]} for series in SERIES]
    some.append({"name": "last", "panels": [scale_panel(table)]})
    for picture in some:
        picture["panels"] = [panel for panel in picture["panels"] if panel.get("values") or panel.get("lines")]
    return [picture for picture in some if picture["panels"]]


