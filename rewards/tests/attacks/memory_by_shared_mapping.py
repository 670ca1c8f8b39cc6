# Attempts: to take memory no limit counts
# Ends: Exception Memory
import mmap
x = []
while True:
    x.append(mmap.mmap(-1, 1 << 26, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS))
    x[-1].write(b'x' * (1 << 26))
