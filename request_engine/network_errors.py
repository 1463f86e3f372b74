"""Say in one line what a network error means; here, and only here, they become failures."""

import errno
import os
import ssl

import aiohttp

from request_engine.records import Failure, Kind

_BROKEN = frozenset({errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE})

_UNKNOWN_ISSUER = frozenset({2, 18, 19, 20, 21})
"""Codes with which OpenSSL says that it does not know who signed (`man openssl-verify`)."""


def failure_of(
    error: Exception, *, sent: bool, unanswered_again: bool, proxy: str | None
) -> Failure:
    """What an attempt that ended in *error* is.

    *sent* says that it had its connection, *unanswered_again* that this was used before and nothing
    has come on it since. *proxy* is the one in between, as it may be shown.
    """
    if isinstance(error, aiohttp.InvalidURL):
        return Failure(Kind.MODEL_CONFIG, "the URL is not one that can be sent to", sent=False)
    if isinstance(error, ValueError) and not isinstance(error, OSError | aiohttp.ClientError):
        return Failure(Kind.TRANSIENT, f"it cannot be sent: {_reason(error)}", sent=False)
    message = _of_sending(error) if sent else _of_connecting(error, proxy)
    return Failure(
        Kind.TRANSIENT, message, sent=sent, stale=unanswered_again and _connection_broke(error)
    )


def _connection_broke(error: Exception) -> bool:
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return isinstance(error.message, str)  # else it is the beginning of a reply
    if isinstance(error, ConnectionError) or isinstance(error.__cause__, ConnectionError):
        return True
    return isinstance(error, OSError) and error.errno in _BROKEN


def _of_connecting(error: Exception, proxy: str | None) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"the service's certificate is not trusted: {_distrust(error.certificate_error)}"
        case aiohttp.ClientProxyConnectionError():
            return f"the proxy {proxy} cannot be reached: {_reason(error.os_error)}"
        case aiohttp.ClientConnectorDNSError() if proxy is not None:
            return f"the proxy {proxy} cannot be reached: {_reason(error.os_error)}"
        case aiohttp.ClientHttpProxyError():
            return f"the proxy {proxy} answered {error.status} {_reason(error)}"
        case aiohttp.ClientConnectorError():
            return f"cannot connect to {error.host}:{error.port}: {_reason(error.os_error)}"
    if proxy is not None:
        return f"the proxy {proxy} made no tunnel: {_of_sending(error)}"
    return f"no connection: {_of_sending(error)}"


def _of_sending(error: Exception) -> str:
    match error:
        case aiohttp.ClientResponseError():  # its own text tells the whole URL
            return f"the answer is not HTTP: {_reason(error)}"
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed before the answer"
        case aiohttp.ClientPayloadError():
            return "the connection was closed within the answer"
        case aiohttp.ClientConnectionError() | OSError():
            return f"the connection broke: {_reason(error)}"
    return f"{type(error).__name__}: {_reason(error)}"


def _distrust(error: Exception) -> str:
    why = getattr(error, "verify_message", None) or _reason(error)
    if getattr(error, "verify_code", None) in _UNKNOWN_ISSUER:
        return f"{why}; to trust a private authority, name its file in SSL_CERT_FILE"
    return str(why)


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError):
        # The numbers of TLS and of name resolution are not the system's.
        if error.errno and error.errno > 0 and not isinstance(error, ssl.SSLError):
            return os.strerror(error.errno)
        if error.strerror and error.errno:
            return error.strerror
    if isinstance(error, aiohttp.ClientConnectionError) and error.__cause__ is not None:
        return _reason(error.__cause__)  # the words around it may tell the URL or the proxy
    text = error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)
    return " ".join(text.split()) or "no reason given"
