"Inception features: what is missing is named, and pictures arrive as they are."
import pytest
import torch

from dlcv_gan.inception import inception_features, inception_scores, inception_weights


noise = lambda *shape, seed=0: torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1

def test_inception_says_what_is_missing(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match='no Inception weights'): inception_weights(tmp_path/'none.pth')
    monkeypatch.setitem(__import__('sys').modules, 'torch_fidelity', None) # as where the package is not installed
    with pytest.raises(ImportError, match=r'dlcv_gan\[inception\]'): inception_features(noise(2, 3, 32, 32))

def test_pictures_reach_torch_fidelity():
    fidelity = pytest.importorskip('torch_fidelity')
    base = pytest.importorskip('torch_fidelity.feature_extractor_base').FeatureExtractorBase
    class Mean(base): # a tiny extractor in torch-fidelity's own registry: the mean colour, eight times
        def __init__(self, name, features_list, **kw): super().__init__(name, features_list)
        @staticmethod
        def get_provided_features_list(): return '2048',
        @staticmethod
        def get_default_feature_layer_for_metric(metric): return '2048'
        @staticmethod
        def can_be_compiled(): return False
        @staticmethod
        def get_dummy_input_for_compile(): return torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
        def forward(self, x): return (x.float().mean((2, 3)).repeat(1, 8),)
    fidelity.register_feature_extractor('mean-colour', Mean)
    x = noise(20, 3, 16, 16)
    got = inception_features(x, extractor='mean-colour')
    torch.testing.assert_close(got[:, :3], ((x + 1) * 127.5).round().mean((2, 3)), rtol=1e-3, atol=1e-2)
    assert inception_scores(x, x, extractor='mean-colour')['fid'] == pytest.approx(0, abs=1e-2)
