# Attempts: to expand a small text to a large one
# Ends: Memory TimeCpu
import zlib; x = zlib.decompress(zlib.compress(bytes(1 << 26)) ); y = [bytes(x) + b'.' for _ in range(100)]
