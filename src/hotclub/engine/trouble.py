"""The readers that a fan-out had trouble with: noted inside the loop over all readers, and seen to after it."""

from hotclub.engine.codes import Close
from hotclub.engine.model import Publication
from hotclub.engine.observe import logger, printable
from hotclub.engine.peers import Peers
from hotclub.engine.subscriber import Subscriber


class Trouble:
    """The readers that one publication could not be sent to."""

    __slots__ = ("behind", "failed", "misfits", "overdue")

    def __init__(self) -> None:
        self.behind: list[Subscriber] = []
        """Those that have missed an earlier publication."""
        self.misfits: list[Subscriber] = []
        """Those whose codec cannot carry the publication."""
        self.failed: list[Subscriber] = []
        """Those with whom something raised an exception."""
        self.overdue: list[Subscriber] = []
        """Those for which more is held than a reader may leave unread."""

    def note(self, subscriber: Subscriber, error: BaseException) -> None:
        """Note that something raised an exception for this subscriber.

        Raises:
            BaseException: the exception ends the process.
        """
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise error
        if not self.failed:
            logger.error("A publication in %r failed for a subscriber", printable(subscriber.channel), exc_info=error)
        self.failed.append(subscriber)

    def settle(self, peers: Peers, publication: Publication) -> None:
        """Tell the readers, or end their connections."""
        if self.behind:
            peers.report_gaps(self.behind)
        for subscribers, code in (
            (self.misfits, Close.INAPPROPRIATE_PROTOCOL),
            (self.failed, Close.INTERNAL_ERROR),
        ):
            for subscriber in subscribers:
                subscriber.stand_before(publication)
            peers.close_those_of(subscribers, code)
        peers.close_those_of(self.overdue, Close.SLOW)
