"""What tests of torch matchers share: a pretend device, and a watch over gradients.

The pretend device computes on the CPU under another device's name. A tensor there refuses to meet
one of the CPU, as a GPU's does, and what it costs a GPU to be asked is counted. So code that
forgets to move a tensor, or that stops the device at every row, shows on a machine without a GPU.
It covers every operation that reaches torch's dispatcher, the backward pass and optimisers
included. It does not cover kernels (the numbers are the CPU's), mixed precision, and memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map_only

from audiomatch.clips import Clips
from audiomatch.matcher import Matcher, Run
from audiomatch_torch import compute

# A name that torch knows and that no build computes on.
PRETEND = "lazy"

_aten = torch.ops.aten
_COPIES = (_aten._to_copy.default, _aten.copy_.default)  # noqa: SLF001 - its name in torch
_WAITS = (
    _aten._local_scalar_dense.default,  # noqa: SLF001 - .item(), .tolist(), bool(), float()
    _aten.equal.default,
    _aten.nonzero.default,
    _aten.masked_select.default,
    _aten._unique2.default,  # noqa: SLF001 - its name in torch
    _aten.repeat_interleave.Tensor,
)
_NO_KERNEL = (
    _aten.empty.memory_format,
    _aten.empty_strided.default,
    _aten.empty_like.default,
    _aten._unsafe_view.default,  # noqa: SLF001 - its name in torch
)


class PretendTensor(Tensor):
    """A tensor of the pretend device; `host` holds its numbers on the CPU."""

    host: Tensor

    @staticmethod
    def __new__(cls, host: Tensor) -> PretendTensor:
        """Wrap a tensor of the CPU."""
        made: Any = Tensor._make_wrapper_subclass(  # noqa: SLF001 - torch's way to make one
            cls,
            host.shape,
            strides=host.stride(),
            storage_offset=host.storage_offset(),
            dtype=host.dtype,
            device=torch.device(PRETEND),
        )
        made.host = host
        return cast(PretendTensor, made)

    def __repr__(self) -> str:  # type: ignore[override]
        return f"PretendTensor({self.host!r})"

    @classmethod
    def __torch_function__(
        cls, function: Any, _types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Do what torch does for a device but not for a subclass, or leave it to torch."""
        if function is Tensor.tolist:
            return args[0].cpu().tolist()
        if function is Tensor.numpy:
            raise TypeError(f"can't convert {PRETEND} device type tensor to numpy")
        with torch._C.DisableTorchFunctionSubclass():  # noqa: SLF001 - as torch advises
            return function(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, function: Any, _types: Any, _args: tuple[Any, ...] = (), _kwargs: Any = None
    ) -> Any:
        """Refuse: a tensor of the pretend device is used only while `pretend_device` is on."""
        raise RuntimeError(f"{function}: the pretend device is off")


class PretendDevice(TorchDispatchMode):
    """Computes what concerns the pretend device, and counts.

    Attributes:
        downloads: copies from the device to the host: `.cpu()`, `.to("cpu")`.
        uploads: copies from the host to the device.
        waits: how often the host asked for a value or a shape that depends on values: `.item()`,
            `.tolist()`, `bool()`, `nonzero`, an index by a mask.
        blocking: those of the uploads that the host waits for: without `non_blocking`.
        launches: operations that compute or copy on the device, views left out.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.downloads = self.uploads = self.waits = self.blocking = self.launches = 0

    @property
    def synchronisations(self) -> int:
        """How often the host waited for the device, in all."""
        return self.waits + self.downloads + self.blocking

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run one operation of torch."""
        kwargs = dict(kwargs or {})
        given = [x for x in tree_iter((args, kwargs)) if isinstance(x, Tensor)]
        here = [x for x in given if isinstance(x, PretendTensor)]
        asked = kwargs.get("device")
        device = torch.device(asked) if asked is not None else None
        if not here and (device is None or device.type != PRETEND):
            return function(*args, **kwargs)
        with self:  # in inference mode torch leaves it to us to take composite operations apart
            parts = function.decompose(*args, **kwargs)
        if parts is not NotImplemented:
            return parts
        elsewhere = [x for x in given if not isinstance(x, PretendTensor) and x.dim()]
        if function in _COPIES:
            to_host = isinstance(args[0], PretendTensor) and device is not None
            to_host = to_host and device is not None and device.type == "cpu"
            into_host = function is _aten.copy_.default and not isinstance(args[0], PretendTensor)
            self.downloads += to_host or into_host
            uploads = bool(elsewhere) and not into_host
            self.uploads += uploads
            self.blocking += uploads and not _non_blocking(function, args, kwargs)
        elif here and elsewhere:
            raise RuntimeError(
                f"{function}: expected all tensors to be on the same device, but found at least "
                f"two devices, {PRETEND} and cpu"
            )
        self.waits += function in _WAITS or _masks(function, args)
        self.launches += not (function.is_view or function in _NO_KERNEL)
        if asked is not None:
            kwargs["device"] = torch.device("cpu")
        return self._run(function, args, kwargs, stays=device is None or device.type == PRETEND)

    def _run(self, function: Any, args: Any, kwargs: Any, *, stays: bool) -> Any:
        """Run `function` on the CPU; what it gives stays on the device, or comes to the host."""
        known = {id(x.host): x for x in tree_iter((args, kwargs)) if isinstance(x, PretendTensor)}
        into_host = function is _aten.copy_.default and not isinstance(args[0], PretendTensor)

        def wrap(host: Tensor) -> Tensor:
            if id(host) in known:
                return known[id(host)]  # in place
            return PretendTensor(host) if stays and not into_host else host

        args, kwargs = tree_map_only(PretendTensor, lambda x: x.host, (args, kwargs))
        # A wrapper made in inference mode could be no view of one that was made before.
        with torch.inference_mode(mode=False), torch.no_grad():
            return tree_map_only(Tensor, wrap, function(*args, **kwargs))


def _non_blocking(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether the host goes on while this copy is made."""
    place = 2 if function is _aten.copy_.default else len(args)
    return bool(kwargs.get("non_blocking") or (args[place] if len(args) > place else False))


def _masks(function: Any, args: tuple[Any, ...]) -> bool:
    """Whether this is an index by a mask, whose number of rows only the device knows."""
    if function not in (_aten.index.Tensor, _aten.index_put_.default):
        return False
    return any(index is not None and index.dtype == torch.bool for index in args[1])


@contextmanager
def pretend_device() -> Iterator[PretendDevice]:
    """Let `Run(device=PRETEND)` compute on the pretend device; gives what counts."""

    def device_of(name: str) -> torch.device:
        return torch.device(name) if name == PRETEND else real(name)

    real = compute.device_of
    swaps = torch.__future__.get_swap_module_params_on_conversion()
    # Tied weights stay tied when a module moves, as they do on the way to a GPU.
    torch.__future__.set_swap_module_params_on_conversion(value=True)
    try:
        with mock.patch.object(compute, "device_of", device_of), PretendDevice() as device:
            yield device
    finally:
        torch.__future__.set_swap_module_params_on_conversion(swaps)


def use_on_pretend_device(
    make: Callable[[], Matcher], train: Clips, folder: Path, **run: Any
) -> PretendDevice:
    """Fit, predict, explain, save and load a matcher on the pretend device.

    Args:
        make: makes a matcher that has not been fitted.
        train: some labelled clips; they are predicted too.
        folder: an empty folder for the model and the cache.
        run: further facts of the `Run`.

    Returns:
        What was counted during the prediction.

    Raises:
        AssertionError: where the saved model predicts otherwise, on the device or on the CPU.
    """
    model = folder / "model"
    model.mkdir()
    blind = train.unlabelled()
    with pretend_device() as device:
        there = Run(cache=folder / "cache", device=PRETEND, **run)
        matcher = make()
        matcher.fit(train, there)
        device.downloads = device.uploads = device.waits = 0
        p_match = matcher.predict(blind, there)
        counted = device.downloads, device.uploads, device.waits
        if type(matcher).explain is not Matcher.explain:
            said = [one.p_match for one in matcher.explain(blind, there)]
            np.testing.assert_allclose(said, p_match, atol=1e-5)
        matcher.save(model)
        again = make()
        again.load(model)
        np.testing.assert_allclose(again.predict(blind, there), p_match, atol=1e-6)
        device.downloads, device.uploads, device.waits = counted
    again = make()
    again.load(model)
    # A CPU with instructions for bfloat16 would take it; the pretend device computes in float32.
    on_cpu = again.predict(blind, Run(cache=folder / "cpu", precision="fp32"))
    np.testing.assert_allclose(on_cpu, p_match, atol=1e-4)
    return device


@contextmanager
def parameters_without_gradient() -> Iterator[list[Tensor]]:
    """Give a list that holds, at the end, what an optimiser was to train and no step ever did.

    A parameter counts where it requires gradients and had none in any step.
    """
    missing: list[Tensor] = []
    seen: dict[int, tuple[Tensor, bool]] = {}

    def look(optimizer: torch.optim.Optimizer, _args: Any, _kwargs: Any) -> None:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                before = seen.get(id(parameter), (parameter, False))[1]
                got = before or parameter.grad is not None or not parameter.requires_grad
                seen[id(parameter)] = (parameter, got)

    hook = register_optimizer_step_pre_hook(look)
    try:
        yield missing
    finally:
        hook.remove()
        missing.extend(parameter for parameter, got in seen.values() if not got)


def each_number(folder: Path, value: float) -> Iterator[str]:
    """Put `value` in the place of each number of a weights folder's JSON in turn; gives its name.

    In config.json and preprocessor_config.json, at any depth.
    """
    for file in (folder / "config.json", folder / "preprocessor_config.json"):
        if not file.is_file():
            continue
        good = file.read_text(encoding="utf-8")
        for path in _number_paths(json.loads(good)):
            content = json.loads(good)
            inner = content
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = value
            file.write_text(json.dumps(content), encoding="utf-8")
            yield f"{file.name}: {path}"
        file.write_text(good, encoding="utf-8")


def _number_paths(content: Any) -> Iterator[list[Any]]:
    pairs = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in pairs:
        if isinstance(value, dict | list):
            yield from ([key, *path] for path in _number_paths(value))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield [key]


def smuggle_code(folder: Path) -> Path:
    """Put code of its own into a weights folder by each way that libraries know.

    Returns the file that is there once any of it has run.
    """
    ran = folder / "ran"
    (folder / "evil.py").write_text(f"open({str(ran)!r}, 'w')\nraise SystemExit('ran')\n")
    classes = ("AutoConfig", "AutoModel", "AutoModelForCTC", "AutoFeatureExtractor")
    code: dict[str, Any] = {"auto_map": {kind: f"evil.{kind}" for kind in classes}}
    code["auto_map"]["AutoTokenizer"] = ["evil.Slow", "evil.Fast"]
    template = "{{ cycler.__init__.__globals__.os.mknod('" + str(ran) + "') }}"
    for name, more in {
        "config.json": {},
        "preprocessor_config.json": {},
        "tokenizer_config.json": {"chat_template": template, "tokenizer_file": "evil.py"},
    }.items():
        file = folder / name
        known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        file.write_text(json.dumps({**known, **code, **more}), encoding="utf-8")
    return ran
