# Attempts: to change the limits of its zygote
# Ends: Exception
import os, resource
resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))
print('ESCAPED')
