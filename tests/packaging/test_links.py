"""Every link in the documentation leads somewhere, and every page is reached from the README."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.packaging.blocks import prose_of

ROOT = Path(__file__).parents[2]
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")})
IMAGES = sorted(ROOT.glob("docs/images/*"))
LARGEST_IMAGE = 200 * 1024


def anchors(page: Path) -> set[str]:
    """What the headings of a page are called in links."""
    headings = re.findall(r"^#+ (.*)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> Iterator[tuple[str, str]]:
    """Path and anchor of every link to a file of the repository."""
    for path, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", prose_of(page)):
        if ":" not in path:
            yield path, anchor


def dead_links(page: Path) -> Iterator[str]:
    for path, anchor in links(page):
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            yield f"{page.name}: {path}#{anchor}"


def reached_from(start: Path) -> set[Path]:
    """The files that somebody finds who reads a page and follows its links, from page to page."""
    found, open_pages = {start}, [start]
    while open_pages:
        page = open_pages.pop()
        targets = {(page.parent / path).resolve() for path, _ in links(page) if path}
        new = {target for target in targets - found if target.is_file()}
        found |= new
        open_pages += [target for target in new if target.suffix == ".md"]
    return found


def test_every_link_leads_somewhere() -> None:
    assert [dead for page in PAGES for dead in dead_links(page)] == []


def test_every_page_and_every_image_is_reached_from_the_readme() -> None:
    found = reached_from(ROOT / "README.md")
    assert [str(path.relative_to(ROOT)) for path in [*PAGES, *IMAGES] if path not in found] == []


def test_the_chinese_readme_leads_to_every_page_of_the_documentation() -> None:
    found = reached_from(ROOT / "README.zh-CN.md")
    assert [str(path.relative_to(ROOT)) for path in PAGES if path not in found] == []


def test_images_are_small_enough_for_a_page() -> None:
    assert IMAGES
    assert {path.name: path.stat().st_size for path in IMAGES if path.stat().st_size > LARGEST_IMAGE} == {}


def test_a_page_that_nothing_links_to_is_found(tmp_path: Path) -> None:
    (tmp_path / "start.md").write_text("[on](next.md)\n")
    (tmp_path / "next.md").write_text("[back](start.md)\n")
    (tmp_path / "alone.md").write_text("[start](start.md)\n")
    assert {path.name for path in reached_from(tmp_path / "start.md")} == {"start.md", "next.md"}


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One `word`\n[here](#one-word) [there](#two) [away](no.md) [out](https://example.com/#x)\n")
    assert list(dead_links(page)) == ["page.md: #two", "page.md: no.md#"]
