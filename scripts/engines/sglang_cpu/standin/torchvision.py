"""An empty torchvision: every module below it can be imported, and whatever is taken from one refuses to be called.

SGLang imports torchvision for images, which text serving never touches. The builds on PyPI need CUDA's torch
("operator torchvision::nms does not exist" beside a CPU build).
"""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__path__: list[str] = []
__version__ = "0.0.0"  # transformers asks for one, and compares


class _Absent:
    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> "_Absent":
        return _absent(self._name, name)

    def __call__(self, *_: object, **__: object) -> None:
        raise NotImplementedError(f"{self._name}: this environment serves text, and has no torchvision")


class _Submodules(MetaPathFinder, Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self, is_package=True) if fullname.startswith(f"{__name__}.") else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = ModuleType(spec.name)
        module.__getattr__ = lambda name: _absent(spec.name, name)
        return module

    def exec_module(self, module: ModuleType) -> None:
        pass


def _absent(owner: str, name: str) -> _Absent:
    if name.startswith("__"):  # Python's own questions
        raise AttributeError(f"{owner} has no {name}")
    return _Absent(f"{owner}.{name}")


def __getattr__(name: str) -> _Absent:
    return _absent(__name__, name)


sys.meta_path.append(_Submodules())
