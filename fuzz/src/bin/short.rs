//! Runs every target for some seconds over its seeds and over what mutation makes of them. The same seeds give the same
//! inputs in the same order. Fails when a target panicked or took long, with the input in `artifacts`.
//!
//! `fuzz-short SECONDS [TARGET…]`, in the folder `fuzz`; SECONDS for each target.

use std::{
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use portcullis_fuzz::{TARGETS, Target};

/// Inputs are mostly short: what is longer than a few packets or lines teaches nothing more.
const LONGEST: usize = 8192;
/// For one input, on a busy machine and without optimisation.
const SLOW: Duration = Duration::from_secs(5);

fn main() -> io::Result<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1.0);
    let patience = Duration::from_secs_f64(seconds);
    let named: Vec<String> = arguments.collect();
    let mut failed = false;
    for (name, target) in TARGETS {
        if !named.is_empty() && !named.iter().any(|one| one == name) {
            continue;
        }
        let seeds = seeds(name)?;
        if seeds.is_empty() {
            eprintln!("fuzz-short: {name} has no seeds");
            failed = true;
        }
        failed |= !run(&Path::new("artifacts").join(name), name, target, &seeds, patience)?;
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The seeds of a target: its own, and samples that lie beside the parser.
fn seeds(name: &str) -> io::Result<Vec<Vec<u8>>> {
    let mut folders = vec![
        PathBuf::from("seeds").join(name),
        PathBuf::from("regressions").join(name),
    ];
    if name == "import" {
        folders.push("../crates/scan/src/import/samples".into());
    }
    let mut files = Vec::new();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        for entry in fs::read_dir(folder)? {
            files.push(entry?.path());
        }
    }
    // The order of a folder is not always the same.
    files.sort();
    files.iter().map(fs::read).collect()
}

/// Whether the target stood everything.
fn run(folder: &Path, name: &str, target: Target, seeds: &[Vec<u8>], patience: Duration) -> io::Result<bool> {
    let begin = Instant::now();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut inputs = 0_u64;
    for seed in seeds {
        if !stands(folder, name, target, seed)? {
            return Ok(false);
        }
        inputs += 1;
    }
    while begin.elapsed() < patience && !seeds.is_empty() {
        let input = mutated(seeds, &mut dice);
        if !stands(folder, name, target, &input)? {
            return Ok(false);
        }
        inputs += 1;
    }
    println!("{name}: {inputs} inputs");
    Ok(true)
}

fn stands(folder: &Path, name: &str, target: Target, input: &[u8]) -> io::Result<bool> {
    let begin = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| target(input)));
    let why = match outcome {
        Err(_) => "panicked",
        Ok(()) if begin.elapsed() > SLOW => "took long",
        Ok(()) => return Ok(true),
    };
    fs::create_dir_all(folder)?;
    let file = folder.join(format!("{}-{:016x}", why.replace(' ', "-"), digest(input)));
    fs::write(&file, input)?;
    eprintln!("fuzz-short: {name} {why} at {}", file.display());
    Ok(false)
}

/// FNV-1a, for a file name.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// SplitMix64: the same numbers each time.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `most`, which is 0 only for nothing.
    fn below(&mut self, most: usize) -> usize {
        (self.next() % (most.max(1) as u64)) as usize
    }
}

/// A seed with one to eight changes.
fn mutated(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seeds[dice.below(seeds.len())].clone();
    for _ in 0..=dice.below(8) {
        change(&mut bytes, seeds, dice);
    }
    bytes.truncate(LONGEST);
    bytes
}

fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], dice: &mut Dice) {
    /// Ends of ranges, and what separates words.
    const TELLING: &[&[u8]] = &[
        b"\0",
        b"\xff",
        b"\x7f",
        b"\x80",
        b"\0\0",
        b"\xff\xff",
        b"\x7f\xff\xff\xff",
        b"\xff\xff\xff\xff",
        b"\n",
        b"\r\n",
        b"\"",
        b"'",
        b" ",
        b":",
        b"-",
        b"/",
        b"0",
        b"4294967296",
        b"18446744073709551616",
        b"-1",
        b"\xc3\xa9",
        b"\xed\xa0\x80",
        "\u{202e}".as_bytes(),
    ];
    let place = dice.below(bytes.len() + 1);
    let length = 1 + dice.below(16);
    let end = (place + length).min(bytes.len());
    match dice.below(8) {
        0 if place < bytes.len() => bytes[place] ^= 1 << dice.below(8),
        1 if place < bytes.len() => bytes[place] = dice.next() as u8,
        2 => drop(bytes.drain(place..end)),
        3 => {
            let again = bytes[place..end].repeat(1 + dice.below(40));
            bytes.splice(place..place, again);
        }
        4 => bytes.truncate(place),
        5 => {
            let telling = TELLING[dice.below(TELLING.len())];
            bytes.splice(place..place, telling.iter().copied());
        }
        6 => {
            let telling = TELLING[dice.below(TELLING.len())];
            let end = (place + telling.len()).min(bytes.len());
            bytes.splice(place..end, telling.iter().copied());
        }
        _ => {
            // The end of another seed.
            let other = &seeds[dice.below(seeds.len())];
            bytes.truncate(place);
            bytes.extend(&other[dice.below(other.len() + 1)..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails where a length is larger than what follows, which none of the seeds has.
    fn careless(data: &[u8]) {
        if let [b'L', length, rest @ ..] = data {
            let _ = &rest[..usize::from(*length)];
        }
    }

    #[test]
    fn a_careless_parser_is_found_and_its_input_is_kept() {
        let folder = std::env::temp_dir().join(format!("portcullis-fuzz-{}", std::process::id()));
        let seeds = [b"L\x02ab".to_vec(), b"L\0".to_vec()];
        let stood = run(&folder, "careless", careless, &seeds, Duration::from_secs(60)).unwrap();
        let kept: Vec<PathBuf> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(!stood && kept.len() == 1, "{kept:?}");
        let input = fs::read(&kept[0]).unwrap();
        assert!(catch_unwind(|| careless(&input)).is_err());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_same_seeds_give_the_same_inputs() {
        let seeds = seeds("listing").unwrap();
        let some = || {
            let mut dice = Dice(1);
            let inputs: Vec<_> = (0..200).map(|_| mutated(&seeds, &mut dice)).collect();
            inputs
        };
        assert_eq!(some(), some());
    }

    #[test]
    fn every_target_has_seeds_and_a_program_of_libfuzzer() {
        let manifest = fs::read_to_string("Cargo.toml").unwrap();
        for (name, _) in TARGETS {
            assert!(!seeds(name).unwrap().is_empty(), "{name}");
            let program = fs::read_to_string(format!("fuzz_targets/{name}.rs")).unwrap();
            assert!(program.contains(&format!("target(\"{name}\")")), "{name}");
            assert!(manifest.contains(&format!("fuzz_targets/{name}.rs")), "{name}");
        }
        assert_eq!(fs::read_dir("fuzz_targets").unwrap().count(), TARGETS.len());
    }
}
