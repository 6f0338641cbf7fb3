"""OPC UA of asyncua on port 4840."""
import asyncio
from asyncua import Server


async def main():
    server = Server()
    await server.init()
    server.set_endpoint("opc.tcp://0.0.0.0:4840")
    async with server:
        await asyncio.sleep(3600)


asyncio.run(main())
