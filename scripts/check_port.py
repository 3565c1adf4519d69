"""Checks that a server can listen on HOST PORT, before `make run` spends minutes on preparing it. Needs no packages."""

import errno
import socket
import sys


def problem(host: str, port: int) -> OSError | None:
    """Return the error that listening there raises, or None."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()
    except OSError as error:
        return error
    return None


def free_port(host: str, after: int) -> int:
    """Return the next free port of the 99 after `after`, or 0, which means any port, when none of them is free."""
    return next((port for port in range(after + 1, min(after + 100, 65_536)) if problem(host, port) is None), 0)


def explain(host: str, port: int, error: OSError) -> str:
    """Return what is wrong and what to do, as text for people."""
    if error.errno == errno.EADDRINUSE:
        free = free_port(host, port)
        return f"port {port} of {host} is taken by another program.\nChoose another one: make run PORT={free}"
    if error.errno == errno.EACCES:
        return f"port {port} is reserved for the administrator.\nChoose one above 1023: make run PORT=8000"
    return f"cannot listen on {host}: {error.strerror}.\nChoose an address of this machine: make run HOST=127.0.0.1"


def main(host: str, port: str) -> int:
    """Return 0 when the port is free; otherwise print the reason and return 1."""
    if not port.isdecimal() or not 1 <= int(port) <= 65_535:
        print(f"\nhotclub: PORT is {port!r}, and must be a number from 1 to 65535.", file=sys.stderr)
        return 1
    error = problem(host, int(port))
    if error is None:
        return 0
    print(f"\nhotclub: {explain(host, int(port), error)}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
