"""Which gateways have rows: small numbers for their names, and hits divided by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    #: A gateway's number in the upper half, the slot in the lower: sorted, they lie by gateway.
    Addresses = npt.NDArray[np.uint64]

_SLOT_BITS: Final = 32


@dataclass(frozen=True, slots=True)
class Hit:
    """What a change means to one gateway: packed slots that see it now, and that saw it until now."""

    gateway: str
    shown: bytes
    gone: bytes


class Gateways:
    """Numbers are used again once no row has them: gateways come and go with every deploy."""

    def __init__(self) -> None:
        self._names: list[str] = []  # "" is a number nobody uses
        self._rows: list[int] = []
        self._number: dict[str, int] = {}
        self._ends: Addresses = np.empty(0, np.uint64)

    def __len__(self) -> int:
        return len(self._number)

    def enter(self, gateway: str, slot: int) -> int:
        """Note a row of a gateway and return its address."""
        number = self._number.get(gateway)
        if number is None:
            number = self._new(gateway)
        self._rows[number] += 1
        return number << _SLOT_BITS | slot

    def _new(self, gateway: str) -> int:
        if "" in self._names:
            number = self._names.index("")
            self._names[number] = gateway
        else:
            number = len(self._names)
            self._names.append(gateway)
            self._rows.append(0)
            self._ends = np.arange(1, number + 2, dtype=np.uint64) << np.uint64(_SLOT_BITS)
        self._number[gateway] = number
        return number

    def leave(self, address: int) -> None:
        """Note that a row is gone."""
        number = address >> _SLOT_BITS
        self._rows[number] -= 1
        if not self._rows[number]:
            del self._number[self._names[number]]
            self._names[number] = ""

    def hits(self, shown: Addresses, gone: Addresses) -> list[Hit]:
        """Divide addresses by gateway; both arrays are sorted in place."""
        if not gone.size:
            return [Hit(gateway, slots, b"") for gateway, slots in self._divided(shown)]
        lost = dict(self._divided(gone))
        hits = [Hit(gateway, slots, lost.pop(gateway, b"")) for gateway, slots in self._divided(shown)]
        return hits + [Hit(gateway, b"", slots) for gateway, slots in lost.items()]

    def _divided(self, addresses: Addresses) -> Iterator[tuple[str, bytes]]:
        if not addresses.size:
            return
        addresses.sort()
        slots = addresses.astype("<u4").tobytes()
        begin = 0
        for name, end in zip(self._names, addresses.searchsorted(self._ends).tolist(), strict=True):
            if end > begin:
                yield name, slots[4 * begin : 4 * end]
                begin = end
