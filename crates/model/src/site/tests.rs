use super::*;
use crate::{Detection, DetectionKind};

const PLANT: &str = r#"
[site]
name = "plant-7"
timezone = "Europe/Oslo"
[[zone]]
name = "control"
networks = ["10.7.10.0/24", "2001:db8:7:10::/64"]
[[zone]]
name = "engineering"
networks = ["10.7.20.0/24"]
[[zone]]
name = "internet"
networks = ["any"]
[[conduit]]
from = "engineering"
to = "control"
services = ["moxa-mdm-gateway"]
[[service]]
name = "moxa-mdm-gateway"
also_on = ["tcp/5000"]
[[window]]
name = "sunday-night"
when = "Sun 02:00-04:00"
[keep]
connections = ["10.7.20.5 -> control tcp/22", "control -> 10.7.30.9 udp/123"]
"#;

fn gateway() -> ServiceName {
    ServiceName::new("moxa-mdm-gateway").unwrap()
}

#[test]
fn the_plant_of_the_manual_is_read_whole() {
    let site = Site::parse("site.toml", PLANT).unwrap();
    assert_eq!(
        site.zone_of("2001:db8:7:10::4".parse().unwrap()).unwrap().name,
        "control"
    );
    assert_eq!(
        site.zone_of("::ffff:10.7.20.9".parse().unwrap()).unwrap().name,
        "engineering"
    );
    assert_eq!(site.zone_of("8.8.8.8".parse().unwrap()).unwrap().name, "internet");
    assert!(!site.declares("8.8.8.8".parse().unwrap()));
    assert!(site.permits("engineering", "control", &gateway()));
    assert!(site.permits("control", "control", &gateway()));
    assert!(!site.permits("internet", "control", &gateway()));
    assert_eq!(
        site.extra_ports(&gateway()).collect::<Vec<_>>(),
        [Port::tcp(5000)]
    );
    assert_eq!(site.keep.len(), 2);
    assert_eq!(site.windows.len(), 1);
}

#[test]
fn every_mistake_is_reported_at_once_with_its_line() {
    let text = r#"[site]
name = "p"
timezon = "Europe/Oslo"
[[zone]]
name = "control"
networks = ["10.7.10.0/24", "10.7.10.0/33"]
[[zone]]
name = "office"
networks = ["10.7.10.128/25", "10.7.30.1/24"]
[[conduit]]
from = "ofice"
to = "control"
services = ["moxa-mdm-gatway"]
[[window]]
name = "w"
when = "Sun 26:00-04:00"
[keep]
connections = ["control tcp/22"]
"#;
    let known = BTreeSet::from([gateway()]);
    let error = Site::parse_knowing("site.toml", text, &known).unwrap_err();
    let shown: Vec<String> = error
        .problems
        .iter()
        .map(|problem| format!("{}: {}", problem.line, problem.what))
        .collect();
    assert_eq!(
        shown,
        [
            "3: unknown key `timezon` in site; did you mean `timezone`?",
            "6: `10.7.10.0/33` is not a network such as 10.7.10.0/24",
            "7: 10.7.10.128/25 of zone `office` overlaps 10.7.10.0/24 of zone `control`",
            "9: `10.7.30.1/24` has bits set behind its prefix: did you mean `10.7.30.0/24`?",
            "11: no zone is called `ofice`; did you mean `office`?",
            "13: no service is called `moxa-mdm-gatway`; did you mean `moxa-mdm-gateway`?",
            "16: `Sun 26:00-04:00` is not a window such as \"Sun 02:00-04:00\" or \"Mon-Fri 22:00-06:00\"",
            "18: `connections`: `control tcp/22` is not a connection such as \"10.7.20.5 -> control tcp/22\"",
        ]
    );
}

#[test]
fn broken_toml_is_reported_beside_the_other_mistakes() {
    let error = Site::parse(
        "site.toml",
        "[site]\nname = \"p\"\n[[zone]]\nname = \nnetworks = 7\n",
    )
    .unwrap_err();
    let lines: Vec<usize> = error.problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [3, 4, 5], "{error}");
}

#[test]
fn a_zone_may_repeat_its_own_networks_but_two_zones_may_not_take_the_rest() {
    let text = "[site]\nname='p'\n[[zone]]\nname='a'\nnetworks=['10.0.0.0/8','10.1.0.0/16']\n\
                [[zone]]\nname='b'\nnetworks=['any']\n[[zone]]\nname='c'\nnetworks=['any']\n";
    let error = Site::parse("site.toml", text).unwrap_err();
    assert_eq!(error.problems.len(), 1);
    assert_eq!(error.problems[0].line, 9);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}|(\\[\\[?(site|zone|window|keep)\\]\\]?\\n|[a-z]+ ?= ?[\"\\[0-9a-z./\\]]*\\n){0,12}") {
        let _ = Site::parse("x", &text);
    }
}

#[test]
fn changes_are_put_back_only_where_the_site_says_so() {
    let site = Site::parse("site.toml", PLANT).unwrap();
    assert!(!site.watch.reapply);
    assert_eq!(site.approval, None);
    let text = format!("{PLANT}[approval]\nsigners = \"approvers\"\n");
    let approval = Site::parse("site.toml", &text).unwrap().approval.unwrap();
    assert_eq!(approval.signers, std::path::Path::new("approvers"));
    let nobody = format!("{PLANT}[approval]\n");
    assert!(Site::parse("site.toml", &nobody).is_err());
    let text = format!("{PLANT}[watch]\nreapply = true\n");
    assert!(Site::parse("site.toml", &text).unwrap().watch.reapply);
    let wrong = format!("{PLANT}[watch]\nreapply = \"yes\"\nreaply = true\n");
    let error = Site::parse("site.toml", &wrong).unwrap_err().to_string();
    for mistake in ["`reapply` must be true or false", "did you mean `reapply`?"] {
        assert!(error.contains(mistake), "{error}");
    }
}

#[test]
fn a_detection_is_tuned_and_the_others_stay_as_usual() {
    let text = format!(
        "{PLANT}[[detection]]\nname = \"port-sweep\"\ncount = 40\nwithin = \"5m\"\nignore = [\"10.7.20.9/32\"]\nremember = 1_000\n\
         [[detection]]\nname = \"silence\"\noff = true\n\
         [[detection]]\nname = \"password-guessing\"\nshorter_than = \"3s\"\n"
    );
    let detections = Site::parse("site.toml", &text).unwrap().detections;
    let of = |kind| detections.all().iter().find(|found| found.kind == kind).unwrap();
    let sweep = of(DetectionKind::PortSweep);
    assert_eq!(
        (sweep.count, sweep.within.as_secs(), sweep.remember),
        (40, 300, 1000)
    );
    assert!(sweep.ignore.contains("10.7.20.9".parse().unwrap()));
    assert!(of(DetectionKind::Silence).off);
    assert_eq!(of(DetectionKind::PasswordGuessing).shorter_than.as_secs(), 3);
    assert_eq!(
        *of(DetectionKind::HostSweep),
        Detection::usual(DetectionKind::HostSweep)
    );
}

#[test]
fn mistakes_in_detections_have_their_lines() {
    let text = r#"[site]
name = "p"
[[detection]]
name = "port-swep"
[[detection]]
name = "host-sweep"
count = 0
within = "1 week"
shorter_than = "1s"
ignore = ["10.7.20.9"]
[[detection]]
name = "host-sweep"
remember = "many"
limit = 3
[[detection]]
count = 1
[[detection]]
name = "intrusion"
"#;
    let error = Site::parse("site.toml", text).unwrap_err();
    let shown: Vec<String> = error
        .problems
        .iter()
        .map(|problem| format!("{}: {}", problem.line, problem.what))
        .collect();
    assert_eq!(
        shown,
        [
            "4: no detection is called `port-swep`; did you mean `port-sweep`?",
            "7: `count` must be a whole number from 1 to 10000, without quotes",
            "8: `within`: `1 week` is not a time such as 90s, 5m, 2h or 7d, of at least 1s and at most 92d",
            "9: `shorter_than` means nothing to `host-sweep`",
            "10: `10.7.20.9` is one address, not a network: write `10.7.20.9/32` or `10.7.20.9/128`",
            "11: there are two detections called `host-sweep`",
            "13: `remember` must be a whole number from 1 to 1000000, without quotes",
            "14: unknown key `limit` in detection",
            "15: detection has no `name`",
            "18: no detection is called `intrusion`; there are closed-port, success-after-failures, password-guessing, \
             slow-guessing, port-sweep, host-sweep, first-source, silence, rate-limit",
        ]
    );
}

#[test]
fn the_site_vouches_for_the_verdict_of_its_own_log_rules() {
    let text = format!(
        "{PLANT}[[log_prefix]]\nbegins = \"FW-DROP \"\nverdict = \"blocked\"\n\
         [[log_prefix]]\nbegins = \"FW-\"\nverdict = \"allowed\"\n"
    );
    let declared = Site::parse("site.toml", &text).unwrap().log_prefixes;
    let declared: Vec<_> = declared
        .iter()
        .map(|prefix| (prefix.begins.as_str(), prefix.verdict))
        .collect();
    assert_eq!(
        declared,
        [("FW-DROP", Verdict::Blocked), ("FW-", Verdict::Allowed)]
    );
    assert_eq!(Site::parse("site.toml", PLANT).unwrap().log_prefixes, []);
}

#[test]
fn mistakes_in_log_prefixes_have_their_lines() {
    let long = "x".repeat(128);
    let text = format!(
        "[site]\nname = \"p\"\n[[log_prefix]]\nbegins = \"A\"\nverdict = \"drop\"\n[[log_prefix]]\nverdict = \"blocked\"\n\
         [[log_prefix]]\nbegins = \" \"\nverdict = 1\n[[log_prefix]]\nbegins = \" A \"\nverdict = \"blocked\"\nprefx = \"B\"\n\
         [[log_prefix]]\nbegins = \"{long}\"\n"
    );
    let error = Site::parse("site.toml", &text).unwrap_err();
    let shown: Vec<String> = error
        .problems
        .iter()
        .map(|problem| format!("{}: {}", problem.line, problem.what))
        .collect();
    assert_eq!(
        shown,
        [
            "5: `drop` is not a verdict: write blocked, allowed or unknown",
            "6: log_prefix has no `begins`",
            "9: `begins` is empty",
            "10: `verdict` must be a text in quotes",
            "12: there are two log prefixes that begin with `A`",
            "14: unknown key `prefx` in log_prefix",
            "15: log_prefix has no `verdict`",
            "16: `begins` is longer than 127 bytes, and no rule's prefix is",
        ]
    );
}
