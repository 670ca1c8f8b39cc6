# Attempts: to set the clock of the machine
# Ends: Forbidden(clock_settime)
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
libc.clock_settime(0, (ctypes.c_long * 2)(0, 0))
print('ESCAPED')
