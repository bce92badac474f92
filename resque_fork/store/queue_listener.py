"""Has the server tell an idle worker that something was pushed.

Redis' client tracking, in broadcast mode, announces every change of a key
under our prefixes on the very connection that sends the commands, whoever made
the change. A notification is a hint, never truth: look, and be ready to find nothing.

Each subscribed connection gets a message for every push and every pop of the whole fleet. A
busy worker stays subscribed for its first ten messages: unsubscribing around each short job
would cost two commands.
"""

from __future__ import annotations

from ..wire.keys import Keys, to_bytes
from .worker_connection import WorkerConnection

BUSY_NOTIFICATIONS = 10  # that a worker ignores, busy with one job or many, before it unsubscribes


class QueueListener:
    """Notified of every push, and of the loss of the connection, after which pushes go unnoticed.

    `queues_changed` is set too if the set of known queues may have changed; whoever reads
    that set again clears it. `asked` is set, and nothing else, if somebody may have asked for
    something of the worker whose requests stand under the key `requests`. While it is `muted`, as
    that of a busy worker, it ignores notifications, and unsubscribes after the first few.
    """

    def __init__(self, connection: WorkerConnection, keys: Keys, requests: str) -> None:
        self.queues_changed = True
        self.asked = False
        self.muted = False
        self._notified = False
        self._ignored = 0  # notifications, while it is muted
        self._connection = connection
        self._queues_key = to_bytes(keys.queues)
        self._ask_prefix = to_bytes(keys.ask_prefix)
        self._requests_key = to_bytes(requests)
        self._subscribed_on: object = None
        prefixes = [part for prefix in keys.listener_prefixes for part in ("PREFIX", prefix)]
        self._subscribe_command = ("CLIENT", "TRACKING", "ON", "BCAST", "NOLOOP", *prefixes)
        connection.on_notification = self._notify

    @property
    def subscribed(self) -> bool:
        return self._subscribed_on is not None and self._subscribed_on is self._connection.session

    @property
    def notified(self) -> bool:
        """Whether it was notified since `begin_look`; never while it is muted."""
        return self._notified and not self.muted

    def begin_look(self) -> bool:
        """The worker looks now; whether it was notified before."""
        notified, self._notified = self._notified and not self.muted, False
        if not self.muted:
            self._ignored = 0
        return notified

    def note_push(self) -> None:
        """This worker has pushed something itself, which the server does not announce to it."""
        self._notified = self.queues_changed = True

    def subscribe(self) -> bool:
        """Be notified from now on; False if the server cannot or will not.

        What was pushed before is not announced: look once more after subscribing.
        """
        if not self.subscribed:
            self._connection.expects_notifications = True
            if not self._connection.try_command(*self._subscribe_command):
                return False
            can_notify = self._connection.can_notify
            self._subscribed_on = self._connection.session if can_notify else None
        self._notified = False
        return self.subscribed

    def unsubscribe(self) -> None:
        """Be notified of nothing from now on."""
        self._notified = False
        self.queues_changed = True
        if self.subscribed:
            self._connection.send("CLIENT", "TRACKING", "OFF")
        self._connection.expects_notifications = False
        self._subscribed_on = None

    def _notify(self, keys: list[bytes] | None) -> None:
        if keys is not None and all(key.startswith(self._ask_prefix) for key in keys):
            self.asked = self.asked or self._requests_key in keys
            return
        self._notified = True
        if self.muted:
            self._ignored += 1
            if self._ignored > BUSY_NOTIFICATIONS:
                self.unsubscribe()
                return
        if keys is None or self._queues_key in keys:
            self.queues_changed = True
