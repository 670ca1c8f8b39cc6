# Attempts: to have the compiler compute
# Ends: Exited Memory TimeCpu
x = lambda: ((((((1 << 4000) ** 30) ** 30) ** 30), ('x' * 10 ** 9) * 10 ** 9))
