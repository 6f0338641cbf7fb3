use super::{super::ListingFormat::PowerShell, connections, listeners, read, read_whole, unreadable};

#[test]
fn the_default_table() {
    let listing = read_whole(
        PowerShell,
        "\
[10.7.10.7]: PS C:\\> Get-NetTCPConnection

LocalAddress                        LocalPort RemoteAddress                       RemotePort State       AppliedSetting OwningProcess
------------                        --------- -------------                       ---------- -----       -------------- -------------
::                                  135       ::                                  0          Listen                     924
fe80::1c9a:f2ff:fe4e:66a1%5         139       ::                                  0          Listen                     4
0.0.0.0                             49670     0.0.0.0                             0          Bound                      77
10.7.10.7                           54321     10.7.20.5                           50123      Established Internet       1234
10.7.10.7                           54321     10.7.20.5                           50100      TimeWait                   0
0.0.0.0                             54321     0.0.0.0                             0          Listen                     1234


[10.7.10.7]: PS C:\\>
",
    );
    assert_eq!(
        listeners(&listing),
        [
            "tcp/135 on :: by 924",
            "tcp/139 on fe80::1c9a:f2ff:fe4e:66a1 by 4",
            "tcp/54321 on 0.0.0.0 by 1234",
        ]
    );
    assert_eq!(
        connections(&listing),
        ["10.7.10.7:54321 <-> 10.7.20.5:50123 by 1234"]
    );
}

#[test]
fn a_table_of_chosen_columns() {
    let listing = read(
        "\
PS C:\\> Get-NetTCPConnection -State Listen | ft OwningProcess,LocalPort,LocalAddress,State

OwningProcess LocalPort LocalAddress                   State
------------- --------- ------------                   -----
         1234     54321 0.0.0.0                       Listen
          924       135 2001:db8:10::a1b2:c3d4:e5f... Listen
          924       135 ::                            Listen  too many
",
    );
    assert_eq!(listeners(&listing), ["tcp/54321 on 0.0.0.0 by 1234"]);
    assert_eq!(
        listing
            .unreadable
            .iter()
            .map(|line| line.line)
            .collect::<Vec<_>>(),
        [6, 7]
    );
    assert!(unreadable(&listing)[0].contains("Format-List"));
}

#[test]
fn a_list() {
    let listing = read_whole(
        PowerShell,
        "

LocalAddress   : ::
LocalPort      : 135
RemoteAddress  : ::
RemotePort     : 0
State          : Listen
AppliedSetting :
OwningProcess  : 924
CreationTime   : 23.11.2026 06:12:01

LocalAddress   : 10.7.10.7
LocalPort      : 54321
RemoteAddress  : 10.7.20.5
RemotePort     : 50123
State          : Established
AppliedSetting : Internet
OwningProcess  : 1234
",
    );
    assert_eq!(listeners(&listing), ["tcp/135 on :: by 924"]);
    assert_eq!(
        connections(&listing),
        ["10.7.10.7:54321 <-> 10.7.20.5:50123 by 1234"]
    );
}

const JSON: &str = r#"PS C:\> Get-NetTCPConnection | Select Local*,Remote*,State,OwningProcess | ConvertTo-Json
[
    {
        "LocalAddress":  "0.0.0.0",
        "LocalPort":  54321,
        "RemoteAddress":  "0.0.0.0",
        "RemotePort":  0,
        "State":  2,
        "OwningProcess":  1234,
        "CimClass":  { "CimSuperClassName": "CIM_ProtocolEndpoint", "CimClassProperties": ["Caption", null] }
    },
    {
        "LocalAddress":  "10.7.10.7",
        "LocalPort":  54321,
        "RemoteAddress":  "10.7.20.5",
        "RemotePort":  50123,
        "State":  "Established",
        "OwningProcess":  1234
    },
    {
        "LocalAddress":  "0.0.0.0",
        "LocalPort":  49670,
        "RemoteAddress":  "0.0.0.0",
        "RemotePort":  0,
        "State":  100,
        "OwningProcess":  77
    }
]
PS C:\>
"#;

#[test]
fn json() {
    let listing = read_whole(PowerShell, JSON);
    assert_eq!(listeners(&listing), ["tcp/54321 on 0.0.0.0 by 1234"]);
    assert_eq!(
        connections(&listing),
        ["10.7.10.7:54321 <-> 10.7.20.5:50123 by 1234"]
    );
}

#[test]
fn json_of_a_single_connection() {
    let text = r#"{"LocalAddress":"::","LocalPort":54321,"RemoteAddress":"::","RemotePort":0,"State":2,"OwningProcess":1234}"#;
    assert_eq!(
        listeners(&read_whole(PowerShell, text)),
        ["tcp/54321 on :: by 1234"]
    );
}

#[test]
fn json_that_breaks_off_keeps_what_came_before() {
    let (whole, _) = JSON.split_once("\"RemoteAddress\":  \"10.7.20.5\"").unwrap();
    let listing = read(whole);
    assert_eq!(listeners(&listing), ["tcp/54321 on 0.0.0.0 by 1234"]);
    assert_eq!(listing.unreadable.len(), 1);
    assert!(unreadable(&listing)[0].contains("not valid JSON: EOF"));

    let (closed, _) = JSON.split_once("\n]").unwrap();
    assert_eq!(
        unreadable(&read(closed)),
        ["line 27: not valid JSON: the list is not closed"]
    );
}

#[test]
fn a_record_of_json_without_a_property_is_named_by_its_line() {
    let text = JSON.replace("        \"State\":  \"Established\",\n", "");
    let listing = read(&text);
    assert_eq!(listeners(&listing), ["tcp/54321 on 0.0.0.0 by 1234"]);
    assert_eq!(unreadable(&listing), ["line 12: the record has no State"]);
}

#[test]
fn json_that_ends_too_soon_is_broken_in_its_last_line() {
    for text in ["x\n{\"LocalAddress\":\n", "x\n[\n{\"LocalAddress\":\n \n\n"] {
        let listing = crate::listing::parse_as(PowerShell, text.as_bytes()).unwrap();
        let last = text.trim_end().lines().count();
        assert_eq!(
            listing.unreadable.iter().map(|one| one.line).collect::<Vec<_>>(),
            [last]
        );
    }
}

#[test]
fn csv_in_every_culture() {
    let comma = "\
#TYPE Microsoft.Management.Infrastructure.CimInstance#root/standardcimv2/MSFT_NetTCPConnection
\"State\",\"AppliedSetting\",\"OwningProcess\",\"LocalAddress\",\"LocalPort\",\"RemoteAddress\",\"RemotePort\",\"Note\"
\"Listen\",,\"1234\",\"0.0.0.0\",\"54321\",\"0.0.0.0\",\"0\",\"says \"\"hi\"\", twice\"
\"Established\",\"Internet\",\"1234\",\"10.7.10.7\",\"54321\",\"10.7.20.5\",\"50123\",
";
    let semicolon = "State;OwningProcess;LocalAddress;LocalPort;RemoteAddress;RemotePort\n\
        Listen;1234;0.0.0.0;54321;0.0.0.0;0\nEstablished;1234;10.7.10.7;54321;10.7.20.5;50123\n";
    for text in [comma, semicolon] {
        let listing = read_whole(PowerShell, text);
        assert_eq!(listeners(&listing), ["tcp/54321 on 0.0.0.0 by 1234"]);
        assert_eq!(
            connections(&listing),
            ["10.7.10.7:54321 <-> 10.7.20.5:50123 by 1234"]
        );
    }
}
