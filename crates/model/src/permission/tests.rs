use proptest::prelude::*;

use super::*;
use crate::Site;

const TEXT: &str = r#"
[permission]
owner = "Kari Nordmann"
contact = "+47 555 01 234"
ranges = ["198.51.100.0/24"]
exclude = ["198.51.100.7"]
ports = ["tcp/54321"]
expires = "2026-12-31T18:00:00+01:00"
"#;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn it_permits_what_it_says_and_nothing_else() {
    let permission = Permission::parse("permission.toml", TEXT).unwrap();
    let now = "2026-12-31T16:59:59Z".parse().unwrap();
    let port = Port::tcp(54321);
    assert_eq!(permission.allows(ip("198.51.100.8"), port, now), Ok(()));
    assert!(matches!(
        permission.allows(ip("198.51.100.7"), port, now),
        Err(Denial::Address { .. })
    ));
    assert!(matches!(
        permission.allows(ip("198.51.101.1"), port, now),
        Err(Denial::Address { .. })
    ));
    assert!(matches!(
        permission.allows(ip("198.51.100.8"), Port::tcp(80), now),
        Err(Denial::Port { .. })
    ));
    let later = "2026-12-31T17:00:00Z".parse().unwrap();
    assert!(matches!(
        permission.allows(ip("198.51.100.8"), port, later),
        Err(Denial::Expired { .. })
    ));
}

#[test]
fn without_a_permission_only_declared_zones_that_are_not_public_may_be_scanned() {
    let now = Timestamp::UNIX_EPOCH;
    let port = Port::tcp(1);
    let site = Site::parse(
        "s",
        "[site]\nname='p'\n[[zone]]\nname='a'\nnetworks=['10.1.0.0/16']\n",
    )
    .unwrap();
    assert_eq!(may_scan(ip("10.1.0.9"), port, Some(&site), None, now), Ok(()));
    assert!(matches!(
        may_scan(ip("10.2.0.9"), port, Some(&site), None, now),
        Err(Denial::NoZone { .. })
    ));
    assert!(matches!(
        may_scan(ip("10.2.0.9"), port, None, None, now),
        Err(Denial::NoSite { .. })
    ));
    assert!(matches!(
        may_scan(ip("9.9.9.9"), port, Some(&site), None, now),
        Err(Denial::Public { .. })
    ));
    assert!(matches!(
        may_scan(ip("8.8.8.8"), port, None, None, now),
        Err(Denial::Public { .. })
    ));
    assert_eq!(may_scan(ip("127.0.0.1"), port, Some(&site), None, now), Ok(()));
}

#[test]
fn its_mistakes_are_told_together() {
    let error = Permission::parse(
        "p",
        "[permission]\nowner = \"\"\nranges = [\"x\"]\nexpires = \"soon\"\n",
    );
    assert_eq!(error.unwrap_err().problems.len(), 5);
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A permission with some more lines.
fn with(lines: &str) -> Permission {
    Permission::parse("permission.toml", &format!("{TEXT}{lines}")).unwrap()
}

#[test]
fn outside_its_hours_it_permits_nothing_and_names_the_next_opening_on_the_owner_s_clock() {
    let permission = with("when = [\"Mon-Fri 22:00-06:00\"]\ntimezone = \"Europe/Oslo\"\n");
    let ask = |now| permission.allows(ip("198.51.100.8"), Port::tcp(54321), at(now));
    assert_eq!(ask("2026-11-23T21:00:00Z"), Ok(()));
    assert_eq!(ask("2026-11-21T04:59:59Z"), Ok(()), "Saturday morning");
    let closed = ask("2026-11-21T05:00:00Z").unwrap_err();
    assert_eq!(
        closed.to_string(),
        "the permission of Kari Nordmann permits nothing at this hour; it opens again at Mon 2026-11-23 22:00 \
         Europe/Oslo"
    );
    let last = ask("2026-12-31T05:00:00Z").unwrap_err().to_string();
    assert!(
        last.ends_with("it does not open again before it expires"),
        "{last}"
    );
}

#[test]
fn before_its_start_it_permits_nothing() {
    let permission = with("starts = \"2026-12-01T00:00:00Z\"\n");
    let ask = |now| permission.open_at(at(now));
    assert!(matches!(ask("2026-11-30T23:59:59Z"), Err(Denial::NotYet { .. })));
    assert_eq!(ask("2026-12-01T00:00:00Z"), Ok(()));
}

#[test]
fn two_lists_of_hours_open_together_or_not_at_all() {
    let early = with("when = [\"daily 01:00-03:00\"]\ntimezone = \"UTC\"\n");
    let late = with("when = [\"Sun 02:00-04:00\"]\ntimezone = \"UTC\"\n");
    let both = early.and(&late);
    assert_eq!(
        both.next_opening(at("2026-11-23T12:00:00Z")),
        Some(at("2026-11-29T02:00:00Z"))
    );
    let never = both.and(&with("when = [\"Mon 05:00-06:00\"]\ntimezone = \"UTC\"\n"));
    assert_eq!(never.next_opening(at("2026-11-23T12:00:00Z")), None);
}

#[test]
fn ports_that_two_versions_do_not_share_are_no_ports_and_not_all() {
    let both = with("").and(&Permission {
        ports: Some([Port::tcp(502)].into()),
        ..with("")
    });
    let now = at("2026-12-01T00:00:00Z");
    for port in [Port::tcp(502), Port::tcp(54321), Port::tcp(1)] {
        assert!(both.allows(ip("198.51.100.8"), port, now).is_err(), "{port}");
    }
}

#[test]
fn a_withdrawn_permission_does_not_come_back() {
    let first = with("");
    let mut standing = Standing::new(first.clone());
    let now = at("2026-12-01T00:00:00Z");
    let ask = |standing: &Standing| standing.may_scan(ip("198.51.100.8"), Port::tcp(54321), now);
    assert_eq!(ask(&standing), Ok(()));
    standing.withdraw("the file is gone");
    assert!(!standing.tighten(&first));
    let denial = ask(&standing).unwrap_err();
    assert_eq!(denial.reason(), "the permission was withdrawn: the file is gone");
}

#[test]
fn what_was_tightened_says_so_and_a_smaller_rate_denies_nothing() {
    let mut standing = Standing::new(with(""));
    let now = at("2026-12-01T00:00:00Z");
    let (address, port) = (ip("198.51.100.8"), Port::tcp(54321));
    assert!(!standing.tighten(&with("")), "the same says nothing new");
    assert!(standing.tighten(&with("per_host = \"5/s\"\n")));
    assert_eq!(standing.permission().per_host, Some(5));
    assert_eq!(standing.may_scan(address, port, now), Ok(()));
    let mut narrower = with("");
    narrower.ranges = ["198.51.100.0/29".parse::<IpNet>().unwrap()]
        .into_iter()
        .collect();
    assert!(standing.tighten(&narrower));
    assert!(!standing.tighten(&with("")), "and it does not become wider again");
    let denial = standing.may_scan(address, port, now).unwrap_err();
    assert_eq!(
        denial.reason(),
        "not in the permission of Kari Nordmann, since it was tightened while the scan ran"
    );
}

#[test]
fn mistakes_in_rates_hours_signer_and_start_have_their_lines() {
    let text = format!(
        "{TEXT}rate = \"fast\"\nper_host = \"0/s\"\nwhen = [\"Someday 1-2\"]\nsigned_by = \"-x@y\"\nstarts = \
         \"2027-01-01T00:00:00Z\"\n"
    );
    let error = Permission::parse("p", &text).unwrap_err();
    let told: Vec<(usize, &str)> = error
        .problems
        .iter()
        .map(|problem| (problem.line, problem.what.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (
                9,
                "`rate`: `fast` is not a number of packets per second such as \"50/s\""
            ),
            (
                10,
                "`per_host`: `0/s` is not a number of packets per second such as \"50/s\""
            ),
            (11, "`when` needs a `timezone` such as \"Europe/Oslo\""),
            (
                11,
                "`when`: `Someday 1-2` is not a window such as \"Sun 02:00-04:00\" or \"Mon-Fri 22:00-06:00\""
            ),
            (
                12,
                "`signed_by`: `-x@y` is not a signer such as \"kari@nordfjord.example\""
            ),
            (13, "`starts` is not before `expires`: it permits nothing"),
        ]
    );
}

fn networks() -> impl Strategy<Value = NetworkSet> {
    let network = (0u8..16, 28u8..=32)
        .prop_map(|(host, length)| IpNet::new(IpAddr::from([10, 0, 0, host]), length).unwrap());
    prop::collection::vec(network, 0..4).prop_map(|all| all.into_iter().collect())
}

fn some_hours() -> impl Strategy<Value = Vec<Hours>> {
    let texts = [
        "daily 22:00-06:00",
        "Mon-Fri 08:00-16:00",
        "Sun 00:00-00:00",
        "Tue,Thu 12:00-13:30",
    ];
    let zone = prop::sample::select(vec!["UTC", "Europe/Oslo", "America/New_York"]);
    let hours = (zone, prop::sample::subsequence(texts.to_vec(), 1..4)).prop_map(|(zone, texts)| {
        let mut hours = Hours::new(TimeZone::get(zone).unwrap());
        texts.into_iter().for_each(|text| hours.add(text).unwrap());
        hours
    });
    prop::collection::vec(hours, 0..2)
}

/// Moments of some weeks from 2026-11-23 on.
fn moments() -> impl Strategy<Value = Timestamp> {
    (0i64..4 * 7 * 24 * 60).prop_map(|minute| Timestamp::from_second(1_795_392_000 + minute * 60).unwrap())
}

fn permissions() -> impl Strategy<Value = Permission> {
    let ports = prop::option::of(prop::collection::btree_set((1u16..5).prop_map(Port::tcp), 0..4));
    let rates = (prop::option::of(1u32..50), prop::option::of(1u32..50));
    let times = (some_hours(), prop::option::of(moments()), moments());
    (networks(), networks(), ports, rates, times).prop_map(
        |(ranges, exclude, ports, (rate, per_host), (hours, starts, expires))| Permission {
            owner: "Kari".into(),
            contact: "+47".into(),
            signed_by: None,
            ranges,
            exclude,
            ports,
            rate,
            per_host,
            per_subnet: None,
            hours,
            starts,
            expires,
        },
    )
}

proptest! {
    #[test]
    fn together_they_permit_what_both_permit(one in permissions(), other in permissions(), host in 0u8..16,
        port in 1u16..5, now in moments()) {
        let (address, port) = (IpAddr::from([10, 0, 0, host]), Port::tcp(port));
        let both = one.and(&other);
        let permits = |permission: &Permission| permission.allows(address, port, now).is_ok();
        prop_assert_eq!(permits(&both), permits(&one) && permits(&other));
        prop_assert_eq!(one.and(&one), one.clone());
        prop_assert_eq!(both.and(&other), both);
    }

    #[test]
    fn a_scan_never_gets_what_any_version_denies(first in permissions(),
        versions in prop::collection::vec(permissions(), 0..4), host in 0u8..16, port in 1u16..5,
        now in moments()) {
        let (address, port) = (IpAddr::from([10, 0, 0, host]), Port::tcp(port));
        let ask = |standing: &Standing| standing.may_scan(address, port, now).is_ok();
        let mut standing = Standing::new(first.clone());
        let mut permitted = ask(&standing);
        prop_assert!(!permitted || first.allows(address, port, now).is_ok());
        for version in &versions {
            let before = standing.clone();
            let narrower = standing.tighten(version);
            prop_assert_eq!(narrower, before != standing);
            let alone = Standing::new(version.clone());
            permitted = permitted && ask(&alone);
            prop_assert_eq!(ask(&standing), permitted);
        }
    }

    #[test]
    fn the_next_opening_is_open_and_nothing_is_open_before_it(permission in permissions(), now in moments()) {
        match permission.next_opening(now) {
            Some(opening) => {
                prop_assert_eq!(permission.open_at(opening), Ok(()));
                prop_assert!(opening >= now);
                if opening > now {
                    prop_assert!(permission.open_at(now).is_err());
                    let just_before = opening - jiff::SignedDuration::from_nanos(1);
                    prop_assert!(permission.open_at(just_before).is_err());
                }
            }
            None => prop_assert!(permission.open_at(now).is_err()),
        }
    }
}

#[test]
fn what_would_quietly_permit_more_than_it_says_is_a_mistake() {
    let text = "[permission]\nowner = \"K\"\ncontact = \"c\"\nranges = [\"10.7.10.10/24\"]\n\
                exclude = [\"10.7.10.14/28\"]\nports = []\nwhen = []\nexpires = \"2999-01-01T00:00:00Z\"\n";
    let error = Permission::parse("p", text).unwrap_err();
    let lines: Vec<usize> = error.problems.iter().map(|problem| problem.line).collect();
    // The first line is told because no range is left.
    assert_eq!(lines, [1, 4, 5, 6, 7], "{error}");
}
