# Attempts: to become root
# Ends: Exited
import os
for attempt in (
    lambda: os.setuid(0), lambda: os.setresuid(0, 0, 0), lambda: os.setgid(0), lambda: os.setgroups([0]),
    lambda: os.seteuid(0),
):
    try:
        attempt()
        print('ESCAPED')
    except OSError:
        pass
