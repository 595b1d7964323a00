"Settings that all tests share."
import hypothesis

# Two busy cores make timings meaningless, so no example has a deadline; the same examples each time, so a failure can
# be repeated.
hypothesis.settings.register_profile('house', deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile('house')

MARKERS = dict(gpu='needs a CUDA device; `tests/gpu` runs these',
               browser='looks at the built site, or at JupyterLab in a browser; `tests/run pages` runs these',
               wheel='what only an installed wheel can show; `tests/run wheel` runs these beside the newest fastai',
               slow='long and not about the environment; not repeated beside the newest fastai')


def pytest_configure(config):
    for name, what in MARKERS.items(): config.addinivalue_line('markers', f'{name}: {what}')


# The laws are shown in the checkout. Beside an installed wheel only what can differ there runs again: what touches
# fastai (which is newer there), the package's files, and the console script.
WHEEL = ('library/test_callbacks', 'library/test_checkpoint', 'library/test_contract', 'library/test_controls',
         'library/test_diagnosis', 'library/test_foreign', 'library/test_learner', 'library/test_live',
         'library/test_loaders', 'library/test_pretrained', 'library/test_recorder', 'library/test_schedules',
         'library/test_systems', 'library/test_training_panel', 'library/test_widgets', 'assignments/test_gan',
         'assignments/test_vae', 'command/test_bad_input', 'command/test_command', 'command/test_notebooks',
         'handins/test_hw4', 'house/test_package', 'start/test_front_page')


def pytest_collection_modifyitems(items):
    for item in items:
        if str(item.path.with_suffix('')).endswith(WHEEL): item.add_marker('wheel')
