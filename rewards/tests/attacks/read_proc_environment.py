# Attempts: to read the environment of its ancestors
# Ends: Exited
import os
for process in ('self', '1', str(os.getppid())):
    for file in ('environ', 'cmdline', 'maps', 'mem'):
        try:
            open(f'/proc/{process}/{file}', 'rb').read(1)
            print('ESCAPED')
        except OSError:
            pass
