"""The web server: where it listens, and what it says when it cannot."""

from __future__ import annotations

import ipaddress
import secrets
import socket

import uvicorn
from starlette.applications import Starlette

from coref_k8s.errors import RequestError, reason


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def new_token() -> str:
    """Return a token that nobody guesses."""
    return secrets.token_urlsafe(24)


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises RequestError when the port is taken or the address is not this machine's."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        raise RequestError("ui.cannot-listen", host=host, port=port, why=reason(error)) from None
    return listener


def server(app: Starlette) -> uvicorn.Server:
    """Return what answers on sockets with the application."""
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=2, lifespan="off",
    )  # fmt: skip
    return uvicorn.Server(config)


def serve(app: Starlette, listener: socket.socket) -> None:
    """Answer until Ctrl-C or SIGTERM."""
    server(app).run(sockets=[listener])
