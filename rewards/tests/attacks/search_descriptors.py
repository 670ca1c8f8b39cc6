# Attempts: to read the job it was forked for
# Ends: Exited
import os
for fd in range(1, 64):
    for read in (lambda: os.pread(fd, 1 << 16, 0), lambda: os.set_blocking(fd, False) or os.read(fd, 1 << 16)):
        try: print(fd, read())
        except OSError: pass
