# Attempts: to compute for ever where no signal handler runs
# Ends: TimeCpu
sum(range(10 ** 15))
