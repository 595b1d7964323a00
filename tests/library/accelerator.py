"""An accelerator that every machine has, for tests: its tensors say that they are elsewhere and compute on the CPU.
What mixes them with the CPU's tensors, or hands them to NumPy, fails as it does on a GPU."""
import contextlib

import numpy as np
import torch
import torch.utils._foreach_utils
from fastai.torch_core import default_device
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device('meta') # the one foreign kind that every build of torch can name; here it has values


def is_here(device) -> bool: return device is not None and torch.device(device).type == DEVICE.type


class Elsewhere(torch.Tensor):
    "A tensor of the accelerator; `inner` holds its values."
    @staticmethod
    def __new__(cls, inner, requires_grad=False):
        return torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, inner.stride(), inner.storage_offset(), dtype=inner.dtype, layout=inner.layout,
            requires_grad=requires_grad, device=DEVICE)

    def __init__(self, inner, requires_grad=False): self.inner = inner
    def __repr__(self): return f'Elsewhere({self.inner})'
    def __reduce_ex__(self, protocol): return self.inner.__reduce_ex__(protocol) # a file has no devices
    def __format__(self, spec): return format(self.inner, spec) # which torch refuses to subclasses
    def tolist(self): return self.inner.tolist()
    # torch makes a tensor of what follows without any operation that could be seen, and would make it without values
    def __getitem__(self, at): return torch.Tensor.__getitem__(self, index(at))
    def __setitem__(self, at, value): torch.Tensor.__setitem__(self, index(at), value)
    def new_tensor(self, data, dtype=None, requires_grad=False):
        made = self.inner.new_tensor(data, dtype=dtype)
        return Elsewhere(made).requires_grad_(requires_grad)
    def numpy(self, *args, **kwargs):
        raise TypeError(f"can't convert {DEVICE} device type tensor to numpy. Use Tensor.cpu() first.")
    __array__ = numpy

    @property
    def data(self): return torch.Tensor.data.__get__(self)
    @data.setter
    def data(self, other): # its layout goes with it
        torch.Tensor.data.__set__(self, other)
        self.inner = other.inner

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None): return run(operation, args, kwargs or {})


def elsewhere(t: torch.Tensor) -> torch.Tensor: # on the accelerator
    return t if isinstance(t, Elsewhere) else Elsewhere(t.detach())


def index(at): # lists and arrays as tensors, which may index from the CPU
    if isinstance(at, tuple): return tuple(map(index, at))
    return torch.as_tensor(at) if isinstance(at, (list, np.ndarray)) else at


BY_INDEX, ROWS = ('aten.index.', 'aten.index_put', 'aten._index_put'), ('aten.cat.', 'aten.stack.')
COPIES = ('aten._to_copy', 'aten.copy_', 'aten.to.', 'aten._copy_from')


def run(operation, args, kwargs):
    "One operation, on whichever device its tensors are."
    given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
    ours, name = [t for t in given if isinstance(t, Elsewhere)], str(operation)
    if empty := [t for t in given if is_here(t.device) and not isinstance(t, Elsewhere)]:
        raise RuntimeError(f'{name}: a tensor of the meta device without values, shape {tuple(empty[0].shape)}; it was '
                           'made where the accelerator did not see it')
    moves, target = name.startswith(COPIES), kwargs.get('device')
    # numbers may come from anywhere, but not into a row of others; indices too, but not the values that are put there
    asked = tree_leaves((args[0], args[2:])) if name.startswith(BY_INDEX) else given
    strangers = [t for t in asked if isinstance(t, torch.Tensor) and not isinstance(t, Elsewhere)
                 and (t.dim() > 0 or name.startswith(ROWS))]
    if ours and strangers and not moves:
        raise RuntimeError(f'Expected all tensors to be on the same device, but found at least two devices, {DEVICE} '
                           f'and cpu! ({name}, shapes {[tuple(t.shape) for t in given]})')
    if name.startswith(BY_INDEX) and not isinstance(given[0], Elsewhere) and ours:
        raise RuntimeError(f'indices should be either on cpu or on the same device as the indexed tensor ({name})')
    generator = kwargs.get('generator')
    if generator is not None and (ours or is_here(target)):
        raise RuntimeError(f"Expected a '{DEVICE.type}' device type for generator but found 'cpu'")
    known = {id(t.inner): t for t in ours}
    def bare(x): return x.inner if isinstance(x, Elsewhere) else x
    if is_here(target): kwargs = {**kwargs, 'device': torch.device('cpu')}
    if 'pin_memory' in kwargs: kwargs = {**kwargs, 'pin_memory': False}
    out = operation(*tree_map(bare, args), **tree_map(bare, kwargs))
    stays = ours and not (target is not None and not is_here(target))
    if name.startswith('aten.copy_'): stays = isinstance(args[0], Elsewhere)
    if not (stays or is_here(target)): return out
    def ours_again(x): return known[id(x)] if id(x) in known else elsewhere(x) # in place: the very tensor
    return tree_map(lambda x: ours_again(x) if isinstance(x, torch.Tensor) else x, out)


class _Factories(TorchDispatchMode):
    "Operations that name the accelerator and have no tensor of it yet."
    def __torch_dispatch__(self, operation, types, args=(), kwargs=None): return run(operation, args, kwargs or {})


@contextlib.contextmanager
def accelerator():
    "Within this context `DEVICE` works."
    autocast, supported = torch.autocast, torch.utils._foreach_utils._get_fused_kernels_supported_devices
    def autocast_elsewhere(device, *args, **kwargs):
        return contextlib.nullcontext() if device == DEVICE.type else autocast(device, *args, **kwargs)
    def made(make): # these two make a tensor of the meta device without any operation that could be seen
        def there(data, *args, device=None, **kwargs):
            t = make(data, *args, device=None if is_here(device) else device, **kwargs)
            return elsewhere(t) if is_here(device) else t
        return there
    code, makers = supported.__code__, {f: getattr(torch, f) for f in ('tensor', 'as_tensor')}
    supported.__code__ = (lambda: ['cuda', 'cpu', 'meta']).__code__ # fused Adam, as on a GPU
    torch.autocast = autocast_elsewhere
    for name, make in makers.items(): setattr(torch, name, made(make))
    try:
        with _Factories(): yield DEVICE
    finally:
        torch.autocast, supported.__code__ = autocast, code
        for name, make in makers.items(): setattr(torch, name, make)


@contextlib.contextmanager
def default_accelerator():
    "As `accelerator`, and it is fastai's default device, for all who have imported that function or will."
    known = default_device.__code__
    default_device.__code__ = (lambda use=-1: torch.device('meta')).__code__
    try:
        with accelerator() as device: yield device
    finally: default_device.__code__ = known
