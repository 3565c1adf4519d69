"""Tests for those who implement a port: what every implementation must do. They need pytest with pytest-asyncio.

```python
class TestMyBroker(BrokerContract):
    @pytest.fixture
    async def maker(self):
        yield MyMaker()
```

A maker makes the store under test, and lets its time pass: `BrokerMaker`, `MapBrokerMaker` and `PresenceMaker` say how.
"""

from hotclub.testing.contracts.broker import BrokerContract, BrokerMaker
from hotclub.testing.contracts.map_bench import MapBrokerMaker
from hotclub.testing.contracts.maps import MapBrokerContract
from hotclub.testing.contracts.presence import PresenceContract, PresenceMaker

__all__ = [
    "BrokerContract",
    "BrokerMaker",
    "MapBrokerContract",
    "MapBrokerMaker",
    "PresenceContract",
    "PresenceMaker",
]
