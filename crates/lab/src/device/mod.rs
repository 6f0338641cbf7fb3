//! Stand-ins for devices. They behave as public documents describe the real ones, and no further; they are no devices.

mod mdm_gateway;
mod modbus;
mod serial_server;
mod station;
mod web_page;

use std::{
    fmt,
    io::{self, BufRead},
    net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use socket2::{Domain, Socket, Type};

use crate::{LabError, plant::Host, supervisor::say};

/// What a host of the plant plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// An MDM Gateway: listens and says nothing.
    MdmGateway {
        /// Its TCP port.
        port: u16,
    },
    /// An ordinary web page.
    WebPage {
        /// Its TCP port.
        port: u16,
    },
    /// A serial device server that answers DSCI on UDP 4800.
    SerialServer,
    /// A controller that speaks Modbus/TCP on TCP 502.
    ModbusController,
    /// A computer: a place to look from, with a historian on TCP 7000 that takes what it is sent.
    Station,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MdmGateway { port } => write!(f, "MDM Gateway, tcp/{port}"),
            Self::WebPage { port } => write!(f, "web page, tcp/{port}"),
            Self::SerialServer => f.write_str("serial device server, udp/4800"),
            Self::ModbusController => f.write_str("Modbus controller, tcp/502"),
            Self::Station => f.write_str("computer to look from"),
        }
    }
}

/// Plays a host's device: waits for the word to begin, listens, says `ready`, and serves until it is ended.
///
/// # Errors
/// When there is no such host, or its port cannot be opened.
pub fn play(name: &str) -> Result<(), LabError> {
    let host = Host::named(name).ok_or_else(|| LabError::NoSuchHost(name.into()))?;
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line).is_err() || line.is_empty() {
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
    say("ready");
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
