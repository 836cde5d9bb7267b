import os
import subprocess
import sys

from pytest_tfthreads.process import kernel

CHILD = """
import subprocess, sys
if sys.argv[1:]:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    print(child.pid, flush=True)
    child.wait()
"""


def test_children_of_children_are_descendants():
    command = [sys.executable, "-c", CHILD, "a name with ) 1 in it"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            grandchild = int(child.stdout.readline())
            assert {child.pid, grandchild} <= set(kernel.descendants(os.getpid()))
            assert kernel.descendants(child.pid) == [grandchild]
            assert kernel.descendants(grandchild) == []
        finally:
            os.kill(grandchild, 9)
