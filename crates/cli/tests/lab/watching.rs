//! Watching that changes stay in force: who is named, what is not called tampering, and what is put back.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use crate::plant::{Ended, GATEWAY, GATEWAY_ADDRESS, PROGRAM, Plant, eventually};

/// Long enough for a busy machine; how soon something is told is measured elsewhere.
const PATIENCE: Duration = Duration::from_secs(10);

/// A `portcullis watch` on the gateway.
struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    /// Watches from now on; `told` lines say what is watched.
    fn begin(plant: &Plant, options: &[&str], told: usize) -> Self {
        let mut command = plant.command(GATEWAY, PROGRAM, &[&["watch"], options].concat());
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let watch = Self { child, lines };
        for _ in 0..told {
            watch.tells("watched");
        }
        watch
    }

    /// The next line must hold these words.
    #[track_caller]
    fn tells(&self, words: &str) -> String {
        let line = self.lines.recv_timeout(PATIENCE).unwrap_or_default();
        assert!(line.contains(words), "{words:?} is not in {line:?}");
        line
    }

    /// Nothing more is told until its time is over, and it ends so.
    #[track_caller]
    fn ends(mut self, code: i32) {
        let ended = self.child.wait().unwrap();
        let rest: Vec<String> = self.lines.iter().collect();
        assert_eq!(rest, Vec::<String>::new());
        assert_eq!(ended.code(), Some(code));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn nft(plant: &Plant, commands: &str) {
    plant
        .shell(GATEWAY, &format!("PATH=$PATH:/usr/sbin nft '{commands}'"))
        .with(0);
}

fn confirmed(plant: &Plant) -> String {
    let change = plant.apply(&plant.plan(&["--port", "54321"]), "60s");
    plant.portcullis(GATEWAY, &["confirm", &change]).with(0);
    change
}

fn is_open(plant: &Plant) -> bool {
    plant.answers("office", GATEWAY_ADDRESS, 54321)
}

#[test]
fn who_flushes_the_ruleset_is_named_with_command_and_parent() {
    let plant = Plant::up();
    let change = confirmed(&plant);
    let watch = Watch::begin(&plant, &["--for", "6s"], 1);
    // An `nft` that lives on after the deed: one that ends at once is not always seen alive.
    plant
        .shell(
            GATEWAY,
            "PATH=$PATH:/usr/sbin; (echo flush ruleset; sleep 2) | nft -i; true",
        )
        .with(0);
    let line = watch.tells("not in force: somebody or something removed its rules");
    assert!(line.contains(&format!("change {change} tcp/54321")), "{line}");
    assert!(line.contains("by nft (process "), "{line}");
    assert!(line.contains("`nft -i` of "), "{line}");
    assert!(line.contains("started by sh ("), "{line}");
    let listed = plant.portcullis(GATEWAY, &["changes"]).with(0);
    assert!(listed.stdout.contains("not in force"), "{}", listed.stdout);
    watch.ends(1);
    let record = plant
        .portcullis(GATEWAY, &["audit", "list", "--format", "jsonl"])
        .with(0);
    let altered = record.stdout.lines().find(|line| line.contains("change.altered"));
    assert!(
        altered.unwrap().contains("\"program\":\"nft\""),
        "{}",
        record.stdout
    );
    plant.portcullis(GATEWAY, &["audit", "verify"]).with(0);
    plant.portcullis(GATEWAY, &["watch", "--once"]).with(1);
}

#[test]
fn each_way_to_open_the_port_is_told_and_each_time_once() {
    let plant = Plant::up();
    let change = confirmed(&plant);
    let watch = Watch::begin(&plant, &["--for", "14s", "--format", "jsonl"], 1);
    nft(
        &plant,
        &format!("insert rule inet portcullis change_{change} ip saddr 10.7.30.5 accept"),
    );
    let line = watch.tells("\"what\":\"altered\"");
    assert!(line.contains("\"schema\":\"portcullis.watch/1\""), "{line}");
    assert!(line.contains("\"program\":\"nft\""), "{line}");
    nft(
        &plant,
        &format!("delete element inet portcullis ports_{change} {{ 54321 }}"),
    );
    watch.tells("\"what\":\"removed\"");
    watch.ends(1);
}

#[test]
fn what_portcullis_and_the_kernel_do_themselves_and_other_people_s_tables_are_no_tampering() {
    let plant = Plant::up();
    let change = confirmed(&plant);
    let watch = Watch::begin(&plant, &["--for", "20s"], 1);
    nft(
        &plant,
        "add table ip other; add chain ip other forward; add rule ip other forward tcp dport 54321 drop",
    );
    nft(&plant, "flush table ip other; delete table ip other");
    plant.portcullis(GATEWAY, &["rollback", &change]).with(0);
    watch.tells(&format!("change {change} tcp/54321 rolled back"));
    let trial = plant.apply(&plant.plan(&["--port", "54321"]), "5s");
    watch.tells(&format!("change {trial} tcp/54321 on trial"));
    let line = watch.tells(&format!(
        "change {trial} tcp/54321 fell back: it was not confirmed in time"
    ));
    assert!(!line.contains("; by"), "{line}");
    watch.ends(0);
}

#[test]
fn a_trial_that_somebody_ends_is_told_and_never_put_back() {
    let plant = Plant::up();
    let trial = plant.apply(&plant.plan(&["--port", "54321"]), "60s");
    let watch = Watch::begin(&plant, &["--reapply", "--for", "6s"], 1);
    nft(&plant, "flush ruleset");
    watch.tells(&format!("change {trial} tcp/54321 not in force"));
    watch.ends(1);
    assert!(is_open(&plant));
}

#[test]
fn what_was_confirmed_is_put_back_three_times_and_then_left_alone() {
    let plant = Plant::up();
    let change = confirmed(&plant);
    let before = plant.ruleset(GATEWAY);
    let watch = Watch::begin(&plant, &["--reapply", "--for", "40s"], 1);
    // As a restart of nftables.service does: flushed, and loaded anew without our table.
    let foreign: String = before.split("table inet portcullis").next().unwrap().to_owned();
    let file = plant.folder().join("nftables.conf");
    std::fs::write(&file, format!("flush ruleset\n{foreign}")).unwrap();
    nft(&plant, &format!("include \"{}\"", file.display()));
    watch.tells("not in force");
    watch.tells("applied again");
    assert!(!is_open(&plant), "it was said to be in force again");
    assert!(plant.answers("engineering", GATEWAY_ADDRESS, 54321));
    let held: Vec<_> = plant.ruleset(GATEWAY).lines().map(str::to_owned).collect();
    assert_eq!(held.len(), before.lines().count(), "{held:#?}");
    // What was altered in it, not only what was removed.
    nft(&plant, &format!("flush chain inet portcullis change_{change}"));
    watch.tells("not in force: somebody changed its rules");
    watch.tells("applied again");
    assert!(!is_open(&plant));
    nft(&plant, "delete table inet portcullis");
    watch.tells("not in force");
    watch.tells("applied again");
    assert!(!is_open(&plant));
    let listed = plant.portcullis(GATEWAY, &["changes"]).with(0);
    assert!(listed.stdout.contains("confirmed"), "{}", listed.stdout);
    nft(&plant, "delete table inet portcullis");
    watch.tells("not in force");
    let line = watch.tells("given up: it was put back 3 times within 10 minutes");
    assert!(line.contains("by nft"), "{line}");
    assert!(is_open(&plant));
    plant.portcullis(GATEWAY, &["rollback", &change]).with(0);
    watch.tells("rolled back");
}

#[test]
fn nothing_is_put_back_that_would_cut_what_must_be_kept_and_the_policy_can_stand_in_the_site() {
    let plant = Plant::up();
    let change = confirmed(&plant);
    let other = plant.apply(&plant.plan(&["--port", "44818", "--preventive"]), "60s");
    plant.portcullis(GATEWAY, &["confirm", &other]).with(0);
    let site = std::fs::read_to_string(plant.folder().join("site.toml")).unwrap();
    let stricter = plant.folder().join("stricter.toml");
    let kept = "connections = [\"engineering -> control tcp/54321\"";
    assert!(site.contains(kept), "{site}");
    let more = format!("{kept}, \"10.7.30.5 -> 10.7.10.10 tcp/54321\"");
    let policy = "[watch]\nreapply = true\n";
    std::fs::write(&stricter, format!("{}\n{policy}", site.replace(kept, &more))).unwrap();
    let options = ["--config", &stricter.to_string_lossy(), "--for", "9s"];
    let watch = Watch::begin(&plant, &options, 2);
    nft(&plant, "flush ruleset");
    watch.tells("not in force");
    watch.tells("not in force");
    let mut told = [watch.tells("applied again"), watch.tells("applied again")];
    told.sort_by_key(|line| line.contains(&other));
    assert!(
        told[0].contains(&change)
            && told[0].contains("not applied again: this would cut a connection that must be kept"),
        "{told:?}"
    );
    assert!(
        told[1].contains(&format!("change {other} tcp/44818 applied again")),
        "{told:?}"
    );
    assert!(is_open(&plant));
    watch.ends(1);
}

#[test]
fn two_changes_in_one_table_are_put_back_side_by_side() {
    let plant = Plant::up();
    let change = confirmed(&plant);
    let other = plant.apply(&plant.plan(&["--port", "44818", "--preventive"]), "60s");
    plant.portcullis(GATEWAY, &["confirm", &other]).with(0);
    let before = plant.ruleset(GATEWAY);
    let watch = Watch::begin(&plant, &["--reapply", "--for", "20s"], 2);
    nft(&plant, &format!("flush chain inet portcullis change_{change}"));
    watch.tells(&format!("change {change} tcp/54321 not in force"));
    watch.tells(&format!("change {change} tcp/54321 applied again"));
    assert!(!is_open(&plant));
    nft(&plant, "flush ruleset");
    for _ in 0..2 {
        watch.tells("not in force");
    }
    for _ in 0..2 {
        watch.tells("applied again: the kernel holds");
    }
    let ours = |ruleset: &str| ruleset.matches(" counter ").count() + ruleset.matches("jump change_").count();
    assert_eq!(
        ours(&plant.ruleset(GATEWAY)),
        ours(&before) - others_counters(&before)
    );
    assert!(!is_open(&plant));
}

/// Counters of the rules that were flushed and are not ours to put back.
fn others_counters(ruleset: &str) -> usize {
    let others = ruleset.split("table inet portcullis").next().unwrap_or_default();
    others.matches(" counter ").count()
}

#[test]
fn ctrl_c_ends_it_cleanly_and_it_holds_no_lock_meanwhile() {
    let plant = Plant::up();
    let mut watch = Watch::begin(&plant, &[], 0);
    eventually("the watch has looked and holds no lock", PATIENCE, || {
        let unlocked = "! grep -q portcullis/firewall /proc/net/unix";
        plant.shell(GATEWAY, &of_the_watch("true")).code == 0 && plant.shell(GATEWAY, unlocked).code == 0
    });
    let trial = plant.apply(&plant.plan(&["--port", "54321"]), "60s");
    watch.tells(&format!("change {trial} tcp/54321 on trial"));
    plant.portcullis(GATEWAY, &["confirm", &trial]).with(0);
    watch.tells(&format!("change {trial} tcp/54321 confirmed"));
    plant.shell(GATEWAY, &of_the_watch("kill -INT")).with(0);
    assert_eq!(watch.child.wait().unwrap().code(), Some(0));
}

/// Does something with the id of the `watch` on the gateway; fails when there is none.
fn of_the_watch(deed: &str) -> String {
    format!(
        "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline 2>/dev/null | grep -q '^[^ ]*portcullis watch' \
         && {deed} ${{p#/proc/}} && exit 0; done; exit 1"
    )
}

#[test]
fn without_the_right_to_follow_the_ruleset_it_says_so() {
    let plant = Plant::up();
    let drop = ["--bounding-set=-all", "--inh-caps=-all", PROGRAM, "watch"];
    let refused = Ended::of(&mut plant.command(GATEWAY, "setpriv", &drop)).refused(5, "SY011");
    assert!(refused.stderr.contains("CAP_NET_ADMIN"), "{}", refused.stderr);
}

#[test]
fn a_confirmed_change_that_is_given_a_time_limit_is_altered_and_put_back() {
    let plant = Plant::up();
    let change = confirmed(&plant);
    let watch = Watch::begin(&plant, &["--for", "12s", "--reapply"], 1);
    nft(
        &plant,
        &format!(
            "delete element inet portcullis ports_{change} {{ 54321 }}; add element inet portcullis ports_{change} {{ 54321 \
             timeout 5s }}"
        ),
    );
    let line = watch.tells("not in force");
    assert!(line.contains("by nft (process "), "{line}");
    watch.tells("applied again");
    let listed = plant.portcullis(GATEWAY, &["changes"]).with(0);
    assert!(listed.stdout.contains("confirmed"), "{}", listed.stdout);
    watch.ends(1);
    assert!(!is_open(&plant));
}

#[test]
fn what_is_left_of_a_change_in_iptables_goes_before_it_is_put_back() {
    for (backend, tool) in [
        ("iptables-nft", "iptables-nft"),
        ("iptables-legacy", "iptables-legacy"),
    ] {
        let plant = Plant::up();
        let plan = plant.plan(&["--port", "54321", "--backend", backend]);
        let change = plant.apply(&plan, "60s");
        plant.portcullis(GATEWAY, &["confirm", &change]).with(0);
        let whole = crate::backends::rules(&plant);
        let watch = Watch::begin(&plant, &["--for", "60s", "--reapply"], 1);
        let flush = format!("PATH=$PATH:/usr/sbin:/sbin {tool} -t mangle -F");
        plant.shell(GATEWAY, &flush).with(0);
        // It looks at iptables every 30 seconds.
        eventually("it is put back", Duration::from_secs(50), || {
            crate::backends::rules(&plant) == whole
        });
        drop(watch);
        plant.portcullis(GATEWAY, &["rollback", &change]).with(0);
    }
}
