"""BACnet/IP of bacpypes3 on port 47808: a device with the names that the test expects."""
import asyncio
import sys
from bacpypes3.app import Application
from bacpypes3.argparse import SimpleArgumentParser


async def main():
    arguments = ["--name", "Boiler", "--instance", "77", "--address", sys.argv[1]]
    Application.from_args(SimpleArgumentParser().parse_args(arguments))
    await asyncio.sleep(3600)


asyncio.run(main())
