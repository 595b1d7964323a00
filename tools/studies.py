"""Carry the versions of the studies' tables over a move: some runs of each table are played again, digit by digit.

    python tools/studies.py replay [N] [NAME ...]   play N runs of each study (1 if not said), spread over its table
    python tools/studies.py carry [N] [NAME ...]    the same; where all digits are the table's, its version is today's

A table whose digits come back was made by code that still computes the same. For code that computes anything else,
`dlcv_gan study NAME` plays the table anew. Run it where the table's digits can come back: same kind of device, and a
torch of the same version.
"""
import sys

from dlcv_gan.cli.studies import find_study, studies
from dlcv_gan.studies.run import play
from dlcv_gan.studies.study import Study, read_table, write_table


def chosen(study: Study, n: int) -> list[dict]:
    "Finished rows of the table, spread over it."
    rows = [r for r in read_table(study.file(), study.names) if r['status'] == 'done' and r['device'] == 'cpu']
    return [rows[(2*i + 1) * len(rows) // (2*n)] for i in range(min(n, len(rows)))]


def differences(study: Study, row: dict) -> list[str]:
    "Play a row's run again: the metrics that are no longer what the table says."
    point = next(p for p in study.points() if all(str(p[k]) == row[k] for k in study.names))
    result = play(study.measure, point, int(row['seed']), row['scale'], row['device'])
    if result['status'] != 'done': return [f"{result['status']}: {result['reason']}"]
    return [f'{k}: {row[k]} is now {v}' for k, v in result['metrics'].items() if float(row[k]) != v]


def main(verb: str, *words: str) -> int:
    "Replay, and carry where that was asked for; 1 where a digit differs."
    n, names = int(words[0]) if words and words[0].isdigit() else 1, [w for w in words if not w.isdigit()]
    if verb not in ('replay', 'carry'): raise SystemExit(__doc__)
    wrong = 0
    for study in map(find_study, names or studies()):
        runs = chosen(study, n)
        faults = [f for row in runs for f in differences(study, row)]
        wrong += bool(faults)
        print(f'{study.name}: {len(runs)} runs played again, ' + ('; '.join(faults) or 'the same digits'), flush=True)
        if faults or verb == 'replay': continue
        rows = [{**r, 'version': study.version} for r in read_table(study.file(), study.names)]
        write_table(study.file(), rows, study.names)
    return wrong > 0


if __name__ == '__main__': sys.exit(main(*(sys.argv[1:] or ['help'])))
