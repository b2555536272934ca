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
#: Above them stands the number of the change that an address is matched by.
CHANGE_BITS: Final = 48
_GATEWAYS: Final = 1 << (CHANGE_BITS - _SLOT_BITS)


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
        self._number[gateway] = number
        return number

    def leave(self, address: int) -> None:
        """Note that a row is gone."""
        number = address >> _SLOT_BITS
        self._rows[number] -= 1
        if not self._rows[number]:
            del self._number[self._names[number]]
            self._names[number] = ""

    def hits(self, shown: Addresses, gone: Addresses, changes: int) -> list[list[Hit]]:
        """Divide addresses, above them the numbers of their changes, by both; they are sorted in place."""
        found: list[list[Hit]] = [[] for _ in range(changes)]
        lost = {(change, gateway): slots for change, gateway, slots in self._divided(gone)}
        for change, gateway, slots in self._divided(shown):
            found[change].append(Hit(gateway, slots, lost.pop((change, gateway), b"")))
        for (change, gateway), slots in lost.items():
            found[change].append(Hit(gateway, b"", slots))
        return found

    def _divided(self, addresses: Addresses) -> Iterator[tuple[int, str, bytes]]:
        if not addresses.size:
            return
        addresses.sort()
        slots = addresses.astype("<u4").tobytes()
        heads = addresses >> np.uint64(_SLOT_BITS)
        starts = [0, *((heads[1:] != heads[:-1]).nonzero()[0] + 1).tolist()]
        for head, begin, end in zip(
            heads.take(starts).tolist(), starts, [*starts[1:], len(heads)], strict=True
        ):
            change, number = divmod(head, _GATEWAYS)
            yield change, self._names[number], slots[4 * begin : 4 * end]
