# Attempts: to recurse until the stack is full
# Ends: Signal Memory Exception TimeCpu
import sys
sys.setrecursionlimit(10 ** 9)
class A:
    def __getattr__(self, name): return getattr(self, name + 'x')
A().x
