"""Adds the integrity of packages to package-lock.json that npm has left out: those of other platforms than this one."""

import json
import subprocess
from pathlib import Path
from typing import Any, Final

LOCK: Final = Path(__file__).parents[1] / "package-lock.json"


def complete(packages: dict[str, dict[str, Any]]) -> list[str]:
    """Fill in what is missing, and return the names of the packages that it was missing for."""
    missing = [path for path, entry in packages.items() if path and "integrity" not in entry]
    for path in missing:
        name = path.rpartition("node_modules/")[2]
        entry = packages[path]
        command = ["npm", "view", f"{name}@{entry['version']}", "dist.integrity"]
        integrity = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        if not integrity.startswith("sha512-"):
            raise ValueError(f"{name} {entry['version']} has the integrity {integrity!r}")
        # In the place where npm writes it.
        packages[path] = {"version": entry.pop("version"), "integrity": integrity, **entry}
    return missing


if __name__ == "__main__":
    lock = json.loads(LOCK.read_text(encoding="utf-8"))
    for added in complete(lock["packages"]):
        print(f"integrity of {added}")
    LOCK.write_text(json.dumps(lock, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
