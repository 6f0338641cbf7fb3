//! Stand-ins for devices. They behave as public documents describe the real ones, and no further; they are no devices.

mod mdm_gateway;
mod modbus;
mod serial_server;
mod station;
mod web_page;

use std::{
    io,
    net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use socket2::{Domain, Socket, Type};

use crate::{
    LabError,
    handshake::{await_go, say_ready},
    plant::{Device, Host},
};

/// Plays a host's device: waits for the word to begin, listens, says `ready`, and serves until it is ended.
///
/// # Errors
/// When there is no such host, or its port cannot be opened.
pub fn play(name: &str) -> Result<(), LabError> {
    let host = Host::named(name).ok_or_else(|| LabError::NoSuchHost(name.into()))?;
    if !await_go() {
        return Ok(());
    }
    let failed = |source: io::Error| LabError::Start(format!("{name}: {source}"));
    let serve: Box<dyn FnOnce()> = match host.device {
        Device::MdmGateway { port } => {
            portcullis_sys::isolation::name_this_process("mdmgw-stand-in");
            let listener = listen(port).map_err(failed)?;
            Box::new(move || serve_each(&listener, mdm_gateway::serve))
        }
        Device::WebPage { port } => {
            portcullis_sys::isolation::name_this_process("httpd-stand-in");
            let listener = listen(port).map_err(failed)?;
            Box::new(move || serve_each(&listener, web_page::serve))
        }
        Device::SerialServer => {
            portcullis_sys::isolation::name_this_process("nport-stand-in");
            let socket = serial_server::bind().map_err(failed)?;
            let address = host.v4();
            Box::new(move || serial_server::serve(&socket, &address))
        }
        Device::ModbusController => {
            portcullis_sys::isolation::name_this_process("plc-stand-in");
            let listener = listen(modbus::PORT).map_err(failed)?;
            Box::new(move || serve_each(&listener, modbus::serve))
        }
        Device::Station => {
            portcullis_sys::isolation::name_this_process("historian");
            let listener = listen(station::PORT).map_err(failed)?;
            Box::new(move || serve_each(&listener, station::serve))
        }
    };
    say_ready();
    serve();
    Ok(())
}

/// Listens on all addresses, IPv4 and IPv6. The port may be shared, so that `lab hold` can show an outgoing connection
/// whose source port is the same: a clash that real hosts meet when a service starts on an ephemeral port.
fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
    socket.set_only_v6(false)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into())?;
    socket.listen(16)?;
    Ok(socket.into())
}

/// Serves each connection on a thread of its own.
fn serve_each(listener: &TcpListener, serve: fn(TcpStream) -> io::Result<()>) {
    for connection in listener.incoming() {
        match connection {
            // A connection that breaks off is the peer's affair.
            Ok(connection) => drop(thread::spawn(move || serve(connection))),
            // Out of descriptors: wait until some are given back.
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    }
}
