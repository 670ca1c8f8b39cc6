# Attempts: to use up its entries
# Ends: Exited
# Files: yes
# Level: namespaces
import os
n = 0
try:
    for n in range(10 ** 6):
        os.close(os.open(f'/tmp/{n}', os.O_CREAT | os.O_WRONLY))
except OSError:
    pass
print('ESCAPED' if n > 10_000 else '')
