# Attempts: to recurse for ever
# Ends: Exception
def f(): return f()
f()
