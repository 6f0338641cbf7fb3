"""Starts a program for each connection with the connection as its standard input and output, as inetd does."""
import socket
import subprocess
import sys

listener = socket.create_server(("0.0.0.0", int(sys.argv[1])))
while True:
    connection, _ = listener.accept()
    with connection:
        subprocess.Popen(sys.argv[2:], stdin=connection, stdout=connection)
