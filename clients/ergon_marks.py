"""Tell ergon which part of a program's work runs, so that each part has its own cost.

Copy this file next to your program. Without ergon around the program it does nothing.

    import ergon_marks as marks

    with marks.region("train"):
        for epoch in range(3):
            with marks.region("epoch"):
                loss = step()
            marks.metric("loss", loss)
            marks.progress(epoch + 1, 3)
    marks.event("checkpoint")

    @marks.region("load")
    def load(): ...

It never waits for ergon: if ergon does not take marks as fast, a mark is lost. It may be used from any thread and after a fork.
"""

import contextlib
import os
import socket
import threading

_lock = threading.Lock()
_socket = None
_off = "ERGON_SOCKET" not in os.environ


def _connected():
    global _socket, _off
    with _lock:
        if _socket is None and not _off:
            try:
                s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                s.setblocking(False)
                s.connect(os.environ["ERGON_SOCKET"])
                _socket = s
            except OSError:
                _off = True
    return _socket


def _send(text):
    if _off:
        return
    s = _socket or _connected()
    if s is not None:
        try:
            s.send(f"{text}\nERGON_THREAD={threading.get_native_id()}".encode())
        except OSError:
            pass  # ergon is busy or has ended; the program goes on


class region(contextlib.ContextDecorator):
    """A part of the work: `with region("train"):`, or a decorator. id tells apart instances that overlap in a thread."""

    def __init__(self, name, id=None):
        self._more = f"{name}" if id is None else f"{name}\nERGON_ID={id}"

    def __enter__(self):
        _send("ERGON_BEGIN=" + self._more)
        return self

    def __exit__(self, *_):
        _send("ERGON_END=" + self._more)
        return False


def event(name):
    """Something happened, such as a checkpoint."""
    _send(f"ERGON_EVENT={name}")


def progress(done, whole=1):
    """done of whole is done."""
    _send(f"ERGON_PROGRESS={done}/{whole}")


def metric(name, value):
    """A figure of the program's own, such as a loss."""
    _send(f"ERGON_METRIC={name} {float(value)!r}")
