import os
import subprocess
import sys

from pytest_tfthreads.system import linux

CHILD = """
import subprocess, sys
if sys.argv[1:]:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    print(child.pid, flush=True)
    child.wait()
"""


def test_children_are_those_of_a_process_and_not_their_own():
    command = [sys.executable, "-c", CHILD, "a name with ) 1 in it"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            grandchild = int(child.stdout.readline())
            assert child.pid in linux.children()
            assert grandchild not in linux.children()
            assert linux.children(child.pid) == [grandchild]
            assert linux.children(grandchild) == []
        finally:
            os.kill(grandchild, 9)
