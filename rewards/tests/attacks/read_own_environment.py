# Attempts: to read secrets of the environment
# Ends: Exited
import os
if set(os.environ) - {'LANG', 'HOME', 'TMPDIR', 'PATH'} or os.environ['PATH']:
    print('ESCAPED', os.environ)
