"""Which channels are wanted and how far each was heard: after a reconnect they go on from there. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apps.contracts.channels import MAX_CHANNELS, OWN

if TYPE_CHECKING:
    from collections.abc import Sequence

Frame = dict[str, Any]


class Channels:
    """The wanted channels, and the last id heard of each."""

    def __init__(self, *, inbox: bool) -> None:
        self.inbox = inbox
        self.wanted: dict[str, bool] = {}
        self.heard: dict[str, str] = {}

    def add(self, channels: Sequence[str], *, presence: bool) -> list[Frame]:
        """Want channels; returns the frames that say so."""
        self.wanted.update(dict.fromkeys(channels, presence))
        return self._frame(channels, presence=presence)

    def remove(self, channels: Sequence[str]) -> list[Frame]:
        """Want them no longer."""
        for channel in channels:
            self.wanted.pop(channel, None)
            self.heard.pop(channel, None)
        return [
            {"v": 1, "type": "unsubscribe", "channels": list(channels[start : start + MAX_CHANNELS])}
            for start in range(0, len(channels), MAX_CHANNELS)
        ]

    def frames(self) -> list[Frame]:
        """Return what tells a new connection everything that is wanted."""
        plain = [channel for channel, presence in self.wanted.items() if not presence]
        present = [channel for channel, presence in self.wanted.items() if presence]
        return self._frame(plain, presence=False) + self._frame(present, presence=True)

    def subscribed(self, subscriptions: Sequence[Frame]) -> None:
        """Take where subscriptions stand."""
        for one in subscriptions:
            if not one["recovered"]:
                # something is lost, perhaps the stream itself with its ids: they begin here again
                self.heard.pop(one["channel"], None)
            self._hear(one["channel"], one["id"])

    def take(self, messages: Sequence[Frame]) -> list[Frame]:
        """Return the messages that were not heard before."""
        return [one for one in messages if self._hear(one["channel"], one["id"])]

    def _hear(self, channel: str, message_id: str) -> bool:
        wanted = self.inbox if channel == OWN else channel in self.wanted
        last = self.heard.get(channel)
        if not wanted or (last is not None and _place(message_id) <= _place(last)):
            return False
        self.heard[channel] = message_id
        return True

    def _frame(self, channels: Sequence[str], *, presence: bool) -> list[Frame]:
        """Return as many frames as it takes: the gateway ends a connection whose frame is too long."""
        return [
            self._part(channels[start : start + MAX_CHANNELS], presence=presence)
            for start in range(0, len(channels), MAX_CHANNELS)
        ]

    def _part(self, channels: Sequence[str], *, presence: bool) -> Frame:
        frame: Frame = {"v": 1, "type": "subscribe", "channels": list(channels)}
        since = {channel: self.heard[channel] for channel in channels if channel in self.heard}
        if since:
            frame["since"] = since
        if presence:
            frame["presence"] = True
        return frame


def _place(message_id: str) -> tuple[int, int]:
    """Ids are two numbers, `milliseconds-count`."""
    milliseconds, _, count = message_id.partition("-")
    return int(milliseconds or 0), int(count or 0)
