# Attempts: to see which directories the host has
# Ends: Exited Exception
import os
found = set(os.listdir('/')) - {'dev', 'tmp', 'usr', 'root', 'opt', 'home', 'lib', 'lib64', 'nix', 'work'}
if found or os.listdir('/home'):
    print('ESCAPED', found)
