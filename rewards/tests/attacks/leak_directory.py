# Attempts: to leave the next test in another directory
# Ends: Exited
# Files: yes
# Runs: 2
# Level: namespaces
import os
if os.getcwd() != '/tmp':
    print('ESCAPED')
os.mkdir('/tmp/d')
os.chdir('/tmp/d')
