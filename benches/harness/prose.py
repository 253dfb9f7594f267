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
- **A core under SCHED_RR has 95 % of each second** where the kernel is left as it comes: whoever wants all of it is stopped
  for up to 50 ms, so p99, p99.9 and max of a server that is saturated contain that pause.
- **The main figure is CPU per delivery**: the server's processor time, user and system, over messages received by all
  receivers. Processes that stand in front count too. Loopback does a receiver's share of TCP in the sender's system
  call, so this is more than behind a network card. It is the median of the rounds; its spread is the least and the
  most. Where a core is saturated by an open loop (W2o), batches stretch until it is full: CPU per delivery is then the
  core divided by the rate, the same for all who keep up.
- **x floor** is the median of the rounds' own ratios to the floor, a bare program that accepts, unmasks and frames
  once and writes what a turn brought with one call for each peer, without limits and without policy. `plain` is the
  same program with one write for each message.
- **Delays** are taken where messages leave on a schedule, from the time a message was due to its receipt, over all
  deliveries, and for the last receiver of each message. The load sleeps in epoll and does not spin. Medians of the
  rounds; "max" is the largest of all. Where the next message waits for the slowest receiver a delay means nothing.
- **Every receiver gets every message once, in order, byte for byte**, or the run is no result; who was still delivering when
  the load stopped is marked ‡.
- **load, µs** is the load's own CPU per delivery; † marks where in some run the load's core was the limit, so that
  rates and delays there say as much about the load as about the server. CPU per delivery stays the server's own.
- **served** is what was delivered within the span, of what was offered; ‡ marks who was still behind four seconds
  after the end, where the load stops: what had not come counts as if it came then, so delays are lower bounds.
- **Peers**: each is written as its own documentation shows a broadcast; the head of its file in `benches/peers` says where.
  socket.io is measured with a binary argument, two frames for each message; a short text is one and costs it less.
  socketify (uWebSockets 20 in it) and nchan send to the sender too, one delivery in a hundred more in W3. socketify runs on
  CPython. tokio-tungstenite `forward`s, which flushes when nothing more is waiting; "tokio-each" flushes each message.
- **The limits that hold**: all of wsrelayd's defaults but for `max_connections`; those per address hold for no load from
  this machine. In W5 nginx and what is behind it share a core.
- **Memory** is resident memory of the processes; what the kernel holds for sockets is not in it, and is bounded by
  `send_buffer` and `receive_buffer` with wsrelayd only. In W7 the stopped peers stay below the limits at which they are
  disconnected.
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
