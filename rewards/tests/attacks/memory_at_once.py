# Attempts: to take all memory at once
# Ends: Memory
x = bytearray(1 << 36)
