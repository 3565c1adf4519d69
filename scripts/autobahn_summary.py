"""Prints the results of the public WebSocket suite, from the index of its report. Exits with 1 after a failure."""

import json
import sys
from collections import Counter
from pathlib import Path

PASSED = {"OK", "NON-STRICT", "INFORMATIONAL"}
WORTH_NAMING = ("NON-STRICT", "INFORMATIONAL")

Cases = dict[str, dict[str, str]]


def summary(agent: str, cases: Cases) -> tuple[str, bool]:
    """Return a text for people, and whether all cases passed. A case about an unsupported extension passes."""
    counts = Counter(case["behavior"] for case in cases.values())
    bad = {
        name: case
        for name, case in cases.items()
        if case["behavior"] not in {*PASSED, "UNIMPLEMENTED"} or case["behaviorClose"] not in PASSED
    }
    lines = [f"{agent}: {len(cases)} cases: " + ", ".join(f"{count} {name}" for name, count in counts.most_common())]
    named = {kind: [name for name, case in cases.items() if case["behavior"] == kind] for kind in WORTH_NAMING}
    lines += [f"  {kind}: {' '.join(names)}" for kind, names in named.items() if names]
    lines += [f"  {name}: {case['behavior']}, closing {case['behaviorClose']}" for name, case in bad.items()]
    return "\n".join(lines), not bad


if __name__ == "__main__":
    index: dict[str, Cases] = json.loads(Path(sys.argv[1]).read_text())
    results = [summary(agent, cases) for agent, cases in index.items()]
    print("\n".join(text for text, _ in results))
    sys.exit(not results or not all(passed for _, passed in results))
