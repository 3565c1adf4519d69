"""Places that addresses share, and what counts as one address."""

import random
from collections import Counter

from hotclub.engine.places import Places, network_of


def test_ipv6_customers_are_one_address_and_ipv4_in_ipv6_is_ipv4() -> None:
    assert network_of("2001:db8:1:2:3::4") == network_of("2001:db8:1:2:ffff::1") != network_of("2001:db8:1:3::")
    assert network_of("::ffff:1.2.3.4") == "1.2.3.4"
    assert network_of("unix") == "unix"


def test_the_group_with_the_most_places_yields_its_newest_one() -> None:
    places: Places[int] = Places()
    for holder in range(3):
        places.enter("greedy", holder)
    places.enter("modest", 10)
    assert places.yields_to("newcomer") == 2
    assert places.yields_to("modest") == 2
    assert places.yields_to("greedy") is None, "its own share is the largest"
    places.leave("greedy", 2)
    assert places.yields_to("modest") is None, "a swap would only turn the two around"
    assert places.yields_to("newcomer") == 1


def test_one_place_each_is_everybodys_share() -> None:
    places: Places[int] = Places()
    for holder in range(5):
        places.enter(str(holder), holder)
    assert places.yields_to("newcomer") is None
    assert Places[int]().yields_to("newcomer") is None


def test_the_oldest_holder_is_the_one_that_entered_first() -> None:
    places: Places[int] = Places()
    places.enter("a", 1, 10.0)
    places.enter("a", 2, 11.0)
    assert places.oldest("a") == (1, 10.0)
    places.leave("a", 1)
    assert places.oldest("a") == (2, 11.0)
    assert places.oldest("b") is None


def test_leaving_twice_gives_back_one_place() -> None:
    places: Places[int] = Places()
    places.enter("a", 1, 5.0)
    places.leave("a", 1)
    places.leave("a", 1)
    places.leave("nobody", 7)
    assert (len(places), places.held("a")) == (0, 0)


def test_the_greediest_is_found_after_any_coming_and_going() -> None:
    chance, places, held = random.Random(8), Places[int](), dict[int, str]()
    for holder in range(3_000):
        if held and chance.random() < 0.45:
            gone = chance.choice(list(held))
            places.leave(held.pop(gone), gone)
        else:
            held[holder] = chance.choice("aaaabbcdefgh")
            places.enter(held[holder], holder)
        sizes = Counter(held.values())
        assert len(places) == len(held)
        yields = places.yields_to("newcomer")
        largest = max(sizes.values(), default=0)
        assert (yields is None) == (largest < 2)
        if yields is not None:
            assert sizes[held[yields]] == largest
            assert yields == max(one for one, group in held.items() if group == held[yields])
