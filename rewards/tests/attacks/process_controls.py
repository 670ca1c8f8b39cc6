# Attempts: to be dumpable, to outlive its parent, to have a looser filter
# Ends: Exited
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)

controls = [(4, 1), (1, 0), (36, 1), (22, 0), (22, 1), (24, 0), (28, 0), (47, 2), (59, 1), (0x59616d61, 1)]
for control, value in controls:
    if libc.prctl(control, value, 0, 0, 0) == 0:
        print('ESCAPED', control)
