"""A user who may not have a key: the server's words at once, nothing done, and no doubt."""

from __future__ import annotations

from typing import Any

import pytest

import comity

FORBIDDEN: dict[str, Any] = {
    "write": lambda co: co.transaction().incr("secret").execute(),
    "read": lambda co: co.transaction().get("secret").execute(),
    "snapshot": lambda co: co.snapshot("secret"),
}


@pytest.mark.parametrize("verb", FORBIDDEN)
def test_a_key_that_the_user_may_not_have(start, verb: str):
    server = start()
    with server.client() as admin:
        rules = ["resetkeys", "~comity:*", "~open", "+@all", "&*"]
        admin.execute_command("ACL", "SETUSER", "app", "on", ">pw", *rules)
        client = server.client(username="app", password="pw")
        # At once, and not at a timeout that would hold up the whole suite.
        with comity.connect(client, timeout=60) as co:
            assert co.transaction().incr("open").execute() == [1]
            with pytest.raises(comity.ServerRefused, match="NOPERM") as raised:
                FORBIDDEN[verb](co)
            assert raised.value.server is not None
            assert co.transaction().incr("open").execute() == [2]
        assert admin.keys("secret*") == []
