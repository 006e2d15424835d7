"""What the end of the log of a run's pod says about a failure.

The container `main` of a stage runs Argo's executor, which runs KFP's launcher, which runs the stage: each writes lines
of its own. A driver writes only such lines, the last of which says why it failed.
"""

import re
from collections.abc import Sequence

#: How many lines are read: after a traceback of the stage follow some of the launcher.
TAIL_LINES = 60
_MAX_LENGTH = 500

# how a stage of kfp-edge, and many other programs, name the error
_ERROR_PREFIX = "error: "
# a line of KFP's driver and launcher (glog): severity, month and day, time, thread, file and line
_GLOG = re.compile(r"([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ [^ \]]+:\d+\] (.*)")
# KFP logs JSON over several lines, Argo's executor (logrus) its own lines and a last one, a stage of ours a summary
_OTHERS = re.compile(r'["{}\[\]]|time=|Error: exit status \d+$|kfp-edge:')
# how the launcher ends after the stage has failed
_STAGE_FAILED = re.compile(r"exit status \d+$")


def summarize_log(lines: Sequence[str]) -> str:
    """Return what the end of a log says about the failure, in one line; empty if it says nothing."""
    written = [line.strip() for line in lines if line.strip()]
    matches = [_GLOG.match(line) for line in written]
    of_stage = [line for line, match in zip(written, matches, strict=True) if not match and not _OTHERS.match(line)]
    errors = [line.removeprefix(_ERROR_PREFIX) for line in of_stage if line.startswith(_ERROR_PREFIX)]
    of_kfp = [match[2] for match in matches if match and match[1] == "F" and not _STAGE_FAILED.search(match[2])]
    reason = next(iter((*errors[-1:], *of_kfp[-1:], *of_stage[-1:])), "").rstrip(".")
    return reason if len(reason) <= _MAX_LENGTH else f"{reason[:_MAX_LENGTH]}..."
