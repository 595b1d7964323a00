"A line of the command, called in this process: shared by the tests of the command."
import contextlib, io

from dlcv_gan.cli.command import main


def call(*args): # (exit code, stdout, stderr)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try: code = main([str(a) for a in args])
        except SystemExit as e: code = e.code
    return code, out.getvalue(), err.getvalue()


def done(*args): # what it printed
    code, out, err = call(*args)
    assert code == 0, err
    return out


def refused(*args): # the message of a user's error
    code, out, err = call(*args)
    lines = [line for line in err.splitlines() if line.startswith('error: ')]
    assert code == 2 and not out and len(lines) == 1 and 'Traceback' not in err, (code, out, err)
    return lines[0]
