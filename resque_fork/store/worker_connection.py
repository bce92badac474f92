"""The parent's one connection to Redis, an event among the events of its loop.

Replies are read as they come in, never waited for with a blocking read: a
server that accepts and never answers leaves the parent free to obey signals
and deadlines. Only connecting to an address blocks, for `CONNECT_SECONDS` at most.

Every command that the parent sends may be repeated without harm (the steps are
numbered), so a command whose reply was lost is simply sent again.
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import (
    AuthenticationWrongNumberOfArgsError,
    ConnectionError,
    RedisError,
    ResponseError,
    TimeoutError,
)

from ..errors import (
    AccessRefused,
    GaveUpWaiting,
    RedisRefused,
    RedisUnavailable,
    ResqueError,
)
from ..system.loop import READABLE, WRITABLE, Loop
from .addresses import Endpoint
from .connecting import bare_connection, find
from .packing import Packed, packed
from .redis_py import on_invalidation, socket_of, speak_resp2, start_parser
from .redis_url import ANSWER_SECONDS, RedisURL
from .refusals import (
    ELSEWHERE,
    PASSING,
    REDIS_ERRORS,
    OtherProtocol,
    code_of,
    is_of_acl,
    translate_error,
    was_said,
)

log = logging.getLogger("resque_fork")

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
FIND_SECONDS = 30.0  # a resolver that has to pass by a silent name server may well take 20


class _Notification:
    """What reading returns for a notification: ``invalidate`` and the keys.

    No keys means all of them: the database was emptied.
    """

    def __init__(self, message: list[Any]) -> None:
        self.keys: list[bytes] | None = message[1]


class _Away(RedisUnavailable):
    def __init__(self, server: RedisURL, why: str) -> None:
        self.why = why
        super().__init__(f"Redis at {server} does not answer. {why}")


class _HungUp(_Away):
    """The connection is gone, and with it the reply."""


class _NoReply(_Away):
    """The connection is there, and nothing comes."""


@dataclass(slots=True)
class _Reply:
    """The place of one reply in the order of those still expected."""

    arrived: bool = False
    value: Any = None


class BestEffort:
    """The same connection, for what can wait: heartbeats, and the keys of others.

    A key of the wrong type is not waited for, but raises WrongKeyType; `but` are the codes of
    the refusals that are not waited for.
    """

    def __init__(self, connection: WorkerConnection, but: Sequence[str] = ("WRONGTYPE",)) -> None:
        self._connection = connection
        self._passing = [code for code in PASSING if code not in but]

    def execute_command(self, *command: Any) -> Any:
        return self._connection.execute_command(*command, passing=self._passing)


def _here(work: Callable[[], Any], wait: Callable[[], None]) -> Any:
    return work()


class WorkerConnection:
    """Commands in, replies out, over one connection to the node that holds `key`.

    `deadline` returns until when to go on trying while Redis is away: a time of the
    loop's clock, or None for ever. `run_in_subprocess` does work that may block, if it can in
    another process; until that is done it calls `wait`, which may raise.
    """

    def __init__(
        self,
        server: RedisURL,
        loop: Loop,
        key: str,
        deadline: Callable[[], float | None] = lambda: None,
        run_in_subprocess: Callable[[Callable[[], Any], Callable[[], None]], Any] = _here,
    ) -> None:
        self.server = server
        self.can_notify = False
        self.authenticated = True
        # true while subscribed: notifications may arrive between replies
        self.expects_notifications = False
        # gets the keys that have changed, or None: all of them, or the connection is lost
        self.on_notification: Callable[[list[bytes] | None], None] = lambda keys: None
        self._loop = loop
        self._key = key
        self._deadline = deadline
        self._run_in_subprocess = run_in_subprocess
        self._connection: Any = None
        self._sock: Any = None
        self._fd = -1
        self._has_hello = False  # it has answered HELLO once, so a lost connection is an accident
        self._shuns_hello = False  # for the next connection: the last HELLO got no answer
        self._why_closed = ""
        self._moved = 0.0  # when bytes last came in or went out: a large reply takes its time
        self._expected: deque[_Reply] = deque()
        self._unsent: deque[bytes | memoryview] = deque()

    def execute_command(self, *command: Any, passing: Sequence[str] = PASSING) -> Any:
        """Send a command and wait for its reply, for as long as it takes to get one.

        Raises RedisRefused for a refusal whose code is none of those that are `passing`,
        SettingsError for a server of the wrong kind, GaveUpWaiting once deadline has run out,
        AccessRefused while we have not been `authenticated`.
        """
        pause = FIRST_PAUSE
        complained: type[ResqueError] | None = None
        while True:
            try:
                reply = self._ask(*command)
                if complained:
                    log.warning("Redis at %s answers again", self.server)
                return reply
            except GaveUpWaiting:
                raise
            except (RedisRefused, RedisUnavailable) as problem:
                if not self._passes(problem, passing):
                    if complained:  # a server that was restarted has forgotten the scripts
                        log.warning("Redis at %s answers again", self.server)
                    raise
                kind = RedisUnavailable if isinstance(problem, RedisUnavailable) else type(problem)
                if kind is not complained:
                    log.warning("%s Trying again.", problem)
                    complained = kind
                self._rest(pause, problem)
                pause = min(pause * 2, LONGEST_PAUSE)

    def pack(self, words: Sequence[str]) -> Packed:
        """Words of commands to come, which then need not be packed again for each of them."""
        return Packed.of(words)

    def _passes(self, problem: RedisRefused | RedisUnavailable, passing: Sequence[str]) -> bool:
        if isinstance(problem, AccessRefused):
            return self.authenticated and "NOPERM" in passing
        return isinstance(problem, RedisUnavailable) or problem.code in passing

    def try_command(self, *command: Any) -> bool:
        """Send a command once; False if it is refused, or if Redis is away.

        Raises GaveUpWaiting.
        """
        try:
            self._ask(*command)
        except GaveUpWaiting:
            raise
        except ResqueError:
            return False
        return True

    @property
    def session(self) -> object:
        """The connection of this moment, to be compared only; None while there is none."""
        return self._connection

    def send(self, *command: Any) -> None:
        """Send a command whose reply does not matter, if there is a connection."""
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._send(*command)

    def open_or_refuse(self) -> None:
        """Connect, however long it takes; from now on a refused login raises AccessRefused.

        Once a worker has done some work, set `authenticated`: then such refusals are waited
        out, because a changed password must not cost a job.
        """
        self.authenticated = False
        self.execute_command("PING")

    def close(self) -> None:
        """Hang up; whatever was still expected will not come."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self._loop.forget(self._fd)
        self._loop.fds.discard(self._fd)
        connection.disconnect()
        self._unsent.clear()
        self._expected.clear()
        self.on_notification(None)

    @property
    def fds(self) -> list[int]:
        """The connection, if there is one."""
        return [] if self._connection is None else [self._fd]

    # --- one command

    def _ask(self, *command: Any) -> Any:
        """Send a command once. Raises our errors; the methods below raise redis-py's too."""
        try:
            if self._connection is None:
                self._open()
            return self._wait_for(self._send(*command))
        except REDIS_ERRORS as error:
            raise translate_error(error, self.server, command) from error

    def _send(self, *command: Any) -> _Reply:
        reply = _Reply()
        self._expected.append(reply)
        self._unsent.append(packed(command))
        try:
            self._write()
        except OSError:
            if not reply.arrived:
                raise
        return reply

    def _wait_for(self, reply: _Reply) -> Any:
        connection = self._connection
        self._moved = self._loop.clock()
        while not reply.arrived:
            late = self._moved + ANSWER_SECONDS
            if self._connection is not connection:
                raise _HungUp(self.server, f"The connection was closed{self._why_closed}.")
            if self._loop.clock() >= late:
                self.close()
                raise _NoReply(self.server, f"No reply within {ANSWER_SECONDS:g} seconds.")
            self._wait(late)
        if isinstance(reply.value, Exception):
            if code_of(reply.value) in ELSEWHERE or "Protocol error" in str(reply.value):
                self.close()  # after an error of the protocol the server hangs up
            raise reply.value
        return reply.value

    def _rest(self, pause: float, problem: ResqueError) -> None:
        until = self._loop.clock() + pause
        while self._loop.clock() < until:
            self._wait(until, problem)

    def _wait(self, until: float, problem: ResqueError | None = None) -> None:
        """Let one round of events happen, unless deadline has run out."""
        deadline = self._deadline()
        if deadline is None or self._loop.clock() < deadline:
            self._loop.wait(until if deadline is None else min(until, deadline))
        elif problem is None or isinstance(problem, RedisUnavailable):
            away = f"Redis at {self.server} was away for too long; leaving without it."
            raise GaveUpWaiting(away)
        else:
            raise GaveUpWaiting(f"{problem} Leaving all the same.")

    # --- the connection

    def _open(self) -> None:
        """Connect, and log in: with HELLO, or in the old way where that gets no answer."""
        plainly, self._shuns_hello = self._shuns_hello, False
        if not plainly:
            self._connect()
            try:
                self._or_close(self._shake_hands)
                return
            except _NoReply:
                self._shuns_hello = not self._has_hello
                raise
            except _HungUp as error:
                if self._has_hello:
                    raise
                log.debug("Redis at %s has no answer to HELLO: %s", self.server, error.why)
        self._connect()
        self._or_close(self._shake_hands_plainly)

    def _connect(self) -> None:
        connection = bare_connection(self.server, self._find(), on_connect=start_parser)
        connection.connect()
        on_invalidation(connection, _Notification)
        self._connection, self._sock = connection, socket_of(connection)
        self._fd = self._sock.fileno()
        self._loop.fds.add(self._fd)
        self._why_closed = ""
        self._loop.watch(self._fd, self._read)

    def _or_close(self, shake_hands: Callable[[], None]) -> None:
        try:
            shake_hands()
        except BaseException:
            self.close()  # half a handshake could leave us in another database
            raise

    def _find(self) -> Endpoint | None:
        """Where to connect to. A subprocess looks names up, since nothing can interrupt that."""
        if not self.server.is_to_be_found:
            return find(self.server, self._key)
        late = self._loop.clock() + FIND_SECONDS

        def wait() -> None:
            if self._loop.clock() >= late:
                why = f"Its name could not be resolved within {FIND_SECONDS:g} seconds."
                raise _Away(self.server, why)
            self._wait(late)

        place: Endpoint | None = self._run_in_subprocess(lambda: find(self.server, self._key), wait)
        return place

    def _shake_hands(self) -> None:
        """Log in, and switch to RESP3, without which the server cannot notify us."""
        login = self._login()
        words = ("AUTH", login[0] or "default", login[1]) if login else ()
        try:
            greeting = self._wait_for(self._send("HELLO", 3, *words))
        except ResponseError as error:
            if code_of(error) in PASSING and not is_of_acl(error):
                raise
            self._speak_resp2()  # Redis before 6, or a proxy, each with an error of its own
            self._log_in_plainly()
        else:
            if not isinstance(greeting, dict):  # a map, which only RESP3 has
                self.close()
                raise _HungUp(self.server, "It answers to HELLO, but not in RESP3.")
            self.can_notify = self._has_hello = True
        self._choose_database()

    def _shake_hands_plainly(self) -> None:
        """Log in without HELLO, at which some proxies hang up."""
        self._speak_resp2()
        try:
            self._log_in_plainly()
            self._see_that_it_answers()
        except _HungUp as error:
            if self.server.scheme == "unix" or self.server.tls:
                raise
            raise OtherProtocol(f"no reply: {error.why}") from None
        self._choose_database()

    def _see_that_it_answers(self) -> None:
        try:
            self._wait_for(self._send("PING"))
        except ResponseError as error:
            if code_of(error) == "DENIED":  # it hangs up; others may forbid a PING and nothing else
                raise

    def _login(self) -> tuple[str, str] | None:
        username, password = self._connection.username or "", self._connection.password or ""
        return (username, password) if username or password else None

    def _speak_resp2(self) -> None:
        """With it come no notifications: jobs are looked for at intervals."""
        self.can_notify = False
        speak_resp2(self._connection)

    def _log_in_plainly(self) -> None:
        if login := self._login():
            try:
                self._wait_for(self._send("AUTH", *(login if login[0] else login[1:])))
            except AuthenticationWrongNumberOfArgsError:  # Redis before 6 knows no users
                self._wait_for(self._send("AUTH", login[1]))

    def _choose_database(self) -> None:
        if name := self._connection.client_name:
            self._send("CLIENT", "SETNAME", name)  # never mind whether it may be set
        if self._connection.db:
            self._wait_for(self._send("SELECT", self._connection.db))

    def _write(self) -> None:
        try:
            while self._unsent:
                data = self._unsent[0]
                self._sock.settimeout(0)
                sent = self._sock.send(data)
                self._moved = self._loop.clock()
                if sent == len(data):
                    self._unsent.popleft()
                else:
                    self._unsent[0] = memoryview(data)[sent:]
        except OSError as error:
            if not _would_block(error):
                self._read()  # the server may have said why it hangs up
                self.close()
                raise
            self._loop.watch(self._fd, self._read_and_write, READABLE | WRITABLE)

    def _read_and_write(self) -> None:
        self._loop.watch(self._fd, self._read)
        try:
            self._write()
        except OSError:
            return
        self._read()

    def _read(self) -> None:
        """Take in all replies and notifications that have arrived."""
        self._moved = self._loop.clock()
        while self._connection is not None:
            try:
                value = self._connection.read_response(
                    timeout=0, disconnect_on_error=False, push_request=True, disable_decoding=True
                )
            except TimeoutError:
                return  # the rest has not arrived yet; the parser keeps what has
            except ResponseError as error:
                value = error
            except (RedisError, OSError, ValueError) as error:
                # redis-py has some refusals among the errors of connections; its parser keeps
                # such a reply, so that nothing can follow it
                if was_said(error) and self._expected:
                    reply = self._expected.popleft()
                    reply.value, reply.arrived = error, True
                elif not isinstance(error, ConnectionError | OSError):
                    self._why_closed = f", because what came is no reply ({error})"
                self.close()
                return
            if isinstance(value, _Notification):
                self.on_notification(value.keys)
            elif self._expected:
                reply = self._expected.popleft()
                reply.value, reply.arrived = value, True
            if not ((self._expected or self.expects_notifications) and self._has_more()):
                return

    def _has_more(self) -> bool:
        """Whether another reply has arrived. (To try and fail takes ten times as long.)"""
        try:
            return self._connection is not None and bool(self._connection.can_read())
        except (RedisError, OSError):
            self.close()
            return False


def _would_block(error: OSError) -> bool:
    return isinstance(error, BlockingIOError) or type(error).__name__ in (
        "SSLWantReadError",
        "SSLWantWriteError",
    )
