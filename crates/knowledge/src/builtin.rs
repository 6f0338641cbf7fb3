//! The data files that are compiled in. A test holds this list against the folder.

/// Name and text of each file of `knowledge/services`.
pub(crate) const FILES: [(&str, &str); 6] = [
    ("http.toml", include_str!("../../../knowledge/services/http.toml")),
    (
        "modbus-tcp.toml",
        include_str!("../../../knowledge/services/modbus-tcp.toml"),
    ),
    (
        "moxa-dsci.toml",
        include_str!("../../../knowledge/services/moxa-dsci.toml"),
    ),
    (
        "moxa-mdm-gateway.toml",
        include_str!("../../../knowledge/services/moxa-mdm-gateway.toml"),
    ),
    ("ssh.toml", include_str!("../../../knowledge/services/ssh.toml")),
    ("tls.toml", include_str!("../../../knowledge/services/tls.toml")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_compiled_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../knowledge/services");
        let mut found: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        found.sort();
        assert_eq!(found, FILES.map(|(name, _)| name));
    }
}
