"""The people, rooms and messages of the demo data."""

from dataclasses import dataclass
from typing import Final

PASSWORD: Final = "hotclub-demo"  # noqa: S105 - of sites for one machine alone; `demo` prints it

PEOPLE: Final = {"alice": ("Alice", ""), "bob": ("Bob 王", "")}
"""User name → display name, and language ("" means that of the browser)."""


@dataclass(frozen=True, slots=True)
class DemoRoom:
    """A room, its members (the first one creates it), and their messages as pairs of user name and text."""

    name: str
    topic: str
    members: tuple[str, ...]
    conversation: tuple[tuple[str, str], ...]


ROOMS: Final = (
    DemoRoom(
        "Welcome",
        "Say hello, ask anything",
        ("alice", "bob"),
        (
            ("alice", "Hello and welcome! This room is for everybody."),
            ("bob", "Hi Alice! Does it really keep what I write when my train goes into a tunnel?"),
            ("alice", "Try it: switch your network off, send something, and switch it on again."),
            (
                "alice",
                "You can use *Markdown*, too:\n\n- **bold** and *emphasis*\n- `code`\n- links: https://www.djangoproject.com/",
            ),
            ("bob", "> switch your network off\n\nDone. It waited and left by itself. Not even a duplicate."),
            ("alice", "你也可以说中文。"),
            ("bob", "太好了！那我就不客气了 😄"),
        ),
    ),
    DemoRoom(
        "周末爬山",
        "这个星期六去哪儿？",
        ("bob", "alice"),
        (
            ("bob", "这个周末天气不错，有人想去爬山吗？"),
            ("alice", "好啊！去香山还是去远一点的地方？"),
            ("bob", "香山人太多了。我想去**妙峰山**，开车一个半小时。"),
            ("alice", "可以。我们几点出发？"),
            ("bob", "早上七点在地铁站门口见，怎么样？\n\n带：\n\n1. 水，每人至少一升\n2. 午饭\n3. 薄外套，山上风大"),
            ("alice", "没问题。我再问问小李来不来。"),
            ("bob", "好，星期五晚上再确认一下。"),
        ),
    ),
    DemoRoom(
        "Deployments",
        "What went out, and when",
        ("alice", "bob"),
        (
            ("bob", "I am about to deploy the new search. Any objections?"),
            ("alice", "None from me. Did the migration run on staging?"),
            ("bob", "Yes, 40 seconds for the whole table:\n\n```\npython manage.py migrate search\n```"),
            ("alice", "Good. Then go ahead, I am watching the error rate."),
            ("bob", "Deployed. First requests look fine."),
            ("alice", "p99 went down from 310 ms to 120 ms. Nice work!"),
        ),
    ),
)
