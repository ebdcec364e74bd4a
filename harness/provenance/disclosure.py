"""What of a launch may be written down: no secrets, no names of this machine's folders."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.paths import expand, is_local
from harness.spec import SOUNDS_SECRET, Run

_SHAPES_AN_ENGINE = re.compile(
    r"^(CUDA|NVIDIA|NCCL|RCCL|HIP|ROCR|HSA|AMD|AITER|VLLM|SGLANG|SGL|HF|TRANSFORMERS|TOKENIZERS|OMP|MKL|KMP|MALLOC|PYTORCH"
    r"|TORCH|TORCHINDUCTOR|TRITON|FLASHINFER|GLOO|UCX|XLA|LD_PRELOAD$|DO_NOT_TRACK$)"
)


def disclosed(env: Mapping[str, str], given: Collection[str] = ()) -> dict[str, str]:
    """The variables that shape how an engine runs, and those given by the sweep; none that sounds like a secret."""
    kept = {name: value for name, value in env.items() if _SHAPES_AN_ENGINE.match(name) or name in given}
    return {name: kept[name] for name in sorted(kept) if not SOUNDS_SECRET.search(name)}


@dataclass(frozen=True, slots=True)
class Placeholders:
    """Text that is new with each launch, or this machine's alone, and what stands for it in files.

    Attributes:
        words: replaced where they are a whole value.
        parts: replaced wherever they occur, the longest first.
    """

    words: Mapping[str, str]
    parts: Mapping[str, str]

    @classmethod
    def of(
        cls, run: Run, *, port: int | None = None, key: str | None = None, name: str | None = None
    ) -> "Placeholders":
        """Placeholders of one launch of a Run."""
        parts = {key: "<key>", name: "<served-name>"}
        if (home := str(Path.home())) != "/":  # as in containers that run as any user
            parts[home] = "<home>"
        places = {"<weights>": run.model.weights, "<tokenizer>": run.model.tokenizer, "<venv>": run.engine.venv}
        # A tokenizer beside the weights keeps the weights' placeholder: they are one folder.
        for placeholder, place in reversed(places.items()):
            if place is not None and is_local(place):
                parts[expand(place)] = placeholder
        return cls(
            words={} if port is None else {str(port): "<port>"},
            parts={text: placeholder for text, placeholder in parts.items() if text},
        )

    def hide(self, value: object) -> object:
        """Plain data with placeholders in all its texts."""
        if isinstance(value, str):
            return self._hide_text(value)
        if isinstance(value, Mapping):
            return {self._hide_text(str(name)): self.hide(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.hide(inner) for inner in value]
        return value

    def _hide_text(self, text: str) -> str:
        if text in self.words:
            return self.words[text]
        for part in sorted(self.parts, key=len, reverse=True):
            text = text.replace(part, self.parts[part])
        return text
