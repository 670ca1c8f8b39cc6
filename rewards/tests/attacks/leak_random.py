# Attempts: to learn the state of the random numbers of others
# Ends: Exited
# Runs: 2
import random
first = random.random()
if first != random.Random(0).random():
    print('ESCAPED')
