# Attempts: to take memory of the kernel by pipes
# Ends: Exited
import fcntl, os
n = 0
try:
    while True:
        r, w = os.pipe()
        os.set_blocking(w, False)
        try:
            fcntl.fcntl(w, 1031, 1 << 24)
            print('ESCAPED')
        except OSError:
            pass
        n += os.write(w, b'x' * (1 << 20))
except OSError:
    pass
if n > 64 << 20:
    print('ESCAPED')
