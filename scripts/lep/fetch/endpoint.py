"""A chat model behind an OpenAI-compatible endpoint, which is not trusted.

- The key comes from an environment variable. It reaches the configured host alone: no redirect is followed, and plain
  http goes through no proxy. No message holds it.
- A reply has a bounded time, from the connection to its last byte, and a bounded size.
"""

import asyncio
import ipaddress
import json
import os
from urllib.parse import urlsplit

from lep.config import UserError

KEY_VARIABLE = "LEP_JUDGE_KEY"
MOST_BYTES = 1_000_000  # of a reply
_REFUSED = {401, 403, 404, 405, 407, 410, 501}  # no other question would fare better
_RETRIED = {408, 409, 425, 429, 500, 502, 503, 504}
_SHOWN = 60  # characters of a foreign text in a message


class RefusalError(UserError):
    """The endpoint refuses every request: wrong address, key or model."""


class FailedReplyError(Exception):
    """One request got no usable reply. The text says why, without secrets."""

    def __init__(self, reason: str, again: bool = True, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.again = again  # whether the same request may succeed later
        self.pause = pause  # seconds that the endpoint asks to wait


def address_fault(address: str) -> str:
    """What is wrong with the address of an endpoint, without the address, which may hold a key; "" if nothing is."""
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is no address; write one such as http://host:8000/v1"
    if parts.scheme not in ("http", "https") or not host or not address.isascii() or not address.isprintable():
        return "needs an address such as http://host:8000/v1"
    if parts.username is not None or parts.password is not None or "?" in address or "#" in address or " " in address:
        return (
            "may hold neither user and password nor anything behind a ? or #, where keys would reach logs; "
            f"write scheme, host and path alone, and put the key into the environment variable {KEY_VARIABLE}"
        )
    return ""


def is_this_machine(address: str) -> bool:
    """Whether an address names the machine that asks, whichever that is."""
    host = urlsplit(address).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return False
    return found.is_loopback or found.is_unspecified


def elsewhere_fault(address: str) -> str:
    """Why jobs on other machines cannot reach an address; "" if they may."""
    if not is_this_machine(address):
        return ""
    return (
        f"calibration.judge.endpoint {address} names whichever node a job runs on, not the judge's; write the host as "
        "the nodes see it, such as http://node17:8000/v1"
    )


def read_key() -> str:
    """The key of the endpoint from the environment; "" if there is none. `UserError` if no header can hold it."""
    key = os.environ.get(KEY_VARIABLE, "")
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        raise UserError(
            f"the environment variable {KEY_VARIABLE} holds a space, a line end or another character that no key has; "
            "set it to the key alone"
        )
    return key


class ChatEndpoint:
    """An endpoint that is asked, also several questions side by side; `close` it in the end."""

    def __init__(self, address: str, model: str, seconds: float) -> None:
        """`seconds`: longest time of one reply. Raises `UserError` for a bad address or key."""
        import httpx2

        if fault := address_fault(address):
            raise UserError(f"calibration.judge.endpoint {fault}")
        self._key = read_key()
        self._model, self._seconds, self.address = model, seconds, address.rstrip("/")
        headers = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        # A proxy of the environment sees https encrypted, but would read a key that is sent by http.
        secure = urlsplit(address).scheme == "https"
        self._client = httpx2.AsyncClient(
            headers=headers, follow_redirects=False, timeout=None, trust_env=secure, limits=httpx2.Limits()
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def ask(self, messages: list[dict[str, str]], tokens: int) -> str:
        """The reply to a conversation: the most likely one, of at most `tokens` tokens.

        Raises `RefusalError` if the endpoint refuses whatever is asked, `FailedReplyError` if this request failed.
        """
        import httpx2

        body = {"model": self._model, "messages": messages, "temperature": 0, "max_tokens": tokens}
        try:
            async with asyncio.timeout(self._seconds):
                content = await self._post(body)
        except TimeoutError:
            raise FailedReplyError(f"no whole reply within {self._seconds:g} s") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise FailedReplyError(f"no connection ({self.redacted(str(error)) or type(error).__name__})") from None
        return _text_of(content)

    async def _post(self, body: dict) -> bytes:
        """The body of the reply to a request."""
        request = {"url": f"{self.address}/chat/completions", "content": json.dumps(body).encode()}
        async with self._client.stream("POST", **request) as response:
            self._check_status(response.status_code, response.headers.get("Retry-After"))
            content = b""
            async for part in response.aiter_raw():
                content += part
                if len(content) > MOST_BYTES:
                    raise FailedReplyError(f"a reply of more than {MOST_BYTES / 1e6:g} MB", again=False)
            return content

    def _check_status(self, status: int, wait: str | None) -> None:
        if status == 200:
            return
        if 300 <= status < 400:
            raise RefusalError(
                f"the judge at {self.address} redirects to another address (HTTP {status}), which is not followed: the "
                "key belongs to the configured host alone; write the final address into calibration.judge.endpoint"
            )
        if status in _REFUSED:
            raise RefusalError(
                f"the judge at {self.address} refused: HTTP {status}; check the key ({KEY_VARIABLE}), "
                "calibration.judge.model and the path of calibration.judge.endpoint"
            )
        raise FailedReplyError(f"HTTP {status}", again=status in _RETRIED, pause=_seconds(wait))

    def redacted(self, text: str) -> str:
        """The beginning of a foreign text for a message: printable, and without the key."""
        text = text.replace(self._key, "***") if self._key else text
        return "".join(character if character.isprintable() else " " for character in text[:_SHOWN]).strip()


def _text_of(content: bytes) -> str:
    """The text of a chat completion; `FailedReplyError` for anything else."""
    if content.lstrip()[:1] == b"<":
        raise FailedReplyError("a web page instead of JSON")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise FailedReplyError("a reply that is no JSON") from None
    try:
        text = found["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        text = None
    if not isinstance(text, str):
        raise FailedReplyError("JSON without choices[0].message.content")
    return text


def _seconds(header: str | None) -> float:
    """The value of `Retry-After` in seconds; 0 if it is missing, a date or nonsense."""
    try:
        found = float(header or 0)
    except ValueError:
        return 0.0
    return found if 0 < found < float("inf") else 0.0
