use portcullis_model::{Exit, Fault as _};

use super::{
    super::{ListingError, ListingFormat, MAX_BYTES, parse, parse_as},
    listeners, read, unreadable,
};

#[test]
fn a_header_alone_is_a_host_on_which_nothing_listens() {
    for (header, format) in [
        (
            "Netid State Recv-Q Send-Q Local Address:Port Peer Address:Port Process\n",
            ListingFormat::Ss,
        ),
        (
            "State Recv-Q Send-Q Local Address:Port Peer Address:Port\n",
            ListingFormat::Ss,
        ),
        (
            "Proto Recv-Q Send-Q Local Address Foreign Address State\n",
            ListingFormat::NetstatLinux,
        ),
        (
            "Proto Recv-Q Send-Q Local Address Foreign Address (state)\n",
            ListingFormat::NetstatBsd,
        ),
        (
            "  Proto  Lokale Adresse  Remoteadresse  Status\n",
            ListingFormat::NetstatWindows,
        ),
        (
            "LocalAddress LocalPort RemoteAddress RemotePort State OwningProcess\n",
            ListingFormat::PowerShell,
        ),
    ] {
        let listing = read(header);
        assert_eq!(listing.format, format, "{header}");
        assert!(
            listing.listeners.is_empty() && listing.unreadable.is_empty(),
            "{header}"
        );
    }
}

#[test]
fn other_texts_are_refused_with_the_commands_that_help() {
    for text in [
        "",
        "\u{feff}",
        "hello\n",
        "PS C:\\> Get-NetTCPConnection | ft LocalAddress,LocalPort\n",
        "Proto RefCnt Flags Type State I-Node Path\nunix 2 [ ACC ] STREAM LISTENING 20471 /run/x\n",
        "PORT      STATE SERVICE\n54321/tcp open  unknown\n",
    ] {
        let error = parse(text.as_bytes()).unwrap_err();
        assert_eq!(error, ListingError::UnknownFormat, "{text:?}");
        assert_eq!((error.code(), error.exit()), ("SC020", Exit::Usage));
        let hint = error.hint().unwrap();
        for format in ListingFormat::ALL {
            assert!(hint.contains(format.command()), "{hint}");
        }
    }
}

#[test]
fn too_much_is_refused_before_it_is_read() {
    let error = parse(&vec![b'\n'; MAX_BYTES + 1]).unwrap_err();
    assert_eq!(error, ListingError::TooLarge { bytes: MAX_BYTES + 1 });
    assert_eq!((error.code(), error.exit()), ("SC021", Exit::Usage));
    assert_eq!(parse(&vec![b'\n'; MAX_BYTES]), Err(ListingError::UnknownFormat));
}

#[test]
fn lines_of_another_tool_are_not_lost_in_silence() {
    let listing = read(
        "tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:*\ntcp LISTEN 0 128 0.0.0.0:80 0.0.0.0:*\n\
         tcp        0      0 0.0.0.0:54321     0.0.0.0:*      LISTEN\n",
    );
    assert_eq!(listeners(&listing), ["tcp/22 on 0.0.0.0", "tcp/80 on 0.0.0.0"]);
    assert_eq!(
        unreadable(&listing),
        ["line 3: written by netstat (Linux): import it as a text of its own"]
    );
}

#[test]
fn the_format_can_be_told() {
    let text = "tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:*\n";
    let listing = parse_as(ListingFormat::NetstatLinux, text.as_bytes()).unwrap();
    assert!(listing.listeners.is_empty());
    assert_eq!(
        unreadable(&listing),
        ["line 1: written by ss: import it as a text of its own"]
    );
}

#[test]
fn two_formats_with_as_many_lines_are_read_as_the_first_and_all_that_is_wrong_comes_in_order() {
    let listing = read(
        "tcp        0      0 0.0.0.0:54321     0.0.0.0:*      LISTEN\n\
         tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:*\n\
         tcp        0      0 0.0.0.0:ssh       0.0.0.0:*      LISTEN\n\
         tcp LISTEN 0 128 0.0.0.0:80 0.0.0.0:*\n",
    );
    assert_eq!(listing.format, ListingFormat::NetstatLinux);
    assert_eq!(
        listing
            .unreadable
            .iter()
            .map(|line| line.line)
            .collect::<Vec<_>>(),
        [2, 3, 4]
    );
}
