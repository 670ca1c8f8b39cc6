# Attempts: to compute a number beyond bounds
# Ends: TimeCpu Memory
x = 9; print(x ** x ** x)
