# Attempts: to fill the disk of who keeps its complaints
# Ends: TimeCpu TimeWall
import sys
while True: sys.stderr.write('x' * 100_000)
