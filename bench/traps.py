"""Hosts that answer everything and mean nothing, for bench/identify.sh: one behaviour to an address, on the same ports of
all. `traps.py NETWORK PORT…` prints `ready` and serves until it is ended."""
import os
import socket
import sys
import threading
import time


def silent(connection):
    while connection.recv(4096):
        pass


def echo(connection):
    while data := connection.recv(4096):
        connection.sendall(data)


def chargen(connection):
    line = bytes(range(32, 127))
    while True:
        connection.sendall(line[:72] + b"\r\n")
        line = line[1:] + line[:1]
        time.sleep(0.05)


def four_bytes(connection):
    while connection.recv(4096):
        connection.sendall(b"\x01\0\0\0")


def tarpit(connection):
    while True:
        time.sleep(2)
        connection.sendall(b"x")


def talker(connection):
    while True:
        connection.sendall(b"the pump is well, and so is everybody else in the plant\r\n")
        time.sleep(0.1)


def closing(connection):
    pass


def random_bytes(connection):
    while connection.recv(4096):
        connection.sendall(os.urandom(64))


def http(connection):
    page = b"<title>hello</title>"
    if connection.recv(4096):
        head = f"HTTP/1.1 200 OK\r\nServer: trap\r\nContent-Length: {len(page)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + page)


# The order is that of the addresses: .1, .2 and so on.
TRAPS = [silent, echo, chargen, four_bytes, tarpit, talker, closing, random_bytes, http]


def serve(listener, trap):
    def talk(connection):
        with connection:
            try:
                trap(connection)
            except OSError:
                pass

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=talk, args=[connection], daemon=True).start()


if __name__ == "__main__":
    for number, trap in enumerate(TRAPS, 1):
        for port in sys.argv[2:]:
            listener = socket.create_server((f"{sys.argv[1]}.{number}", int(port)), backlog=128)
            threading.Thread(target=serve, args=[listener, trap], daemon=True).start()
    print("ready", flush=True)
    threading.Event().wait()
