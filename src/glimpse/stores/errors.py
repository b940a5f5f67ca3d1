"""What is wrong with the configuration of a store: for the operator, at start, so it may name paths."""


class StoreMisconfigured(Exception):
    """A store cannot work as it is configured; ``str(error)`` says which and why."""

    def __init__(self, store_id: str, reason: str) -> None:
        """``reason`` continues the sentence ``store <id>: ``."""
        super().__init__(f"store {store_id}: {reason}")
        self.store_id = store_id
        self.reason = reason
