# Attempts: to reap processes of its zygote
# Ends: Exited
import os
for attempt in (lambda: os.waitpid(-1, os.WNOHANG), lambda: os.wait4(-1, os.WNOHANG), lambda: os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)):
    try:
        attempt()
        print('ESCAPED')
    except OSError:
        pass
