//! What must be told apart.

use portcullis_model::Port;

use super::{Sample, hex, through};

pub(super) fn samples() -> Vec<Sample> {
    const NGINX: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 23 Nov 2026 15:57:24 GMT\r\n\
        Content-Type: text/html\r\nContent-Length: 36\r\nConnection: close\r\n\r\n<html><title>Welcome</title></html>\n";
    const UPNP: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: 134\r\n\
        Server: Debian/6.1 UPnP/1.1 MiniUPnPd/2.3.1\r\nExt:\r\n\r\n<HTML><HEAD><TITLE>404 Not Found</TITLE></HEAD>";
    const REGISTRY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json; charset=utf-8\r\n\
        Docker-Distribution-Api-Version: registry/2.0\r\nDate: Mon, 23 Nov 2026 15:57:24 GMT\r\nConnection: close\r\n\r\n{}";
    vec![
        Sample::new("http", Port::tcp(80), "real server: nginx 1.22.1", NGINX)
            .whole_from(13)
            .field("name", "Welcome")
            .field("server", "nginx/1.22.1"),
        Sample::new("upnp", Port::tcp(5000), "real server: miniupnpd 2.3.1", UPNP)
            .whole_from(through(UPNP, " UPnP/1.")),
        Sample::new(
            "container-registry",
            Port::tcp(5000),
            "real server: docker-registry 2.8.2",
            REGISTRY,
        )
        .whole_from(through(REGISTRY, "registry/2")),
        Sample::new(
            "ssh",
            Port::tcp(22),
            "real server: OpenSSH 9.2p1",
            b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10\r\n",
        )
        .whole_from(9),
        Sample::new(
            "tls",
            Port::tcp(443),
            "real server: OpenSSL 3.0.19",
            hex("15 03 03 00 02 02 32"),
        ),
        Sample::new(
            "telnet",
            Port::tcp(23),
            "real server: inetutils-telnetd 2.4",
            hex("ff fb 25 ff fb 26 ff fd 18 ff fd 20 ff fd 23 ff fd 27 ff fd 24"),
        )
        .whole_from(6),
        Sample::new(
            "ftp",
            Port::tcp(21),
            "real server: vsftpd 3.0.3",
            b"220 (vsFTPd 3.0.3)\r\n",
        )
        .whole_from(10),
        Sample::new(
            "vnc",
            Port::tcp(5900),
            "real server: TigerVNC 1.12.0",
            b"RFB 003.008\n",
        ),
        Sample::new(
            "rdp",
            Port::tcp(3389),
            "real server: xrdp 0.9.21",
            hex("03 00 00 13 0e d0 00 00 12 34 00 02 01 08 00 01 00 00 00"),
        ),
    ]
}
