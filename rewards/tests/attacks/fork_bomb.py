# Attempts: to be very many
# Ends: Exited
import os
for _ in range(1000):
    try:
        os.fork()
        print('ESCAPED')
    except OSError:
        pass
