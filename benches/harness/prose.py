"""The text of RESULTS.md: how it was measured, and what the columns mean.

Owns words only.
"""

HEAD = """\
# What a delivered message costs

Made by `benches/run`: one command that builds the relay, installs everybody else, runs all workloads against each in
turn and writes this page. `benches/run --report FILE` makes it again from the raw results.
"""

METHOD = """\
## How it was measured

- **A fresh server for each run**, pinned to core 0; the load on core 1; both under SCHED_RR where that may be had.
  All servers of a workload follow each other within a round, in an order that is rotated and reversed from round to
  round.
- **runs** is how many rounds have a result. The relay, the floor and `plain` run all; peers run fewer where each of
  their runs takes long and no bar is near; connections up to 19,000, channels and growth are measured two or three
  times.
- **The main figure is CPU per delivery**: the server's processor time, user and system, over messages received by all
  receivers. Processes that stand in front count too. Loopback does a receiver's share of TCP in the sender's system
  call, so this is more than behind a network card. It is the median of the rounds; its spread is the least and the
  most.
- **x floor** is the median of the rounds' own ratios to the floor, a bare program that accepts, unmasks and frames
  once and writes what a turn brought with one call for each peer, without limits and without policy. `plain` is the
  same program with one write for each message.
- **Delays** are taken where messages leave on a schedule, from the time a message was due to its receipt, over all
  deliveries, and for the last receiver of each message. The load sleeps in epoll and does not spin. Medians of the
  rounds; "max" is the largest of all. Where the next message waits for the slowest receiver a delay means nothing.
- **Every receiver gets every message once, in order, byte for byte**, or the run is no result.
- **load, µs** is the load's own CPU per delivery; † marks where in some run the load's core was the limit, so that
  rates and delays there say as much about the load as about the server. CPU per delivery stays the server's own.
- **served** is what was delivered within the span, of what was offered; ‡ marks who was still behind four seconds
  after the end: the delays are those of what came at all, and the true ones are longer.
- Numbers of two machines, or of one at two times, do not compare; ratios within one run do.
"""

WHAT_THEY_ARE = """\
`floor` is the limit of this approach and `plain` the same with one write for each message: neither has limits, pings
or policy. wsrelayd runs with all of them on.
"""

SCALE = """\
Idle connections up to each step; at each a sender of 5 messages/s. Memory is resident memory above the empty process,
for each connection; "again" is memory after all were closed and opened a second and a third time, over that of the
first.
"""

PLOTS = """\
## Plots

The lengths of bars are logarithmic.
"""

GROWTH = """\
## How cost grows

Server CPU per delivery, µs, medians; the load's limits do not touch it.
"""
