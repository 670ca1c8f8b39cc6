# Attempts: to reach the host through a descriptor of the root directory
# Ends: Exited Exception
import os
for flags in (os.O_RDONLY, os.O_PATH):
    try:
        root = os.open('/', flags | os.O_DIRECTORY)
    except OSError:
        continue
    for path in ('../etc/passwd', 'etc/passwd', '../../etc/shadow'):
        try:
            print(os.read(os.open(path, os.O_RDONLY, dir_fd=root), 100), 'ESCAPED')
        except OSError:
            pass
