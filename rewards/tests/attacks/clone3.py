# Attempts: to be two by a call whose flags a filter cannot read
# Ends: Exited
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)

arguments = (ctypes.c_uint64 * 11)(0, 0, 0, 0, 17)
if libc.syscall(435, arguments, 88) >= 0:
    os.write(1, b'ESCAPED')
