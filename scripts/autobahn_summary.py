"""Say what became of the cases of the public WebSocket suite, from the index of its report."""

import json
import sys
from collections import Counter
from pathlib import Path

PASSED = {"OK", "NON-STRICT", "INFORMATIONAL"}


def summary(index: dict[str, dict[str, dict[str, str]]]) -> tuple[str, bool]:
    """Text for people, and whether nothing failed. Cases about an extension that is not offered are no failures."""
    (cases,) = index.values()
    counts = Counter(case["behavior"] for case in cases.values())
    bad = {
        name: case
        for name, case in cases.items()
        if case["behavior"] not in {*PASSED, "UNIMPLEMENTED"} or case["behaviorClose"] not in PASSED
    }
    lines = [f"{len(cases)} cases: " + ", ".join(f"{count} {name}" for name, count in counts.most_common())]
    lines += [f"{name}: {case['behavior']}, closing {case['behaviorClose']}" for name, case in bad.items()]
    return "\n".join(lines), not bad


if __name__ == "__main__":
    text, passed = summary(json.loads(Path(sys.argv[1]).read_text()))
    print(text)
    sys.exit(not passed)
