"""What grew over the last few seconds, from counts that only rise."""

from collections import deque

SPAN_S = 5.0


class Recent:
    """Readings of a few counts over `span_s` seconds and a little more."""

    def __init__(self, span_s: float = SPAN_S) -> None:
        self._span_s = span_s
        self._kept: deque[tuple[float, ...]] = deque()

    def grown(self, t_s: float, *counts: float) -> tuple[float, ...] | None:
        """Take a reading; seconds and growth since the oldest kept, None while there is no older one."""
        if self._kept and t_s < self._kept[-1][0]:  # another point, another clock
            self._kept.clear()
        self._kept.append((t_s, *counts))
        while len(self._kept) > 2 and self._kept[1][0] <= t_s - self._span_s:
            self._kept.popleft()
        oldest = self._kept[0]
        if t_s <= oldest[0]:
            return None
        return tuple(new - old for new, old in zip((t_s, *counts), oldest, strict=True))
