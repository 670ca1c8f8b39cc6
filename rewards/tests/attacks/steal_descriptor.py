# Attempts: to take the socket of its zygote
# Ends: Exited Forbidden(pidfd_getfd)
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)

try:
    fd = os.pidfd_open(os.getppid())
except OSError:
    fd = 3
print(libc.syscall(438, fd, 10, 0) >= 0 and 'ESCAPED')
