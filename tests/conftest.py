"Settings that all tests share."
import hypothesis

# Two busy cores make timings meaningless, so no example has a deadline; the same examples each time, so a failure can
# be repeated.
hypothesis.settings.register_profile('house', deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile('house')


def pytest_configure(config):
    config.addinivalue_line('markers', 'gpu: needs a CUDA device; `tests/gpu` runs these')
    config.addinivalue_line('markers',
                            'slow: long and not about the environment; not repeated beside the newest fastai')
