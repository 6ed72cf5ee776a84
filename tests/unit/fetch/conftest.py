from collections.abc import Iterator

import pytest
from fixtures.hub import HubStub, serving


@pytest.fixture
def hub() -> Iterator[HubStub]:
    with serving() as stub:
        yield stub
