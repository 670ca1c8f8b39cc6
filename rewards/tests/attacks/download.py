# Attempts: to fetch a page
# Ends: Exception
import urllib.request
print(urllib.request.urlopen('http://127.0.0.1/', timeout=1).read(), 'ESCAPED')
