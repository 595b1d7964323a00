"""How much of a GPU the learner uses: TFLOP/s of a DCGAN's rounds beside those of one large convolution and product.

    python tests/roofline.py [--bs 64] [--rounds 300] [--device cuda]
"""
import argparse, json, time

import torch
from fastai.data.core import DataLoaders
from torch.utils.flop_counter import FlopCounterMode

from dlcv_gan.cli.bench import random_pictures, synchronize
from dlcv_gan.data.loaders import Batches
from dlcv_gan.game.learner import GameLearner
from dlcv_gan.models.gan import build_dcgan


def tflops(f, flop: float, device: torch.device, seconds: float = 1.) -> float:
    "TFLOP/s of a call of so many operations, repeated for about so long."
    for _ in range(3): f()
    synchronize(device)
    n, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        for _ in range(10): f()
        synchronize(device)
        n += 10
    return n * flop / (time.perf_counter() - start) / 1e12


def measure(bs: int, rounds: int, device: torch.device, width: int = 64, side: int = 8192, seconds: float = 1.) -> dict:
    torch.manual_seed(0)
    batches = Batches(random_pictures(32 * bs, 64), bs=bs, device=device)
    learn = GameLearner(DataLoaders(batches, device=device), build_dcgan(width=width))
    dtype = learn.dtype or torch.float32
    a = torch.randn(side, side, device=device, dtype=dtype)
    channels = max(8, side // 32)
    x = torch.randn(bs, channels, 64, 64, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    w = torch.randn(channels, channels, 4, 4, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    found = dict(precision=str(dtype).removeprefix('torch.'), bs=bs,
                 matmul=tflops(lambda: a @ a, 2 * side**3, device, seconds),
                 conv=tflops(lambda: torch.nn.functional.conv2d(x, w, stride=2, padding=1),
                             2 * bs * channels**2 * 16 * 32**2, device, seconds))
    with learn.no_bar(), learn.no_logging():
        with FlopCounterMode(display=False) as counted: learn.fit_rounds(1)
        flop = counted.get_total_flops()
        learn.fit_rounds(12)
        synchronize(device)
        start = time.perf_counter()
        learn.fit_rounds(rounds)
        synchronize(device)
    each = (time.perf_counter() - start) / rounds
    return dict(found, gflop_a_round=flop / 1e9, ms_a_round=1e3 * each, images_a_second=bs / each,
                learner=flop / each / 1e12, share_of_conv=flop / each / 1e12 / found['conv'])


if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--bs', type=int, nargs='+', default=[16, 64, 256])
    p.add_argument('--rounds', type=int, default=300)
    p.add_argument('--device', default='cuda')
    args = p.parse_args()
    for bs in args.bs: print(json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in measure(
        bs, args.rounds, torch.device(args.device)).items()}))
