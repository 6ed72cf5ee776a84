"""The border of the judge: a server that misbehaves is bounded or refused, and no other than it hears the key."""

import json
import logging
from collections.abc import Iterator

import pytest
from fixtures.hostile import WEIRD, broken, changed, held, leaves
from fixtures.judge import (
    BREAK,
    CUT,
    DRIP,
    DRIP_HEADERS,
    ENDLESS,
    HTML,
    SECRET,
    SILENT,
    JudgeStub,
    reply,
    serving,
    settings,
)
from hypothesis import given
from hypothesis import strategies as some
from lep.calibration.endpoint_judge import probe
from lep.calibration.grading import JudgeSettings
from lep.calibration.judge import grade
from lep.config import UserError
from lep.fetch.endpoint import KEY_VARIABLE, MOST_BYTES


@pytest.fixture
def stub() -> Iterator[JudgeStub]:
    with serving() as found:
        yield found


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, SECRET)


MISBEHAVIOUR = {
    "no grade": (reply("хм"), 3, "a reply without a grade"),
    "error": ((500, ""), 3, "HTTP 500"),
    "not for this answer": ((413, ""), 1, "HTTP 413"),
    "broken connection": ((BREAK, ""), 3, "no connection"),
    "silence": ((SILENT, ""), 3, "no whole reply within 0.4 s"),
    "a dripping body": ((DRIP, "{"), 3, "no whole reply within 0.4 s"),
    "dripping headers": ((DRIP_HEADERS, ""), 3, "no whole reply within 0.4 s"),
    "an endless body": ((ENDLESS, ""), 1, "a reply of more than 1 MB"),
    "a web page": (HTML, 3, "a web page instead of JSON"),
    "JSON of an error": ((200, '{"error": "quota"}'), 3, r"JSON without choices\[0\]"),
    "deep JSON": ((200, "[" * 100_000), 3, "a reply that is no JSON"),
    "a long number": ((200, "9" * 10_000), 3, "a reply that is no JSON"),
    "no text": (reply(None), 3, r"JSON without choices\[0\]"),
    "a grade of many digits": (reply("Оценка: " + "9" * 10_000), 3, "a reply without a grade"),
    "a body cut off": ((CUT, "{"), 3, "no connection"),
    "an empty body": ((200, ""), 3, "a reply that is no JSON"),
    "a list": ((200, "[]"), 3, r"JSON without choices\[0\]"),
    "null": ((200, "null"), 3, r"JSON without choices\[0\]"),
    "no choices": ((200, '{"choices": []}'), 3, r"JSON without choices\[0\]"),
    "choices of words": ((200, '{"choices": "5"}'), 3, r"JSON without choices\[0\]"),
    "a number as text": (reply(5), 3, r"JSON without choices\[0\]"),
    "a list as text": (reply(["5"]), 3, r"JSON without choices\[0\]"),
    "a grade of no scale": (reply("Оценка: 7"), 3, "a reply without a grade"),
    "a grade below zero": (reply("-3 и 4"), 3, "a reply without a grade"),
    "half a grade": (reply("Оценка: 4,5"), 3, "a reply without a grade"),
    "the key itself": (reply(SECRET), 3, "a reply without a grade"),
    "too many requests": ((429, ""), 3, "HTTP 429"),
    "a pause without end": ((429, "", ("Retry-After", "-1")), 3, "HTTP 429"),
    "no content": ((204, ""), 1, "HTTP 204"),
    "a teapot": ((418, ""), 1, "HTTP 418"),
    "compressed": ((200, "{}", ("Content-Encoding", "gzip")), 3, r"JSON without choices\[0\]"),
}


@pytest.mark.parametrize(("entry", "attempts", "message"), MISBEHAVIOUR.values(), ids=MISBEHAVIOUR)
def test_misbehaviour_is_bounded_and_an_error(
    entry: tuple, attempts: int, message: str, stub: JudgeStub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "lep")
    stub.script[:] = [entry]
    with pytest.raises(UserError, match=message) as error:
        list(grade({0: ("q", "a"), 1: ("q", "b")}, settings(stub, 3, parallel=1)))
    assert len(stub.asked) == attempts  # after the first failed answer no other is asked
    assert "the grades so far are kept" in str(error.value).lower()
    assert SECRET not in str(error.value) + caplog.text
    assert stub.sent < 20 * MOST_BYTES


@pytest.mark.parametrize("status", [401, 403, 404, 301, 302, 303, 307, 308])
def test_a_refusal_ends_all_at_once(status: int, stub: JudgeStub) -> None:
    with serving() as other:
        other.script[:] = [reply("5")]
        stub.script[:] = [(status, "", ("Location", f"{other.address}/chat/completions"))]
        with pytest.raises(UserError, match="redirects to another address" if status < 400 else "check the key"):
            list(grade(dict.fromkeys(range(9), ("q", "a")), settings(stub, 3, parallel=1)))
        assert (len(stub.asked), other.keys) == (1, [])


@pytest.mark.parametrize("value", [f"{SECRET}\n", f"{SECRET} ", f"ключ{SECRET}", f"{SECRET}\r\nX: y"])
def test_a_key_that_no_header_can_hold_is_refused(value: str, stub: JudgeStub, monkeypatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, value)
    with pytest.raises(UserError, match=f"{KEY_VARIABLE} holds a space, a line end") as error:
        list(grade({0: ("q", "a")}, settings(stub)))
    assert SECRET not in str(error.value)
    assert not stub.asked


BAD_ADDRESSES = [
    "host:8000", "ftp://host/v1", "http://", "http:///v1", "http://[::1/v1", "http://host:port/v1", "http://ho st/v1",
    "http://host/v1\n", f"http://host/v1?api_key={SECRET}", f"http://user:{SECRET}@host/v1", f"http://host/v1#{SECRET}",
    f"http://{SECRET}@host", "",
]  # fmt: skip


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_an_address_is_refused_without_being_shown(address: str) -> None:
    with pytest.raises(UserError, match=r"calibration\.judge\.endpoint") as error:
        grade({}, JudgeSettings("openai", address, "m"))
    assert SECRET not in str(error.value)


def test_a_proxy_of_the_environment_gets_no_key_by_http(stub: JudgeStub, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as proxy:
        proxy.script[:] = [reply("1")]
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.address.removesuffix("/v1"))
        stub.script[:] = [reply("5")]
        assert probe(settings(stub)) == 5
        assert proxy.keys == []


GOOD = json.loads(reply("Оценка: 4")[1])


@pytest.fixture(scope="module")
def lasting() -> Iterator[JudgeStub]:
    with serving() as found:
        yield found


@held
@given(
    status=some.sampled_from([200, 200, 200, 200, 204, 302, 401, 429, 500]),
    key=some.sampled_from(leaves(GOOD)),
    value=some.sampled_from(WEIRD),
    place=some.integers(0, 99),
    change=some.integers(0, 11),
    whole=some.booleans(),
)
def test_any_reply_is_a_grade_or_an_error(
    status: int, key: str, value: object, place: int, change: int, whole: bool, lasting: JudgeStub
) -> None:
    body = json.dumps(changed(GOOD, key, value)) if whole else broken(json.dumps(GOOD).encode(), place, change)
    text = body if isinstance(body, str) else body.decode("latin-1")
    lasting.script[:] = [(status, text, ("Location", "http://127.0.0.1:9/"))]
    message, found = "", {}
    try:
        found = dict(grade({0: ("q", "a")}, settings(lasting, parallel=1, timeout_seconds=5)))
    except UserError as error:
        message = str(error)
    assert SECRET not in message
    assert bool(message) != (status == 200 and found.get(0) in range(1, 6))
