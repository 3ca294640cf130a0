"""The searches for cycles: nothing that was looked at twice is looked at again, and nothing is kept for it."""

from __future__ import annotations

import gc
import weakref

from streams.live.gc_tuning import short_collections


class Thing:
    """Something that can be referred to weakly."""


def test_what_stays_is_set_aside_and_still_freed() -> None:
    before = gc.get_threshold()
    with short_collections():
        things = [Thing() for _ in range(1000)]
        seen = weakref.ref(things[-1])
        frozen = gc.get_freeze_count()
        gc.collect(1)
        assert gc.get_freeze_count() >= frozen + 1000
        assert gc.get_count()[2] == 0
        del things
        assert seen() is None
        cycle = [Thing()]
        cycle[0].itself = cycle  # type: ignore[attr-defined]
        given_up = weakref.ref(cycle[0])
        del cycle
        gc.collect(1)
        assert given_up() is None
    assert gc.get_threshold() == before
    gc.unfreeze()


def test_no_search_is_over_more_than_has_come_lately() -> None:
    sizes: list[int] = []

    def note(phase: str, information: dict[str, int]) -> None:
        if phase == "start":
            generations = range(information["generation"] + 1)
            sizes.append(sum(len(gc.get_objects(generation=number)) for number in generations))

    with short_collections():
        gc.callbacks.append(note)
        held = [[number] for number in range(1_500_000)]
        gc.callbacks.remove(note)
    assert len(held) == 1_500_000
    assert len(sizes) > 20
    assert max(sizes) < 400_000
    gc.unfreeze()
