"""Paths that would be lines, pairs or escapes in a log that believed them, and what the log must say of them.

Promises: `wrong_in_log` finds each client's path to be one escaped value of bounded length, on the lines that are due.
"""

import re

# Paths that are let in, though each would be something else in a log that believed it. The last ones become longer by
# what they are escaped with, up to and beyond what a value may take.
ACCEPTED = ['/"', "/\\", "/a=b", '/"x\\"y\\\\"', '/"reason="eof"', '/INFO"opened"peer=9.9', "/%0a%0dINFO",
            "/%1B[31m", "/%22", "/<6>{[(`$(|;&'^~)]}", '/{"level":"error"}', "/" + "x" * 199, "/" + "x" * 200,
            "/" + "x" * 254, "/" + '"' * 99 + "x", "/" + '"' * 100, "/" + '"' * 254, "/x" + "\\" * 253,
            "/" + "=" * 254]
REFUSED = [b"/a\x1b[31m", b"/\r\nforged", b"/%0a%0dforged", b"/\xff\xfe", b"/a\x00b", b"/" + b"x" * 8192,
           b"/caf\xc3\xa9"]
VALUE_BYTES = 200
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
BEGINNING = rf"{TIME} (INFO |WARN ) "
WHO = r"peer=\d+\.\d+ address=127\.0\.0\.1:\d+"
VALUE = r'channel=("(?:[^"\\]|\\["\\])*"|[^\s"\\=]+)'
JOINED_LINES = [rf"{TIME} INFO  opened {WHO} {VALUE}",
                rf"{TIME} INFO  ended {WHO} {VALUE} reason=eof secs=[\d.]+( (messages|bytes)_(in|out)=0){{4}}"]
REFUSED_LINE = rf"{TIME} INFO  refused {WHO} reason=[a-z_]+"


def lines_of(relay, port):
    """What the log says of one client. No path holds a blank, so none can look like this."""
    return [line for line in list(relay.lines) if f" address=127.0.0.1:{port} " in line]


def wrong_in_log(lines, path):
    """One line for the beginning and one for the end, and each names the path, or as much of it as fits."""
    found = [re.fullmatch(form, line) for form, line in zip(JOINED_LINES, lines)]
    if len(lines) != len(JOINED_LINES) or not all(found):
        return [f"{path[:60]}: {lines}"]
    return [f"{path[:60]} stands there as {one[1]}" for one in found if not names(one[1], path)]


def names(value, path):
    """Whether a value of the log is the path, escaped, and cut only where it would not fit."""
    inner = value[1:-1] if value.startswith('"') else value
    whole = re.sub(r'(["\\])', r"\\\1", path)
    if len(whole) <= VALUE_BYTES:
        return inner == whole
    shown = re.sub(r"\\(.)", r"\1", inner.removesuffix("…"))
    # The mark takes three bytes, and what is cut is a letter with its escape.
    fits = VALUE_BYTES - 1 <= len(inner.encode()) <= VALUE_BYTES
    return inner.endswith("…") and path.startswith(shown) and fits
