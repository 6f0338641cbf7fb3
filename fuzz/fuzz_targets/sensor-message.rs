#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    portcullis_fuzz::target("sensor-message").expect("a target of this name")(data);
});
