# Attempts: to take all memory by maps
# Ends: Memory Exception
import mmap
x = []
while True:
    x.append(mmap.mmap(-1, 1 << 24))
    x[-1].write(b'x' * (1 << 24))
