"""Whether hosts answer at all, found out within seconds and before a long download is tried."""

import queue
import threading
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

_TIMEOUT = 5.0  # seconds
_GATEWAY_ERRORS = (502, 503, 504)  # a proxy answered, for a host that did not


def hosts(urls: Iterable[str]) -> dict[str, str]:
    """Returns one of the URLs for each host that they name, by the host's name."""
    return {urlsplit(url).netloc: url for url in urls}


def any_answers(urls: Iterable[str], timeout: float = _TIMEOUT) -> bool:
    """Asks all URLs at once and returns whether any of their hosts answers, whatever it says.

    Proxies and certificates are those of `requests`, with which TFDS downloads.

    Args:
        urls: What to ask for.
        timeout: Seconds to wait for the first answer.
    """
    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()
    # Daemon threads, because looking up a host's name may outlast every timeout.
    threads = [
        threading.Thread(target=lambda u=url: answers.put(_answers(u, timeout)), daemon=True)
        for url in urls
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + timeout
    try:
        return any(answers.get(timeout=max(0, deadline - time.monotonic())) for _ in threads)
    except queue.Empty:
        return False


def _answers(url: str, timeout: float) -> bool:
    import requests

    try:
        return requests.head(url, timeout=timeout).status_code not in _GATEWAY_ERRORS
    except requests.exceptions.InvalidSchema:
        return True  # ftp cannot be asked this way, so TFDS may try
    except (OSError, ValueError):  # every failure that requests reports is one of the two
        return False
