# Attempts: to fill the disk of who keeps its output
# Ends: Output
while True: print('x' * 100_000)
