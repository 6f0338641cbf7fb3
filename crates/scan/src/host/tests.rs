use proptest::prelude::*;

use super::*;

fn tasks(text: &str) -> Vec<(u32, String)> {
    let found = parse(text.as_bytes()).unwrap().tasks;
    found
        .iter()
        .map(|task| (task.pid, task.name.to_string()))
        .collect()
}

fn utf16(text: &str) -> Vec<u8> {
    let units = text.encode_utf16().flat_map(u16::to_le_bytes);
    [0xff, 0xfe].into_iter().chain(units).collect()
}

const TABLE: &str = "\r\nAbbildname                     PID Sitzungsname       Sitz.-Nr. Speichernutzung\r\n\
    ========================= ======== ================ =========== ===============\r\n\
    System Idle Process              0 Services                   0             8 K\r\n\
    System                           4 Services                   0           144 K\r\n\
    MDMGw.exe                     1884 Services                   0        12.345 K\r\n\
    Ein Name mit 25 Buchstabe    20480 Console                    1         1.000 K\r\n";

#[test]
fn a_table_is_read_in_any_language_and_encoding() {
    let expected = [
        (0, "System Idle Process".to_owned()),
        (4, "System".into()),
        (1884, "MDMGw.exe".into()),
        (20480, "Ein Name mit 25 Buchstabe".into()),
    ];
    assert_eq!(tasks(TABLE), expected);
    let wide: Vec<u32> = parse(&utf16(TABLE))
        .unwrap()
        .tasks
        .iter()
        .map(|task| task.pid)
        .collect();
    assert_eq!(wide, [0, 4, 1884, 20480]);
    // Code page 850: two bytes that would be one letter of UTF-8 are two columns.
    let mut bytes = TABLE
        .replace("MDMGw.exe  ", "M\u{1}\u{2}Gw.exe  ")
        .replace("nutzung", "n\u{3}tzung")
        .into_bytes();
    for (from, to) in [(1, 0xc3), (2, 0xa9), (3, 0x81)] {
        bytes
            .iter_mut()
            .filter(|byte| **byte == from)
            .for_each(|byte| *byte = to);
    }
    let found = parse(&bytes).unwrap().tasks;
    assert_eq!(
        (found[2].pid, found[2].name.raw()),
        (1884, "M\u{fffd}\u{fffd}Gw.exe")
    );
}

#[test]
fn services_go_on_below_their_column() {
    let text = "Nom de l'image                 PID Services\n\
        ========================= ======== ============================================\n\
        System                           4 N/A\n\
        svchost.exe                    812 BrokerInfrastructure, DcomLaunch, PlugPlay,\n\
        \x20                                  Power, SystemEventsBroker\n\
        MXview.exe                     990 MXViewService\n";
    let found = parse(text.as_bytes()).unwrap().tasks;
    let services: Vec<Vec<&str>> = found
        .iter()
        .map(|task| task.services.iter().map(Untrusted::raw).collect())
        .collect();
    assert_eq!(
        services,
        [
            vec![],
            vec![
                "BrokerInfrastructure",
                "DcomLaunch",
                "PlugPlay",
                "Power",
                "SystemEventsBroker"
            ],
            vec!["MXViewService"],
        ]
    );
}

#[test]
fn csv_and_lists_say_the_same() {
    let csv = "\"Image Name\",\"PID\",\"Session Name\",\"Session#\",\"Mem Usage\"\n\
        \"System\",\"4\",\"Services\",\"0\",\"144 K\"\n\"MDMGw.exe\",\"1884\",\"Services\",\"0\",\"12,345 K\"\n";
    let list = "\nImage Name:   System\nPID:          4\nSession Name: Services\nSession#:     0\nMem Usage:    144 K\n\
        \nImage Name:   MDMGw.exe\nPID:          1884\nSession Name: Services\nSession#:     0\nMem Usage:    12 K\n";
    let expected = [(4, "System".to_owned()), (1884, "MDMGw.exe".into())];
    assert_eq!(tasks(csv), expected);
    assert_eq!(tasks(list), expected);
    let verbose =
        "\"a.exe\",\"7\",\"Console\",\"1\",\"9 K\",\"Running\",\"PLANT\\ola\",\"0:00:01\",\"a \"\"b\"\"\"\n";
    let found = parse(verbose.as_bytes()).unwrap().tasks;
    assert_eq!(found[0].user.as_ref().unwrap().raw(), "PLANT\\ola");
    let svc = "Image Name: s.exe\nPID:        9\nServices:   A, B,\n            C\n";
    assert_eq!(parse(svc.as_bytes()).unwrap().tasks[0].services.len(), 3);
}

#[test]
fn sockets_are_no_processes() {
    for text in [
        "\"LocalAddress\",\"LocalPort\",\"OwningProcess\"\n\"0.0.0.0\",\"135\",\"812\"\n",
        "LocalAddress : 0.0.0.0\nLocalPort : 135\nOwningProcess : 812\n",
        "  TCP    0.0.0.0:54321    0.0.0.0:0    LISTENING    1884\n",
        "Host Name: PLANT\nOS: 7\nx: y\nz: 1\n",
    ] {
        assert!(parse(text.as_bytes()).unwrap().is_empty(), "{text}");
    }
}

const EXPORT: &str = "Windows Registry Editor Version 5.00\r\n\r\n\
    [HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Uninstall]\r\n\r\n\
    [HKEY_LOCAL_MACHINE\\SOFTWARE\\WOW6432Node\\Microsoft\\Windows\\CurrentVersion\\Uninstall\\{8C3A}]\r\n\
    \"DisplayName\"=\"MOXA Device Manager\"\r\n\"DisplayVersion\"=\"2.1\"\r\n\"Publisher\"=\"Moxa Inc.\"\r\n\
    \"InstallLocation\"=\"C:\\\\Program Files\\\\Moxa\\\\\"\r\n\"EstimatedSize\"=dword:00001000\r\n\r\n\
    [HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Uninstall\\KB1]\r\n\"Publisher\"=\"x\"\r\n\r\n\
    [HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Uninstall\\Hex]\r\n\
    \"DisplayName\"=hex(2):48,00,65,00,\\\r\n  78,00,00,00\r\n";

#[test]
fn the_export_of_the_registry_names_programs() {
    for bytes in [EXPORT.as_bytes().to_vec(), utf16(EXPORT)] {
        let programs = parse(&bytes).unwrap().programs;
        let named: Vec<&str> = programs.iter().map(|program| program.name.raw()).collect();
        assert_eq!(named, ["MOXA Device Manager", "Hex"]);
        assert_eq!(programs[0].version.as_ref().unwrap().raw(), "2.1");
        assert_eq!(
            programs[0].location.as_ref().unwrap().raw(),
            "C:\\Program Files\\Moxa\\"
        );
    }
}

#[test]
fn reg_query_says_the_same() {
    let text = "\r\nHKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Uninstall\\MDM\r\n\
        \x20   DisplayName    REG_SZ    MOXA Device Manager\r\n    DisplayVersion    REG_SZ    2.1\r\n\
        \x20   NoModify    REG_DWORD    0x1\r\n    InstallLocation\tREG_EXPAND_SZ\t%ProgramFiles%\\Moxa\r\n";
    let programs = parse(text.as_bytes()).unwrap().programs;
    assert_eq!(programs.len(), 1);
    assert_eq!(programs[0].name.raw(), "MOXA Device Manager");
    assert_eq!(
        programs[0].location.as_ref().unwrap().raw(),
        "%ProgramFiles%\\Moxa"
    );
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        words in prop::collection::vec(prop::sample::select(vec![
            "=== == =", "=========", " ", "\n", "\"", "\",\"", "1", "a.exe", ":", "x: 1", "\t", "\\\n", "é",
            "[HKEY_LOCAL_MACHINE\\A\\CurrentVersion\\Uninstall\\B]\n", "\"DisplayName\"=", "hex(2):", "41,00,", "REG_SZ",
            "    DisplayName    REG_SZ    x\n",
        ]), 0..60),
    ) {
        let _ = parse(&bytes);
        let _ = parse(words.concat().as_bytes());
        let _ = parse(&utf16(&words.concat()));
    }

    #[test]
    fn a_table_gives_back_what_it_was_made_of(
        rows in prop::collection::vec(("[A-Za-z][A-Za-z ]{0,22}[A-Za-z]", 0u32..100_000_000), 1..20)) {
        let mut text = format!("Name\n{} {} {}\n", "=".repeat(25), "=".repeat(8), "=".repeat(16));
        for (name, pid) in &rows {
            text.push_str(&format!("{name:<25} {pid:>8} N/A\n"));
        }
        let expected: Vec<(u32, String)> = rows.into_iter().map(|(name, pid)| (pid, name)).collect();
        prop_assert_eq!(tasks(&text), expected);
    }
}
