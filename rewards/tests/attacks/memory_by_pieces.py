# Attempts: to take all memory piece by piece
# Ends: Memory TimeCpu
x = []
while True:
    x.append(bytearray(1 << 20))
