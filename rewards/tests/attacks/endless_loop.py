# Attempts: to compute for ever
# Ends: TimeCpu
while True: pass
