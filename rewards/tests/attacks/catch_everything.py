# Attempts: to catch whatever would stop it
# Ends: TimeCpu
while True:
    try:
        while True: pass
    except BaseException:
        continue
