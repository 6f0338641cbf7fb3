"""IEC 60870-5-104 of c104: an outstation on port 2404."""
import time
import c104

server = c104.Server(ip="0.0.0.0", port=2404)
server.add_station(common_address=47)
server.start()
time.sleep(3600)
