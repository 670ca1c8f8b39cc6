# Attempts: to make a device of the disk
# Ends: Exited
# Files: yes
import os, stat
for attempt in (
    lambda: os.mknod('/tmp/disk', stat.S_IFBLK | 0o666, os.makedev(8, 0)), lambda: os.mkfifo('/tmp/fifo'),
    lambda: os.mknod('/tmp/memory', stat.S_IFCHR | 0o666, os.makedev(1, 1)), lambda: open('/dev/mem', 'rb'),
    lambda: open('/dev/kmsg', 'rb'), lambda: open('/dev/tty', 'rb'),
):
    try:
        attempt()
        print('ESCAPED')
    except OSError:
        pass
