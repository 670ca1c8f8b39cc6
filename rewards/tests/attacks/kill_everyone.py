# Attempts: to kill its siblings and its zygote
# Ends: Exited
import os, signal
for process in [-1, 0, 1, os.getppid(), os.getpgrp(), *range(2, 2000)]:
    for number in (signal.SIGKILL, signal.SIGSTOP):
        try:
            if process != os.getpid():
                os.kill(process, number)
                print('ESCAPED')
        except OSError:
            pass
