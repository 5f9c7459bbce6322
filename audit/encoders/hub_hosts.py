"""Which hosts a fetch from the hub may reach: the hub itself, and those that it keeps large files on.

A hub answers a request for weights with an address elsewhere, which may be any. It is followed to known hosts alone,
and what logs the user in goes to the hub alone. The client of the hub's newer storage (hf_xet) asks nobody before it
follows an address, so it is not used: the same files come over HTTP.

Source: huggingface_hub's documentation names huggingface.co and hf.co; weights come from hosts below these two.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from huggingface_hub import constants, get_session

from pipelines.errors import ModelError

__all__ = ["only_known_hosts"]

_OWN_HOSTS = ("huggingface.co", "hf.co")
_MORE_HOSTS = "M2IB_AUDIT_HUB_HOSTS"
_CREDENTIALS = ("authorization", "cookie", "proxy-authorization")


@contextmanager
def only_known_hosts(endpoint: str | None = None) -> Iterator[None]:
    """Let no request of huggingface_hub go to another host, whoever names it.

    Args:
        endpoint: the hub; the environment's (HF_ENDPOINT) by default.

    Raises:
        ModelError: the hub, or who answers for it, leads to a host that is not known.
    """
    hub = urlsplit(endpoint or constants.ENDPOINT)

    def check(request: Any) -> None:
        url = urlsplit(str(request.url))
        if (url.scheme, url.netloc) == (hub.scheme, hub.netloc):
            return
        host = url.hostname or ""
        if url.scheme != "https" or not any(host == known or host.endswith(f".{known}") for known in _known_hosts()):
            raise ModelError(
                f"{hub.netloc} leads to {url.scheme}://{url.netloc}, which is no host of the hub, so it is not "
                f"followed; if it is your mirror's, name it in the variable {_MORE_HOSTS}"
            )
        for header in _CREDENTIALS:
            request.headers.pop(header, None)

    client = get_session()
    before = client.event_hooks
    client.event_hooks = {**before, "request": [*before["request"], check]}
    xet = constants.HF_HUB_DISABLE_XET
    constants.HF_HUB_DISABLE_XET = True
    try:
        yield
    finally:
        client.event_hooks = before
        constants.HF_HUB_DISABLE_XET = xet


def _known_hosts() -> tuple[str, ...]:
    return (*_OWN_HOSTS, *os.environ.get(_MORE_HOSTS, "").replace(",", " ").split())
