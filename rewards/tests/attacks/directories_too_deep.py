# Attempts: to leave a tree that cannot be removed
# Ends: Exited TimeCpu
# Files: yes
# Runs: 2
# Level: namespaces
import os
os.chdir('/tmp')
try:
    for _ in range(5000):
        os.mkdir('d' * 200)
        os.chdir('d' * 200)
except OSError:
    pass
