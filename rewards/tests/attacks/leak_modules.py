# Attempts: to leave something in modules for the next test
# Ends: Exited
# Runs: 2
import builtins, json, math, os, sys
if hasattr(math, 'left') or hasattr(builtins, 'left') or 'LEFT' in os.environ or 'left' in sys.modules:
    print('ESCAPED')
math.left = builtins.left = True
os.environ['LEFT'] = '1'
sys.modules['left'] = math
json.loads = None
builtins.print = builtins.exec = builtins.compile = None
os._exit(0)
