"The report: what the run has stands there, what it has not is named, and what a student wrote is never overwritten."
import importlib, json, re, shutil

import pytest
import torch

from dlcv_gan.cli.command import main
from dlcv_gan.courses.handin import recipe
from dlcv_gan.courses.hw4 import hw4
from dlcv_gan.cli.report import courses, report

torch.set_num_threads(1)
quiet = lambda line: None


@pytest.fixture(scope='module')
def handed_in(tmp_path_factory):
    out = tmp_path_factory.mktemp('report')/'out'
    hw4(out, scale='smoke', say=quiet)
    return out


@pytest.fixture
def out(handed_in, tmp_path): return shutil.copytree(handed_in, tmp_path/'out')


def test_every_figure_of_every_course_is_one_that_its_hand_in_writes():
    figures = {} # of a module, by all of its courses
    for course in courses.values():
        figures.setdefault(course.module, []).extend(f for s in course.sections for f in s.figures)
    for module, shown in figures.items():
        known = [f for f, _ in importlib.import_module(f'dlcv_gan.courses.{module}').figures if not f.endswith('.gif')]
        assert sorted(shown) == sorted(known), module
    for course in courses.values():
        assert all(s.questions for s in course.sections), 'every heading asks the student for something'
        assert len({s.heading for s in course.sections}) == len(course.sections)


def test_a_whole_hand_in_misses_nothing_and_its_numbers_are_its_own(out):
    said = []
    text = report(out, 'hw4', say=said.append).read_text()
    scores = json.loads((out/'metrics.json').read_text())
    assert 'issing' not in said[0] + text and said[0].endswith('8 figures, 16 places to write')
    headings = re.findall(r'(?m)^## (.*)', text)
    assert [h[:3] for h in headings if h[0].isdigit()] == ['1-1', '1-2', '1-3', '1-4', '1-5', '2-1', '2-2', '2-3',
                                                           '3-1', '3-2', '3-3']
    assert {'VAE against GAN', 'Bonus: InfoGAN'} <= set(headings)
    for link in re.findall(r'!\[.*?\]\((.*?)\)', text): assert (out/link).is_file()
    assert f"| {scores['vae']['test_mse']:.4g} |" in text and recipe(out/'acgan') in text and 'encoder 32,064' in text
    scores['vae']['test_mse'] = 1234.5
    (out/'metrics.json').write_text(json.dumps(scores))
    assert '| 1234 |' in report(out, say=quiet).read_text()


def test_a_smoke_run_says_so_and_a_larger_one_does_not(out):
    assert 'smoke run' in report(out, say=quiet).read_text()
    settings = json.loads((out/'settings.json').read_text())
    (out/'settings.json').write_text(json.dumps(settings | dict(scale='laptop')))
    assert 'smoke' not in report(out, say=quiet).read_text()


def test_what_is_missing_is_named_and_not_made_up(out):
    (out/'fig2_3.jpg').unlink(); shutil.rmtree(out/'acgan')
    scores = json.loads((out/'metrics.json').read_text())
    del scores['gan']['rank']; scores['vae']['kl'] = None
    (out/'metrics.json').write_text(json.dumps(scores))
    said = []
    text = report(out, say=said.append).read_text()
    assert said[0].endswith('missing: gan.rank in metrics.json, fig2_3.jpg, the finished run acgan')
    assert '**Missing:** `fig2_3.jpg`' in text and '](fig2_3.jpg)' not in text
    assert '**Missing:** the finished run `acgan`' in text
    assert re.search(r'last tenth of the run \| \*missing\* \|', text)
    assert re.search(r'nats a picture \| not measured \|', text)
    (out/'metrics.json').unlink()
    assert 'the same `dlcv_gan hw4` command goes on' in report(out, say=quiet).read_text()


def test_runs_of_another_folder_are_found(out, handed_in):
    settings = json.loads((out/'settings.json').read_text())
    (out/'settings.json').write_text(json.dumps(settings | dict(weights=str(handed_in))))
    for part in ('vae', 'gan', 'acgan'): shutil.rmtree(out/part)
    assert recipe(handed_in/'vae') in report(out, say=quiet).read_text()


@pytest.mark.parametrize('edit', [lambda t: t.replace('**Write:** What', 'I saw', 1), lambda t: t + 'One line more.\n',
                                  lambda t: t.replace('<!--', '<!- -'), lambda t: '',
                                  lambda t: t.replace('\n', '\r\n')],
                         ids=['an answer', 'below the last line', 'without its last line', 'emptied', 'line ends'])
def test_an_edited_report_is_never_overwritten(out, edit):
    file = report(out, say=quiet)
    report(out, say=quiet) # nobody has written anything: filled anew
    file.write_bytes(edit(file.read_text()).encode())
    mine = file.read_bytes()
    with pytest.raises(FileExistsError, match='has been edited.*--again'): report(out, say=quiet)
    assert file.read_bytes() == mine
    for i in (1, 2):
        report(out, again=True, say=quiet)
        assert (out/f'report-{i}.md').read_bytes() == mine and file.read_bytes() != mine
        report(out, again=True, say=quiet) # an untouched one needs no copy
        assert not (out/f'report-{i + 1}.md').exists()
        file.write_bytes(mine)


def test_through_the_command(out, capsys):
    assert main(['report', str(out), '--course', 'hw4']) == 0 and 'report.md' in capsys.readouterr().out
    for wrong, said in ((['report', str(out), '--course', 'lab7'], 'hand-in of hw4'),
                        (['report', str(out/'vae')], 'single run'), (['report', str(out/'none')],
                                                                     'settings.json is missing')):
        assert main(wrong) == 2
        err = capsys.readouterr().err
        assert err.startswith('error: ') and said in err and len(err.splitlines()) == 1
    (out/'metrics.json').write_text('{"a": ')
    assert main(['report', str(out)]) == 2 and 'metrics.json is damaged' in capsys.readouterr().err
