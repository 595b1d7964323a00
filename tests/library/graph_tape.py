"""A CUDA graph's semantics on the CPU, for tests: capturing writes operations down and changes nothing; a replay runs
them again into the same memory. What a graph cannot hold is refused, as CUDA refuses it."""
import contextlib
from dataclasses import dataclass, field

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# Operations whose result, or its shape, the host has to wait for.
SYNCS = ('_local_scalar_dense', 'nonzero', 'masked_select', 'unique', 'aten.equal.', '_linalg_check_errors')


def asks_the_host(operation, tensors: list) -> bool:
    "Whether an operation needs a value on the host: `.item()`, a boolean index, and their like."
    name = str(operation)
    return any(s in name for s in SYNCS) or ('index' in name and name.startswith('aten.index')
                                             and any(t.dtype in (torch.bool, torch.uint8) for t in tensors[1:]))


def tensors_in(*trees) -> list: return [t for t in tree_leaves(trees) if isinstance(t, torch.Tensor)]


class Tape(TorchDispatchMode):
    "Writes operations down; afterwards everything that existed before is as it was, and what is new holds NaN."
    def __init__(self):
        super().__init__()
        self.operations, self.before, self.inside, self.failed = [], {}, set(), False

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        given = tensors_in(args, kwargs)
        if asks_the_host(operation, given):
            self.failed = True
            raise RuntimeError(f'CUDA error: operation not permitted when stream is capturing ({operation})')
        for t in given:
            memory = t.untyped_storage()
            if memory._cdata not in self.inside: self.before.setdefault(memory._cdata, (memory, memory.clone()))
        out = operation(*args, **kwargs)
        alias = any(r.alias_info is not None for r in operation._schema.returns)
        new = [] if alias else tensors_in(out)
        self.inside |= {t.untyped_storage()._cdata for t in new}
        self.operations.append((operation, args, kwargs, new))
        return out

    def undo(self):
        "Nothing has run yet on a device that captures."
        for memory, old in self.before.values(): memory.copy_(old)
        for *_, new in self.operations:
            for t in new:
                if t.is_floating_point(): t.detach().fill_(torch.nan)

    def replay(self):
        "Run all operations again, results into the memory of the first ones."
        with torch.no_grad():
            for operation, args, kwargs, held in self.operations:
                out = operation(*args, **kwargs)
                for old, new in zip(held, tensors_in(out)):
                    if old.data_ptr() != new.data_ptr(): old.copy_(new)


class Listing(TorchDispatchMode):
    """Lists operations, and what a turn on a device must not do: ask the host, or work with a tensor of the CPU. It
    runs them as they are; for a device without values, where there is nothing to undo and nothing to replay."""
    failed = False
    def __init__(self):
        super().__init__()
        self.operations, self.faults = [], []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        given = tensors_in(args, kwargs)
        if asks_the_host(operation, given): self.faults.append(f'{operation} asks the host')
        out = operation(*args, **kwargs)
        on_cpu = [tuple(t.shape) for t in (*given, *tensors_in(out)) if t.device.type == 'cpu']
        if on_cpu: self.faults.append(f'{operation} has tensors of shapes {on_cpu} on the CPU')
        self.operations.append(str(operation))
        return out

    def undo(self): pass
    def replay(self): pass


@dataclass(repr=False)
class Emulation:
    "What was asked of the emulated `torch.cuda`."
    captures: list = field(default_factory=list) # each: graph, its keyword arguments, device and stream around it
    replays: list = field(default_factory=list) # each: graph, device and stream around it
    streams: list = field(default_factory=list) # every stream that was entered outside a capture, in order
    waits: list = field(default_factory=list) # (who, for whom)
    devices: list = field(default_factory=lambda: [None]) # the stack of current devices; None: the process's own
    current: list = field(default_factory=list) # the stack of current streams
    turns: list = field(default_factory=list) # what `listing` saw of turns that were played on a side stream
    capturing: bool = False

    @property
    def graphs(self) -> list: # those that were captured without a fault
        return [c['graph'] for c in self.captures if not c['graph'].tape.failed]


@contextlib.contextmanager
def emulated(tape=Tape, listing=contextlib.nullcontext):
    """`torch.cuda`'s graphs, streams and devices without a GPU: `GameLearner(..., graphs=True)` captures its turns. A
    capture is written down by a `tape`; a turn that warms up for it, on a side stream, by a `listing`."""
    seen = Emulation()

    class Stream:
        def __init__(self, device=None, priority=0, **kwargs): self.device = device
        def wait_stream(self, other): seen.waits.append((self, other))
        def wait_event(self, event): pass
        def record_event(self, event=None): return event
        def synchronize(self): pass

    class Graph:
        def __init__(self, keep_graph=False): self.tape = None
        def replay(self):
            seen.replays.append(dict(graph=self, device=seen.devices[-1], stream=seen.current[-1]))
            self.tape.replay()
        def pool(self): return (0, id(self))
        def reset(self): self.tape = None

    class Capture:
        "Stands for `torch.cuda.graph`."
        def __init__(self, cuda_graph, pool=None, stream=None, capture_error_mode='global', **kwargs):
            self.graph, self.given = cuda_graph, dict(pool=pool, stream=stream, capture_error_mode=capture_error_mode,
                                                      **kwargs)
        def __enter__(self):
            seen.captures.append(dict(graph=self.graph, device=seen.devices[-1], around=seen.current[-1], **self.given))
            seen.current.append(self.given['stream'] or Stream())
            self.tape, self.random = tape(), torch.get_rng_state()
            self.graph.tape, seen.capturing = self.tape, True
            self.tape.__enter__()
        def __exit__(self, *error):
            self.tape.__exit__(*error)
            seen.current.pop()
            seen.capturing = False
            self.tape.undo()
            torch.set_rng_state(self.random)
            if self.tape.failed:
                raise RuntimeError('CUDA error: operation failed due to a previous error during capture')

    class Device:
        "Stands for `torch.cuda.device`."
        def __init__(self, device): self.device = device
        def __enter__(self): seen.devices.append(self.device)
        def __exit__(self, *error): seen.devices.pop()

    @contextlib.contextmanager
    def stream(s):
        if s is None: yield; return
        seen.streams.append(s)
        seen.current.append(s)
        try:
            with listing() as turn: yield
        finally: seen.current.pop()
        seen.turns.append(turn)

    seen.current.append(Stream())
    stand_ins = dict(CUDAGraph=Graph, graph=Capture, Stream=Stream, stream=stream, device=Device,
                     current_stream=lambda device=None: seen.current[-1], synchronize=lambda device=None: None,
                     graph_pool_handle=lambda: (0, 0), is_current_stream_capturing=lambda: seen.capturing)
    old = {name: getattr(torch.cuda, name) for name in stand_ins}
    try:
        for name, value in stand_ins.items(): setattr(torch.cuda, name, value)
        yield seen
    finally:
        for name, value in old.items(): setattr(torch.cuda, name, value)
