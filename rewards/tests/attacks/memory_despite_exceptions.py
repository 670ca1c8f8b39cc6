# Attempts: to take all memory again and again
# Ends: TimeCpu
while True:
    try:
        x = [0]
        while True: x += x
    except MemoryError:
        x = None
