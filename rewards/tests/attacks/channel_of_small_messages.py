# Attempts: to keep its reader busy with a million messages
# Ends: Exited TimeCpu Output
import os
data = b'\1\0\0\0N' * 100_000
for _ in range(10):
    rest = data
    while rest:
        rest = rest[os.write(3, rest):]
