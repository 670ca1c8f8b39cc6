# Attempts: to type into the terminal of its user
# Ends: Exited
import fcntl, os
for fd in range(4):
    try:
        fcntl.ioctl(fd, 0x5412, b'x')
        print('ESCAPED')
    except OSError:
        pass
try:
    os.setsid()
    print('ESCAPED')
except OSError:
    pass
