#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| greenroom_fuzz::bodies(bytes));
