"A study on a real Ray cluster of this machine: a worker is killed, the head dies, a node is added; no run is lost."
import importlib.util, os, shutil, signal, socket, subprocess, sys, textwrap, time

import pytest

if importlib.util.find_spec('ray') is None: pytest.skip('Ray is an extra', allow_module_level=True)
pytestmark = [pytest.mark.timeout(1200), pytest.mark.slow]

STUDY = '''
    import os, sys
    from pathlib import Path
    from dlcv_gan.studies.study import Study

    def work(seed, side): # travels by value
        import os, pathlib, time, torch
        marks = pathlib.Path(os.environ['MARKS'])
        (marks/f'{side}-{seed}-{os.getpid()}-{os.environ.get("RAY_NODE", "")}').touch()
        time.sleep(.7)
        return dict(score=(torch.randn(50, 50) @ torch.randn(50, 50)).std() + (side == 'a'))

    Study('spread', 'spread', work, dict(side=['a', 'b'])).run(
        seeds=12, out=sys.argv[1], scale='laptop', device='cpu', workers=1,
        address=sys.argv[2] if len(sys.argv) > 2 else None, say=print)
'''


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


@pytest.fixture
def machine(tmp_path):
    "Starts nodes of a cluster, each a process group of its own that `kill` ends at once."
    marks, nodes = tmp_path/'marks', []
    marks.mkdir()
    env = {**os.environ, 'MARKS': str(marks), 'RAY_USAGE_STATS_ENABLED': '0', 'OMP_NUM_THREADS': '1',
           'RAY_AUTH_MODE': 'disabled'}
    class Machine:
        port, folder = free_port(), marks
        def node(self, head=False):
            where = [f'--port={self.port}', '--head', '--include-dashboard=false'] if head else [
                f'--address=127.0.0.1:{self.port}']
            ray = shutil.which('ray', path=os.path.dirname(sys.executable)) or 'ray'
            nodes.append(subprocess.Popen([ray, 'start', *where, '--num-cpus=1', '--block', '--disable-usage-stats'],
                                          env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                          start_new_session=True))
            return nodes[-1]
        def kill(self, node):
            # its daemons have sessions of their own; they end with the node's own process, or with its store
            subprocess.run(['pkill', '-KILL', '-P', str(node.pid)])
            if node.poll() is None: os.killpg(node.pid, signal.SIGKILL)
            node.wait()
        def study(self, out, cluster=True):
            file = tmp_path/'study.py'
            file.write_text(textwrap.dedent(STUDY))
            address = [f'127.0.0.1:{self.port}'] if cluster else []
            return subprocess.Popen([sys.executable, '-W', 'ignore', str(file), str(out), *address], env=env,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        def begun(self): return [p.name.split('-') for p in marks.iterdir()]
    yield Machine()
    for node in nodes: Machine().kill(node)


def table(out): # without what the clock says
    rows = [line.split(',') for line in (out/'spread.csv').read_text().splitlines()]
    clock = rows[0].index('seconds')
    return [row[:clock] + row[clock + 1:] for row in rows]


def until(what, seconds=300):
    end = time.time() + seconds
    while not (found := what()):
        if time.time() > end: pytest.skip('this machine is too busy for a cluster')
        time.sleep(.2)
    return found


def test_a_study_survives_what_happens_to_a_cluster(machine, tmp_path):
    alone = machine.study(tmp_path/'alone', cluster=False)
    assert alone.wait(300) == 0, alone.stdout.read()
    for p in machine.folder.iterdir(): p.unlink()
    head, second = machine.node(head=True), machine.node()
    out = tmp_path/'cluster'
    first = machine.study(out)
    until(lambda: (out/'spread.csv').is_file() or first.poll() is not None)
    if first.poll() is not None: pytest.skip(f'the cluster did not come up: {first.stdout.read()[-300:]}')
    # a worker is killed in the middle of its run: that run has died, the others go on
    victim = until(lambda: [m for m in machine.begun() if os.path.exists(f'/proc/{m[2]}')])[-1]
    os.kill(int(victim[2]), signal.SIGKILL)
    machine.node() # a node more
    until(lambda: len(table(out)) > 10)
    # the head goes, and with it the study
    machine.kill(head)
    assert first.wait(400) != 0
    kept = {tuple(row[:2]) for row in table(out)[1:]}
    assert len(kept) == len(table(out)) - 1 >= 9 # each once
    machine.kill(second)
    machine.port = free_port()
    machine.node(head=True)
    again = machine.study(out)
    said = again.communicate(timeout=400)[0]
    assert again.returncode == 0, said
    status = table(out)[0].index('status')
    died = [row[:2] for row in table(out)[1:] if row[status] == 'died']
    # the killed worker's run, and what was under way when the head died
    assert len(died) <= 4 and len(table(out)) == len(table(tmp_path/'alone'))
    here, there = ([row for row in table(x) if row[:2] not in died] for x in (out, tmp_path/'alone'))
    assert here == there # the numbers, and the order of the rows
