# Attempts: to change the Python library for later tests
# Ends: Exited
import os, random
file = random.__file__
for attempt in (
    lambda: open(file, 'a').write('x'), lambda: os.unlink(file), lambda: os.rename(file, file + '~'),
    lambda: os.chmod(file, 0o777), lambda: os.truncate(file, 0), lambda: os.utime(file), lambda: os.chown(file, 0, 0),
    lambda: os.mkdir(os.path.dirname(file) + '/evil'), lambda: open(os.path.dirname(file) + '/evil.py', 'w'),
    lambda: os.open(file, os.O_RDONLY | os.O_TRUNC), lambda: os.setxattr(file, 'user.x', b'x'),
    lambda: os.link(file, file + '~'), lambda: os.open(os.path.dirname(file), os.O_TMPFILE | os.O_RDWR),
):
    try:
        attempt()
        print('ESCAPED')
    except OSError:
        pass
