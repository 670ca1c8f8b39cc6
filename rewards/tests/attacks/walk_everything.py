# Attempts: to find any file that is not of the Python library
# Ends: Exited Exception
import os, sys
library = os.path.dirname(os.__file__)
for folder, _, files in os.walk('/'):
    for file in files:
        path = os.path.join(folder, file)
        if not path.startswith((library, '/dev/')):
            try:
                open(path, 'rb').read(1)
                print('ESCAPED', path)
                sys.exit()
            except OSError:
                pass
