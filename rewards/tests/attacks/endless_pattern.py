# Attempts: to compute for ever in a regular expression
# Ends: TimeCpu
import re; re.match(r'(a*)*b', 'a' * 64)
