//! Every identifier against a server that this project did not write, and what that server felt: one connection and at
//! most one payload. The services without such a server have stand-in bytes with their source, in crate `knowledge`.

use std::{collections::BTreeSet, fs, process::Command, time::Duration};

use serde_json::Value;

use crate::{
    plant::eventually,
    segments::Arrived,
    servers::{Server, python, script},
    wire::{FAR, Wire, inside},
};

/// What a scan of one port told, and what arrived at the host.
struct Look {
    observation: Value,
    port: String,
    arrived: Vec<Arrived>,
}

impl Look {
    /// Looks at a port as it is looked at by default, but for these options.
    #[track_caller]
    fn at(wire: &Wire, port: &str, options: &[&str]) -> Self {
        let capture = wire.capture();
        let scan = ["scan", FAR, "--ports", port, "--quiet", "--format", "jsonl"];
        let ended = wire.portcullis(&[&scan, options].concat());
        assert!(matches!(ended.code, 0 | 3), "{}", ended.stderr);
        let records = ended
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        let mut observations: Vec<Value> = records
            .filter(|record: &Value| record["schema"] == "portcullis.observation/1")
            .collect();
        Self {
            observation: observations.pop().unwrap_or_default(),
            port: port.into(),
            arrived: capture.end(),
        }
    }

    /// The first name that was given, with its grade and what was extracted.
    #[track_caller]
    fn is(self, service: &str, grade: &str, fields: &[(&str, &str)]) -> Self {
        let first = &self.observation["identifications"][0];
        assert_eq!(first["service"], service, "{:#}", self.observation);
        assert_eq!(first["grade"], grade, "{:#}", self.observation);
        for (field, value) in fields {
            let extracted = first["fields"][*field].as_str().unwrap_or_default();
            assert!(
                extracted.contains(value),
                "{field}: {extracted:?} and not {value:?}"
            );
        }
        self
    }

    /// How many connections and payloads the host got, and that nothing went elsewhere.
    #[track_caller]
    fn felt(&self, connections: usize, payloads: usize) {
        let number: u16 = self.port.split('/').next_back().unwrap().parse().unwrap();
        let (mut ways, mut said) = (BTreeSet::new(), BTreeSet::new());
        for Arrived { segment, at } in &self.arrived {
            assert_eq!(segment.port, number, "{segment:?}");
            match segment.protocol {
                6 if segment.is_syn() => _ = ways.insert(segment.from_port),
                6 if segment.data > 0 => {
                    _ = said.insert((segment.from_port, segment.sequence, Duration::ZERO))
                }
                17 => _ = said.insert((segment.from_port, 0, *at)),
                _ => {}
            }
        }
        assert_eq!(
            (ways.len(), said.len()),
            (connections, payloads),
            "connections and payloads: {:#?}",
            self.arrived
        );
    }
}

/// Whether the test goes on in a network of its own. What must be fetched is fetched before, where there is a way out.
fn begun(test: &str) -> bool {
    python();
    inside(&format!("real_servers::{test}"))
}

/// Starts a server that is written in Python.
#[track_caller]
fn start_python(wire: &Wire, port: &str, arguments: &[&str]) -> Server {
    Server::start(wire, port, &[&[python().to_str().unwrap()], arguments].concat())
}

#[track_caller]
fn write(wire: &Wire, name: &str, text: &str) {
    fs::write(wire.home().join(name), text).unwrap();
}

/// A program that prepares something must succeed.
#[track_caller]
fn prepare(wire: &Wire, program: &str, arguments: &[&str]) {
    let done = Command::new(program)
        .args(arguments)
        .current_dir(wire.home())
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

#[test]
fn modbus_of_pymodbus() {
    if !begun("modbus_of_pymodbus") {
        return;
    }
    let wire = Wire::new();
    let _server = start_python(&wire, "tcp/502", &[&script("modbus.py")]);
    let fields = [("vendor", "Acme"), ("product", "PLC-7"), ("revision", "1.2")];
    Look::at(&wire, "502", &[])
        .is("modbus-tcp", "proven", &fields)
        .felt(1, 1);
}

/// IEC 61850 confirms the same connection: what proves S7comm is a second question, which is not asked unbidden.
#[test]
fn s7comm_of_python_snap7() {
    if !begun("s7comm_of_python_snap7") {
        return;
    }
    let wire = Wire::new();
    let _server = start_python(&wire, "tcp/102", &[&script("s7comm.py")]);
    Look::at(&wire, "102", &[])
        .is("s7comm", "possible", &[])
        .felt(1, 1);
    Look::at(&wire, "102", &["--second-look"])
        .is("s7comm", "proven", &[])
        .felt(1, 2);
}

#[test]
fn ethernet_ip_of_cpppo() {
    if !begun("ethernet_ip_of_cpppo") {
        return;
    }
    let wire = Wire::new();
    let server = ["-m", "cpppo.server.enip", "-a", "0.0.0.0:44818", "SCADA=INT[10]"];
    let _server = start_python(&wire, "tcp/44818", &server);
    let fields = [
        ("vendor", "CIP vendor 1"),
        ("model", "1756-L61/B LOGIX5561"),
        ("revision", "20.11"),
        ("serial", "006C061A"),
    ];
    Look::at(&wire, "44818", &[])
        .is("ethernet-ip", "proven", &fields)
        .felt(1, 1);
    Look::at(&wire, "udp/44818", &[])
        .is("ethernet-ip", "proven", &fields)
        .felt(0, 1);
}

#[test]
fn bacnet_of_bacpypes3() {
    if !begun("bacnet_of_bacpypes3") {
        return;
    }
    let wire = Wire::new();
    let address = format!("{FAR}/24");
    let _server = start_python(&wire, "udp/47808", &[&script("bacnet.py"), &address]);
    Look::at(&wire, "udp/47808", &[])
        .is("bacnet-ip", "proven", &[])
        .felt(0, 1);
    // This server answers to the wildcard device with an error: there is nothing to extract.
    Look::at(&wire, "udp/47808", &["--second-look"])
        .is("bacnet-ip", "proven", &[])
        .felt(0, 2);
}

#[test]
fn opc_ua_of_asyncua() {
    if !begun("opc_ua_of_asyncua") {
        return;
    }
    let wire = Wire::new();
    let _server = start_python(&wire, "tcp/4840", &[&script("opcua.py")]);
    Look::at(&wire, "4840", &[])
        .is("opc-ua", "proven", &[])
        .felt(1, 1);
}

#[test]
fn iec_104_of_c104() {
    if !begun("iec_104_of_c104") {
        return;
    }
    let wire = Wire::new();
    let _server = start_python(&wire, "tcp/2404", &[&script("iec104.py")]);
    Look::at(&wire, "2404", &[])
        .is("iec-104", "proven", &[])
        .felt(1, 1);
}

#[test]
fn mqtt_of_mosquitto_with_and_without_a_password() {
    if !begun("mqtt_of_mosquitto_with_and_without_a_password") {
        return;
    }
    for (anybody, weakness) in [(true, "accepts clients without"), (false, "")] {
        let wire = Wire::new();
        let text = format!("listener 1883 0.0.0.0\nuser root\nallow_anonymous {anybody}\n");
        write(&wire, "mosquitto.conf", &text);
        let _server = Server::start(&wire, "tcp/1883", &["mosquitto", "-c", "mosquitto.conf"]);
        let look = Look::at(&wire, "1883", &[]);
        let shown = &look.observation["identifications"][0]["fields"]["weakness"];
        assert_eq!(shown.is_string(), anybody, "{:#}", look.observation);
        look.is("mqtt", "proven", &[("weakness", weakness)]).felt(1, 1);
    }
}

#[test]
fn http_of_nginx() {
    if !begun("http_of_nginx") {
        return;
    }
    let wire = Wire::new();
    let places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {kind};"))
        .concat();
    let text = format!(
        "daemon off; user root; pid nginx.pid; error_log stderr; events {{}}\n\
         http {{ access_log off; {places}\n\
         server {{ listen 80; location / {{ return 200 \"<title>Plant 7</title>\"; }} }} }}\n"
    );
    write(&wire, "nginx.conf", &text);
    let folder = format!("{}/", wire.home().display());
    let _server = Server::start(&wire, "tcp/80", &["nginx", "-p", &folder, "-c", "nginx.conf"]);
    let fields = [("name", "Plant 7"), ("server", "nginx/")];
    Look::at(&wire, "80", &[])
        .is("http", "proven", &fields)
        .felt(1, 1);
}

#[test]
fn ssh_of_openssh() {
    if !begun("ssh_of_openssh") {
        return;
    }
    let wire = Wire::new();
    prepare(
        &wire,
        "ssh-keygen",
        &["-q", "-t", "ed25519", "-N", "", "-f", "key"],
    );
    let key = wire.home().join("key");
    let server = ["/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-h"];
    let options = [key.to_str().unwrap(), "-o", "PidFile=none", "-o", "UsePAM=no"];
    let _server = Server::start(&wire, "tcp/22", &[&server[..], &options].concat());
    Look::at(&wire, "22", &[])
        .is("ssh", "proven", &[("name", "SSH-2.0-OpenSSH_")])
        .felt(1, 0);
}

#[test]
fn telnet_of_inetutils() {
    if !begun("telnet_of_inetutils") {
        return;
    }
    let wire = Wire::new();
    let _server = start_python(&wire, "tcp/23", &[&script("inetd.py"), "23", "telnetd"]);
    Look::at(&wire, "23", &[]).is("telnet", "proven", &[]).felt(1, 0);
}

#[test]
fn ftp_of_vsftpd() {
    if !begun("ftp_of_vsftpd") {
        return;
    }
    let wire = Wire::new();
    let text =
        "listen=YES\nbackground=NO\nrun_as_launching_user=YES\nanonymous_enable=YES\nseccomp_sandbox=NO\n";
    write(&wire, "vsftpd.conf", text);
    let file = wire.home().join("vsftpd.conf");
    let _server = Server::start(&wire, "tcp/21", &["vsftpd", file.to_str().unwrap()]);
    Look::at(&wire, "21", &[])
        .is("ftp", "proven", &[("name", "vsFTPd")])
        .felt(1, 0);
}

#[test]
fn vnc_of_tigervnc() {
    if !begun("vnc_of_tigervnc") {
        return;
    }
    let wire = Wire::new();
    let server = [
        "Xtigervnc",
        ":77",
        "-rfbport",
        "5900",
        "-SecurityTypes",
        "None",
        "-nolock",
    ];
    let _server = Server::start(&wire, "tcp/5900", &server);
    // It listens some time before it can greet. It is asked from its own host, where nothing is counted.
    eventually("it greets", Duration::from_secs(20), || {
        let greeted = wire.far(|| {
            let mut stream = std::net::TcpStream::connect("127.0.0.1:5900").ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
            std::io::Read::read(&mut stream, &mut [0; 12]).ok()
        });
        greeted.is_some_and(|length| length > 0)
    });
    Look::at(&wire, "5900", &[])
        .is("vnc", "proven", &[("revision", "RFB 003.008")])
        .felt(1, 0);
}

#[test]
fn rdp_of_xrdp() {
    if !begun("rdp_of_xrdp") {
        return;
    }
    let wire = Wire::new();
    let text = "[Globals]\nini_version=1\nport=3389\nsecurity_layer=negotiate\nfork=true\n\
                [Logging]\nLogFile=/dev/null\nEnableConsole=true\n[Channels]\n[Xorg]\nname=Xorg\nlib=libxup.so\n";
    write(&wire, "xrdp.ini", text);
    let file = wire.home().join("xrdp.ini");
    let server = ["xrdp", "--nodaemon", "--config", file.to_str().unwrap()];
    let _server = Server::start(&wire, "tcp/3389", &server);
    Look::at(&wire, "3389", &[]).is("rdp", "proven", &[]).felt(1, 1);
}

#[test]
fn upnp_of_miniupnpd() {
    if !begun("upnp_of_miniupnpd") {
        return;
    }
    let wire = Wire::new();
    let text = "ext_ifname=lo\nlistening_ip=wire\nport=5000\nenable_upnp=yes\nsecure_mode=yes\n\
                uuid=00000000-0000-0000-0000-000000000000\n";
    write(&wire, "miniupnpd.conf", text);
    let server = [
        "miniupnpd",
        "-d",
        "-f",
        "miniupnpd.conf",
        "-P",
        "/run/miniupnpd.pid",
    ];
    let _server = Server::start(&wire, "tcp/5000", &server);
    Look::at(&wire, "5000", &[])
        .is("upnp", "proven", &[("server", "MiniUPnPd/")])
        .felt(1, 1);
}

/// Its own question is asked on demand only; what the default one finds is HTTP.
#[test]
fn container_registry_of_docker() {
    if !begun("container_registry_of_docker") {
        return;
    }
    let wire = Wire::new();
    let text =
        "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: registry\nhttp:\n  addr: 0.0.0.0:5000\n";
    write(&wire, "registry.yml", text);
    let server = ["docker-registry", "serve", "registry.yml"];
    let _server = Server::start(&wire, "tcp/5000", &server);
    Look::at(&wire, "5000", &[]).is("http", "proven", &[]).felt(1, 1);
    Look::at(&wire, "5000", &["--service", "container-registry"])
        .is("container-registry", "proven", &[])
        .felt(1, 1);
}

/// A handshake is on demand only: without one the port says nothing of itself, and gets nothing.
#[test]
fn tls_of_openssl() {
    if !begun("tls_of_openssl") {
        return;
    }
    let wire = Wire::new();
    let new = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
    ];
    let files = [
        "-nodes",
        "-keyout",
        "key",
        "-out",
        "certificate",
        "-subj",
        "/CN=plant",
    ];
    prepare(&wire, "openssl", &[&new[..], &files].concat());
    let server = ["openssl", "s_server", "-accept", "443", "-key", "key"];
    let _server = Server::start(
        &wire,
        "tcp/443",
        &[&server[..], &["-cert", "certificate", "-quiet"]].concat(),
    );
    Look::at(&wire, "443", &[]).is("tls", "possible", &[]).felt(1, 0);
}

/// A community is a credential: without one from a person nothing is asked.
#[test]
fn snmp_of_net_snmp() {
    if !begun("snmp_of_net_snmp") {
        return;
    }
    let wire = Wire::new();
    let _server = start_snmpd(&wire);
    let look = Look::at(&wire, "udp/161", &[]);
    assert_eq!(look.observation, Value::Null, "something was observed");
    look.felt(0, 0);
    let look = Look::at(&wire, "udp/161", &["--service", "snmp", "--community", "plant7"]).is(
        "snmp",
        "proven",
        &[("vendor", "Moxa"), ("object-id", "1.3.6.1.4.1.8691.7.1")],
    );
    let kept = look.observation.to_string();
    assert!(
        !kept.contains("plant7") && !kept.contains("706c616e7437"),
        "{kept}"
    );
    look.felt(0, 1);
}

fn start_snmpd(wire: &Wire) -> Server {
    let text = "rocommunity plant7\nsysDescr Linux gateway\nsysObjectID .1.3.6.1.4.1.8691.7.1\n[snmp] persistentDir .\n";
    write(wire, "snmpd.conf", text);
    let server = ["snmpd", "-f", "-Lo", "-C", "-c", "snmpd.conf", "udp:161"];
    Server::start(wire, "udp/161", &server)
}
