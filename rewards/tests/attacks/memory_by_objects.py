# Attempts: to take all memory in small objects
# Ends: Memory TimeCpu
x = []
while True:
    x.append([x])
