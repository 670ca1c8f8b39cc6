# Attempts: to make calls past the filter by a ring
# Ends: Forbidden(io_uring_setup)
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall(425, 8, (ctypes.c_uint32 * 30)())
print('ESCAPED')
