# Attempts: to take all descriptors
# Ends: Exception
import os
fds = [os.dup(0) for _ in range(100_000)]
print('ESCAPED')
