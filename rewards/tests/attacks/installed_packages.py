# Attempts: to read what else is installed for this Python
# Ends: Exited Exception
# Level: namespaces
import sys, sysconfig
sys.path += [sysconfig.get_path('purelib'), sysconfig.get_path('platlib')]
try:
    import pip
    print('ESCAPED')
except ImportError:
    pass
