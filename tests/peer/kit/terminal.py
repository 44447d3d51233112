"""Runs a program in a terminal of its own (120 x 40) and passes bytes both ways: what a person at a
keyboard would see and type. Ends with the program's status, or when stdin ends."""
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios


def main(argv):
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(argv[0], argv)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    os.kill(pid, signal.SIGWINCH)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGKILL))
    pass_bytes(terminal, pid)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status) & 0xFF


def pass_bytes(terminal, pid):
    typing = True
    while True:
        ready, _, _ = select.select([terminal] + ([0] if typing else []), [], [])
        if terminal in ready:
            try:
                data = os.read(terminal, 65536)
            except OSError:  # the program has left its terminal
                return
            if not data:
                return
            os.write(1, data)
        if 0 in ready:
            data = os.read(0, 65536)
            if data:
                os.write(terminal, data)
            else:
                typing = False
                os.kill(pid, signal.SIGHUP)


sys.exit(main(sys.argv[1:]))
