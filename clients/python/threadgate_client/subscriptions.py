"""All subscriptions of a session: which view belongs to which topic, and what to ask the gateway for. Pure.

Views and topics decide for themselves; this turns what they want into requests of the table, and routes
answers and notifications to them. The handshake, time limits and reconnecting are in `session.py`.
"""

import json
from collections.abc import Mapping
from typing import Any

from threadgate_client import limits
from threadgate_client.answers import Head, Hello
from threadgate_client.errors import ProtocolViolation, RequestRefused
from threadgate_client.fields import Fields
from threadgate_client.frames import Notification
from threadgate_client.inboxes import Inboxes, InboxView
from threadgate_client.items import Reset
from threadgate_client.outputs import Output, ViewEnded
from threadgate_client.records import Event
from threadgate_client.requests import Pending, RequestTable
from threadgate_client.texts import Piece
from threadgate_client.topics import Phase, Topic
from threadgate_client.views import CLOSED_REASONS, LogState, View


class Subscriptions:
    """The views of all threads and of the inbox, and the wire's subscriptions behind them."""

    def __init__(self, requests: RequestTable) -> None:
        self._requests = requests
        self._topics: dict[str, Topic] = {}
        self._topic_of_view: dict[int, Topic] = {}
        self._topic_of_request: dict[int, Topic] = {}
        self._inboxes = Inboxes()
        self._epoch: str | None = None
        self._is_online = False

    # --- the user's side ----------------------------------------------------------------------------------

    def open_view(self, view: View, now: float) -> None:
        """Add a reader of a thread."""
        topic = self._topics.setdefault(view.thread_id, Topic(view.thread_id))
        topic.views[view.id] = view
        self._topic_of_view[view.id] = topic
        topic.want(now)
        self._sync(topic, now)

    def open_inbox(self, view: InboxView, now: float) -> None:
        """Add a reader of the inbox."""
        self._inboxes.views[view.id] = view
        self._inboxes.due = now
        self._sync_inbox(now)

    def close(self, view_id: int, now: float) -> None:
        """Forget a reader; unknown ones are forgotten already."""
        if topic := self._topic_of_view.pop(view_id, None):
            topic.views.pop(view_id, None)
            self._sync(topic, now)
        elif self._inboxes.views.pop(view_id, None):
            self._sync_inbox(now)

    def pause(self, view_id: int, now: float) -> None:
        """Stop applying anything to a view: its cursor stays."""
        self._set_paused(view_id, True, now)

    def resume(self, view_id: int, now: float) -> None:
        """Continue a paused view from its cursor."""
        self._set_paused(view_id, False, now)

    def _set_paused(self, view_id: int, is_paused: bool, now: float) -> None:
        if (topic := self._topic_of_view.get(view_id)) and view_id in topic.views:
            view = topic.views[view_id]
            view.is_paused, view.is_live = is_paused, False
            if not is_paused:
                topic.want(now)
            self._sync(topic, now)
        elif inbox_view := self._inboxes.views.get(view_id):
            inbox_view.is_paused = is_paused
            if not is_paused:
                self._inboxes.due = now
            self._sync_inbox(now)

    # --- the connection's life ----------------------------------------------------------------------------

    def resume_points(self) -> list[dict[str, Any]]:
        """The entries of `hello.resume`: as many as may be named and fit; `ready` asks for the others."""
        points: list[dict[str, Any]] = []
        room_bytes = limits.PRE_HELLO_FRAME_BYTES // 2
        for topic in self._topics.values():
            if not topic.active():
                continue
            point = topic.wanted(self._epoch or "").resume_point()
            if point is None or len(points) == limits.RESUMED_SUBSCRIPTIONS:
                continue
            room_bytes -= len(json.dumps(point))
            if room_bytes < 0:
                break
            topic.wire_kinds = tuple(point["kinds"]) if "kinds" in point else None
            topic.phase = Phase.ASKED
            points.append(point)
        return points

    def ready(self, hello: Hello, now: float) -> list[Output]:
        """The handshake succeeded: take what was resumed, ask for the rest."""
        outputs: list[Output] = []
        if self._epoch is not None and self._epoch != hello.epoch:
            outputs += self._inboxes.epoch_changed(hello.epoch)
        self._epoch, self._is_online = hello.epoch, True
        for resumed in hello.resumed:
            topic = self._topics.get(resumed.thread_id)
            # Views may have come and gone since `hello` left; `due` then asks again below.
            if topic is None or topic.phase is not Phase.ASKED:
                continue
            if resumed.state == "replaying":
                topic.resumed(hello.epoch, now)
            elif resumed.reason in CLOSED_REASONS:
                outputs += self._apply(
                    topic, topic.close(Reset(topic.thread_id, str(resumed.reason)), now), now
                )
        for topic in list(self._topics.values()):
            if topic.phase is not Phase.OPEN:
                topic.phase = Phase.IDLE
                topic.want(now)
            self._sync(topic, now)
        if self._inboxes.active():
            self._inboxes.due = now
        self._sync_inbox(now)
        return outputs

    def connection_lost(self) -> None:
        """Nothing is subscribed any more; every view keeps its cursor."""
        self._is_online = False
        self._topic_of_request.clear()
        for topic in self._topics.values():
            topic.connection_lost()
        self._inboxes.connection_lost()

    def next_due(self) -> float | None:
        """When `sync_all` has something to ask."""
        if not self._is_online:
            return None
        times = [topic.due for topic in self._topics.values() if topic.due is not None and topic.active()]
        if self._inboxes.due is not None:
            times.append(self._inboxes.due)
        return min(times, default=None)

    def sync_all(self, now: float) -> None:
        """Ask for whatever is due."""
        for topic in list(self._topics.values()):
            self._sync(topic, now)
        self._sync_inbox(now)

    # --- the gateway's side -------------------------------------------------------------------------------

    def answered(self, pending: Pending, result: Mapping[str, Any], now: float) -> list[Output]:
        """An own request has its result. Raises ProtocolViolation."""
        if pending.id == self._inboxes.request_id:
            self._inboxes.answered(Fields(result, "inbox").number("offset"))
            return []
        topic = self._topic_of_request.pop(pending.id, None)
        if topic is None or topic.request_id != pending.id:
            return []  # superseded by a later request, or an unsubscribe
        return self._apply(topic, topic.answered(LogState.from_json(result), now), now)

    def refused(self, pending: Pending, error: RequestRefused, now: float) -> list[Output]:
        """An own request was refused."""
        if pending.id == self._inboxes.request_id:
            return self._inboxes.refused(error, now)
        topic = self._topic_of_request.pop(pending.id, None)
        if topic is None or topic.request_id != pending.id:
            return []
        return self._apply(topic, topic.refused(error, now), now)

    def notified(self, frame: Notification, now: float) -> list[Output]:
        """A notification arrived. Raises ProtocolViolation when it is malformed and not about one thread."""
        if frame.method == "head":
            return self._inboxes.head(Head.from_json(frame.params))
        topic = self._topics.get(str(frame.params.get("thread_id")))
        if topic is None:
            return []
        try:
            outputs = self._apply_notification(topic, frame, now)
        except ProtocolViolation as violation:
            # One thread's odd event must not break the connection of all, nor be skipped in silence.
            outputs = topic.end_active(violation)
        return self._apply(topic, outputs, now)

    def _apply_notification(self, topic: Topic, frame: Notification, now: float) -> list[Output]:
        match frame.method:
            case "event":
                return topic.event(Event.from_json(frame.params), now)
            case "delta":
                return topic.delta(Piece.from_json(frame.params, "index"), now)
            case "snapshot":
                return topic.snapshot(Piece.from_json(frame.params, "next_index"), now)
            case "subscription":
                return topic.notice(Fields(frame.params, "subscription"), now)
            case _:
                return []

    # --- asking -------------------------------------------------------------------------------------------

    def _apply(self, topic: Topic, outputs: list[Output], now: float) -> list[Output]:
        for output in outputs:
            if isinstance(output, ViewEnded):
                self._topic_of_view.pop(output.view_id, None)
        self._sync(topic, now)
        return outputs

    def _sync(self, topic: Topic, now: float) -> None:
        """Make the wire's subscription what the topic's views need, if it is due."""
        if not topic.views:
            self._topics.pop(topic.thread_id, None)
        if not self._is_online:
            return
        if not topic.active():
            if topic.phase is not Phase.IDLE:
                self._requests.add("thread.unsubscribe", {"thread_id": topic.thread_id}, is_own=True)
                topic.phase, topic.request_id = Phase.IDLE, None
            topic.due = None
        elif topic.due is not None and topic.due <= now:
            wanted = topic.wanted(self._epoch or "")
            request_id = self._requests.add("thread.subscribe", wanted.subscribe_params(), is_own=True)
            self._topic_of_request[request_id] = topic
            topic.ask(wanted, request_id, now)

    def _sync_inbox(self, now: float) -> None:
        inboxes = self._inboxes
        if not self._is_online:
            return
        if not inboxes.active():
            if inboxes.phase is not Phase.IDLE:
                self._requests.add("inbox.unsubscribe", {}, is_own=True)
                inboxes.phase, inboxes.request_id = Phase.IDLE, None
            inboxes.due = None
        elif inboxes.due is not None and inboxes.due <= now:
            inboxes.ask(self._requests.add("inbox.subscribe", inboxes.subscribe_params(), is_own=True))
