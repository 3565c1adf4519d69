"""The addresses that are found in a message text."""

from clubhouse.chat.markup.addresses import find


def test_the_index_of_a_link_is_that_of_the_text() -> None:
    found = find("看 [名](https://a.cn/中) https://b.cn")
    assert {text: (address.start, address.end) for text, address in found.named.items()} == {2: (6, 20)}
    assert [address.href for address in found.addresses] == ["https://a.cn/中", "https://b.cn"]
