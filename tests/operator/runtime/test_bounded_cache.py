"""The memory of what does not change any more."""

from anamnesis.operator.runtime.bounded_cache import BoundedCache


def test_it_forgets_what_was_added_first() -> None:
    cache: BoundedCache[str, int] = BoundedCache(size=2)
    for number, key in enumerate(("one", "two", "three")):
        cache.put(key, number)
    assert [cache.get(key) for key in ("one", "two", "three")] == [None, 1, 2]
