//! The same promises in every firewall system that is driven: iptables over both interfaces of the kernel, beside
//! nftables, which the other tests use.

use std::time::Duration;

use crate::plant::{GATEWAY, GATEWAY_ADDRESS, Plant, eventually};

pub(crate) const GATEWAY6: &str = "2001:db8:7:10::a";
const IPTABLES: [&str; 2] = ["iptables-nft", "iptables-legacy"];

/// All rules of all systems, without counters, and without the empty frames that iptables makes when it is asked.
pub(crate) fn rules(plant: &Plant) -> String {
    let saved = "PATH=$PATH:/usr/sbin; for tool in iptables ip6tables; do for kind in nft legacy; do \
                 $tool-$kind-save | grep -v '^[#*:]\\|^COMMIT'; done; done; nft -s list table inet plant_filter; \
                 nft list tables | grep portcullis";
    plant
        .shell(GATEWAY, &format!("{saved} 2>&1; true"))
        .with(0)
        .stdout
}

fn guards(plant: &Plant) -> String {
    let listed = "for file in /proc/[0-9]*/cmdline; do tr '\\0' '\\n' <$file 2>/dev/null | tail -n 3 | \
                  grep -qx portcullis-guard && echo ${file%/cmdline}; done; true";
    plant.shell(GATEWAY, listed).with(0).stdout
}

fn applied(plant: &Plant, backend: &str, trial: &str) -> String {
    plant.apply(&plant.plan(&["--port", "54321", "--backend", backend]), trial)
}

#[track_caller]
fn is_closed(plant: &Plant, backend: &str) {
    for address in [GATEWAY_ADDRESS, GATEWAY6] {
        assert!(
            !plant.answers("office", address, 54321),
            "{backend}: {address} is open"
        );
        assert!(
            plant.answers("engineering", address, 54321),
            "{backend}: {address} is closed to engineering"
        );
    }
    assert!(
        plant.answers(GATEWAY, GATEWAY_ADDRESS, 54321),
        "{backend}: cut off from itself"
    );
}

#[test]
fn a_trial_in_iptables_ends_by_itself_and_leaves_nothing_behind() {
    for backend in IPTABLES {
        let plant = Plant::up();
        let before = rules(&plant);
        let office = plant.hold("office", "10.7.10.10:54321", &[]);
        let engineering = plant.hold("engineering", "10.7.10.10:54321", &[]);
        applied(&plant, backend, "25s");
        is_closed(&plant, backend);
        office.is_cut();
        engineering.is_alive();
        assert_ne!(guards(&plant), "", "{backend}: nobody guards the trial");
        eventually("everything is as it was", Duration::from_secs(45), || {
            rules(&plant) == before
        });
        eventually("its guard is gone", Duration::from_secs(10), || {
            guards(&plant).is_empty()
        });
        assert!(plant.answers("office", GATEWAY_ADDRESS, 54321));
        let listed = plant.portcullis(GATEWAY, &["changes"]).with(0);
        assert!(
            listed.stdout.contains("fell back"),
            "{backend}: {}",
            listed.stdout
        );
    }
}

#[test]
fn what_is_confirmed_in_iptables_stays_and_goes_with_a_rollback() {
    for backend in IPTABLES {
        let plant = Plant::up();
        let before = rules(&plant);
        let change = applied(&plant, backend, "5s");
        plant.portcullis(GATEWAY, &["confirm", &change]).with(0);
        assert_eq!(guards(&plant), "", "{backend}: its guard would take it back");
        std::thread::sleep(Duration::from_secs(7));
        is_closed(&plant, backend);
        let beside = plant.apply(&plant.plan(&["--port", "44818", "--preventive"]), "60s");
        plant.portcullis(GATEWAY, &["rollback", &beside]).with(0);
        is_closed(&plant, backend);
        plant.portcullis(GATEWAY, &["rollback", &change]).with(0);
        assert_eq!(rules(&plant), before, "{backend}");
        assert!(plant.answers("office", GATEWAY_ADDRESS, 54321));
    }
}

#[test]
fn a_trial_in_iptables_whose_guard_was_killed_is_taken_back_by_the_next_command() {
    for backend in IPTABLES {
        let plant = Plant::up();
        let before = rules(&plant);
        applied(&plant, backend, "60s");
        let guard = guards(&plant);
        let pid = guard.trim().trim_start_matches("/proc/");
        plant.shell(GATEWAY, &format!("kill -9 {pid}")).with(0);
        plant.portcullis(GATEWAY, &["changes"]).with(0);
        assert_eq!(rules(&plant), before, "{backend}");
    }
}

#[test]
fn rules_in_iptables_that_somebody_changed_are_not_confirmed() {
    for (backend, tool) in IPTABLES.into_iter().zip(["iptables-nft", "ip6tables-legacy"]) {
        let plant = Plant::up();
        let change = applied(&plant, backend, "60s");
        let insert = format!("PATH=$PATH:/usr/sbin {tool} -t mangle -I PORTCULLIS-{change} 1 -j RETURN");
        plant.shell(GATEWAY, &insert).with(0);
        plant
            .portcullis(GATEWAY, &["confirm", &change])
            .refused(4, "OP006");
        let listed = plant.portcullis(GATEWAY, &["changes"]).with(0);
        assert!(
            listed.stdout.contains("not in force"),
            "{backend}: {}",
            listed.stdout
        );
        plant.portcullis(GATEWAY, &["rollback", &change]).with(0);
    }
}

/// What Docker loads when it publishes the port for a container, and a rule of the older interface beside it: the chains
/// of the host's own firewall never see the port as it was addressed.
#[test]
fn beside_docker_and_the_older_interface_the_change_is_made_where_it_is_effective() {
    const DOCKER: &str =
        "PATH=$PATH:/usr/sbin; echo 1 >/proc/sys/net/ipv4/ip_forward; iptables-nft-restore --noflush <<'E'
*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -m conntrack --ctstate DNAT -j MASQUERADE
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 4840 -j DNAT --to-destination 10.7.20.5:7000
COMMIT
*filter
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -j DOCKER
-A DOCKER -d 10.7.20.5/32 -p tcp -m tcp --dport 7000 -j ACCEPT
-A DOCKER-USER -j RETURN
COMMIT
E
iptables-legacy -A INPUT -p tcp --dport 4840 -j DROP";
    let plant = Plant::up();
    plant.shell(GATEWAY, DOCKER).with(0);
    let before = rules(&plant);
    assert!(
        plant.answers("office", GATEWAY_ADDRESS, 4840),
        "published past INPUT"
    );
    let asked = ["--port", "4840", "--preventive", "--allow", "10.7.20.0/24"];
    let planned = plant
        .portcullis(GATEWAY, &[&["plan"], &asked[..]].concat())
        .with(0);
    assert!(
        planned
            .stdout
            .contains("made in nftables: Docker publishes this port"),
        "{}",
        planned.stdout
    );
    let change = plant.apply(&plant.plan(&asked), "60s");
    assert!(!plant.answers("office", GATEWAY_ADDRESS, 4840));
    assert!(plant.answers("engineering", GATEWAY_ADDRESS, 4840));
    plant.portcullis(GATEWAY, &["rollback", &change]).with(0);
    assert_eq!(rules(&plant), before);
    assert!(plant.answers("office", GATEWAY_ADDRESS, 4840));
}
