//! Learning in the plant: nothing is sent to the device, whatever it is told to learn.

use crate::plant::{GATEWAY, Plant};

/// What the firewall of the target counts is what the target felt.
#[test]
fn the_gateway_feels_one_connection_for_each_look_and_no_payload() {
    let plant = Plant::up();
    let count = "add table inet count\n\
                 add chain inet count input { type filter hook input priority -300; }\n\
                 add rule inet count input tcp dport 54321 tcp flags & (syn|ack) == syn counter comment \"opened\"\n\
                 add rule inet count input tcp dport 54321 meta length > 80 counter comment \"payload\"\n";
    let file = plant.folder().join("count.nft");
    std::fs::write(&file, count).unwrap();
    let load = format!("PATH=$PATH:/usr/sbin nft -f {}", file.display());
    plant.shell(GATEWAY, &load).with(0);
    let learn = [
        "learn",
        "10.7.10.10:54321",
        "--as",
        "moxa-mdm-gateway",
        "--looks",
        "3",
        "--patience",
        "2s",
    ];
    plant.portcullis("engineering", &learn).with(0);
    let list = "PATH=$PATH:/usr/sbin nft list table inet count";
    let counted = plant.shell(GATEWAY, list).with(0).stdout;
    for (comment, packets) in [("opened", 3), ("payload", 0)] {
        let line = counted.lines().find(|line| line.contains(comment)).unwrap();
        assert!(line.contains(&format!("packets {packets} ")), "{line}");
    }

    // The operator's word makes it likely where it was possible, and says whose word it is.
    plant
        .portcullis("engineering", &["scan", "10.7.10.10", "--quiet"])
        .with(0);
    let assets = plant.portcullis("engineering", &["-v", "assets"]).with(0).stdout;
    assert!(assets.contains("moxa-mdm-gateway (likely)"), "{assets}");
    assert!(assets.contains("knows it as moxa-mdm-gateway"), "{assets}");
}
