"""Modbus/TCP of pymodbus on port 502, with the identification that the test expects."""
from pymodbus import ModbusDeviceIdentification
from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import StartTcpServer

identity = ModbusDeviceIdentification(info={0: "Acme", 1: "PLC-7", 2: "1.2"})
device = ModbusDeviceContext(hr=ModbusSequentialDataBlock(1, [17] * 10))
StartTcpServer(ModbusServerContext(devices=device, single=True), identity=identity, address=("0.0.0.0", 502))
