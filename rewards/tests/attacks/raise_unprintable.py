# Attempts: to raise what cannot be printed
# Ends: Exception
# Mode: calls
class Error(BaseException):
    def __str__(self): raise Error()
    __repr__ = __str__
def solve(n): raise Error()
