"What the tests of all hand-ins share."
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]/'library'))
from accelerator import default_accelerator


@pytest.fixture
def elsewhere():
    "fastai's default device is an accelerator, which refuses what a GPU refuses."
    with default_accelerator() as device: yield device
