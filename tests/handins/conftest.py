"What the tests of all hand-ins share."
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]/'library'))
from accelerator import accelerator


@pytest.fixture
def elsewhere(monkeypatch):
    "fastai's default device is an accelerator, which refuses what a GPU refuses."
    with accelerator() as device:
        for name, module in list(sys.modules.items()):
            if name.startswith('dlcv_gan') and hasattr(module, 'default_device'):
                monkeypatch.setattr(module, 'default_device', lambda: device)
        yield device
