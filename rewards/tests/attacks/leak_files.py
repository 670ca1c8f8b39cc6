# Attempts: to leave a file for the next test
# Ends: Exited
# Files: yes
# Runs: 2
# Level: namespaces
import os
if os.listdir('/tmp') or os.listdir('.'):
    print('ESCAPED')
os.mkdir('/tmp/d')
for name in ('/tmp/left', '/tmp/.hidden', '/tmp/d/left', 'here'):
    open(name, 'w').write('x')
