"""A client for tests, which talks to the project's channels without a server and without sockets.

```python
client = HotclubClient()
client.force_login(user)
async with client.connect() as c:
    await c.subscribe("room:1")
    await c.publish("room:1", {"text": "hello"})
    await c.assert_received("room:1", {"user": "django", "text": "hello"})
```

In tests that are not async the same goes without `async` and `await`. See docs/how-to/testing.md.
"""

from hotclub.testing.blocking import BlockingConnection
from hotclub.testing.client import HotclubClient
from hotclub.testing.commits import acapture_on_commit_callbacks
from hotclub.testing.connection import Connection
from hotclub.testing.received import Subscribed

__all__ = [
    "BlockingConnection",
    "Connection",
    "HotclubClient",
    "Subscribed",
    "acapture_on_commit_callbacks",
]
