# Attempts: to read secrets of the environment
# Ends: Exited
import os
known = {'PYTHONHASHSEED', 'MALLOC_ARENA_MAX', 'LANG', 'LC_CTYPE', 'LD_BIND_NOW', 'HOME', 'TMPDIR', 'PATH'}
if set(os.environ) - known or os.environ['HOME'] != '/tmp' or os.environ['PATH']:
    print('ESCAPED', os.environ)
