# Attempts: to return an object that lies about its class
# Ends: Exception(NotPlain)
# Mode: calls
class Lie:
    __class__ = property(lambda self: int)
    def __int__(self): return 1
def solve(n): return [Lie()]
