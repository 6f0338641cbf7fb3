//! Connections that the tracker did not see begin: on a host without a rule that asks for them, it begins to track when the
//! change is loaded, and takes whoever speaks next for the one who opened them. A service that speaks first would keep its
//! forbidden clients.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
    time::Duration,
};

use crate::plant::{GATEWAY, Plant, eventually};

const TCP_SERVER: &str = "
import socket, threading, time
def serve(client):
    try:
        while True:
            client.sendall(b'x')
            time.sleep(0.1)
    except OSError:
        pass
server = socket.create_server(('0.0.0.0', 7777))
while True:
    client, _ = server.accept()
    threading.Thread(target=serve, args=(client,), daemon=True).start()
";

/// Answers slowly, so that an answer is on its way when the change is loaded.
const UDP_SERVER: &str = "
import socket, threading, time
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(('0.0.0.0', 7778))
def answer(peer):
    time.sleep(0.3)
    server.sendto(b'answer', peer)
while True:
    _, peer = server.recvfrom(100)
    threading.Thread(target=answer, args=(peer,), daemon=True).start()
";

/// Says `up` with the first bytes, `cut` when nothing has come for some seconds, and `up` when it comes again.
const TCP_CLIENT: &str = "
import socket
client = socket.create_connection(('10.7.10.10', 7777))
client.settimeout(4)
up = False
while True:
    try:
        now = bool(client.recv(100))
    except TimeoutError:
        now = False
    if now != up:
        print('up' if now else 'cut', flush=True)
    up = now
";

const UDP_CLIENT: &str = "
import socket
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.bind(('0.0.0.0', 40001))
client.settimeout(0.4)
silent = 0
for ask in range(200):
    client.sendto(b'ask', ('10.7.10.10', 7778))
    try:
        client.recvfrom(100)
        if ask == 0 or silent:
            print('up', flush=True)
        silent = 0
    except TimeoutError:
        silent += 1
        if silent == 6:
            print('cut', flush=True)
";

/// A program in Python on a host of the plant, which is ended with this value.
struct Running(Child);

impl Running {
    fn on(plant: &Plant, host: &str, program: &str) -> Self {
        let mut command = plant.command(host, "python3", &["-c", program]);
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// The next thing that it says.
    fn says(&mut self) -> String {
        let mut line = String::new();
        BufReader::with_capacity(1, self.0.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn plant_without_rules() -> Plant {
    let plant = Plant::up();
    plant
        .shell(GATEWAY, "PATH=$PATH:/usr/sbin:/sbin nft flush ruleset")
        .with(0);
    plant
}

#[test]
fn a_forbidden_connection_whose_server_speaks_first_is_cut_in_every_backend() {
    for backend in ["nftables", "iptables-nft", "iptables-legacy"] {
        let plant = plant_without_rules();
        let _server = Running::on(&plant, GATEWAY, TCP_SERVER);
        plant.listens(GATEWAY, 7777);
        let mut client = Running::on(&plant, "office", TCP_CLIENT);
        assert_eq!(client.says(), "up");
        let apply = || {
            let plan = plant.plan(&["--port", "7777", "--backend", backend]);
            let applied = plant
                .portcullis(GATEWAY, &["apply", &plan, "--trial", "60s"])
                .with(0);
            assert!(
                applied.stdout.contains("cut, nothing arrives any more"),
                "{backend}: {}",
                applied.stdout
            );
            applied.stdout.split_whitespace().nth(1).unwrap().to_owned()
        };
        let first = apply();
        assert_eq!(client.says(), "cut", "{backend}");
        plant.portcullis(GATEWAY, &["rollback", &first]).with(0);
        assert_eq!(client.says(), "up", "{backend}");
        // By now the tracker believes that the service has called its client.
        let change = apply();
        assert_eq!(client.says(), "cut", "{backend}");
        // Nor does it come back when the tracker is made to forget.
        plant
            .shell(GATEWAY, "PATH=$PATH:/usr/sbin:/sbin conntrack -F")
            .with(0);
        let dropped = || {
            let listed = plant
                .portcullis(GATEWAY, &["changes", "--format", "jsonl"])
                .with(0);
            let packets = listed.stdout.split("\"dropped_packets\":").nth(1).unwrap();
            packets.split([',', '}']).next().unwrap().parse::<u32>().unwrap()
        };
        let before = dropped();
        eventually("its packets are still dropped", Duration::from_secs(60), || {
            dropped() > before
        });
        plant.portcullis(GATEWAY, &["rollback", &change]).with(0);
    }
}

#[test]
fn a_forbidden_client_of_udp_is_not_served_as_a_peer_of_the_service() {
    for backend in ["nftables", "iptables-nft", "iptables-legacy"] {
        let plant = plant_without_rules();
        let _server = Running::on(&plant, GATEWAY, UDP_SERVER);
        plant.listens(GATEWAY, 7778);
        let mut client = Running::on(&plant, "office", UDP_CLIENT);
        assert_eq!(client.says(), "up");
        let plan = plant.plan(&["--port", "udp/7778", "--backend", backend]);
        let change = plant.apply(&plan, "60s");
        assert_eq!(client.says(), "cut", "{backend}");
        plant.portcullis(GATEWAY, &["rollback", &change]).with(0);
        assert_eq!(client.says(), "up", "{backend}");
    }
}
