"""S7comm of python-snap7 on port 102."""
import time
from snap7.server import Server

server = Server()
server.start(tcp_port=102)
time.sleep(3600)
