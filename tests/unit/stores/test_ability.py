"""Abilities of stores, asked for through wrappers."""

from glimpse.stores.base import DeletionCheck, MarkedStore, ability
from glimpse.stores.memory import MemoryOptions, MemoryStore
from glimpse.stores.wrap import Wrapper


class CheckingWrapper(Wrapper):
    def check_delete(self, url: str) -> None:
        raise AssertionError(url)


def test_an_ability_is_found_behind_wrappers_and_the_outermost_that_has_it_offers_it():
    store = MemoryStore("ram", MemoryOptions())
    assert ability(store, DeletionCheck) is store
    assert ability(Wrapper(Wrapper(store)), DeletionCheck) is store
    checking = CheckingWrapper(store)
    assert ability(Wrapper(checking), DeletionCheck) is checking


def test_an_ability_that_no_layer_has():
    store = MemoryStore("ram", MemoryOptions())
    assert ability(store, MarkedStore) is None
    assert ability(Wrapper(store), MarkedStore) is None
