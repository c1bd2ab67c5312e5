use super::*;

fn log(dir: &tempfile::TempDir, bytes_max: u64) -> Log {
    Log::new(dir.path().join("log"), dir.path().join("log.1"), bytes_max)
}

fn texts(dir: &tempfile::TempDir, name: &str) -> Vec<String> {
    let text = fs::read_to_string(dir.path().join(name)).unwrap();
    text.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
}

#[test]
fn lines_are_put_together_from_pieces_and_by_stream() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(&dir, 1 << 20);
    let mut seen = Vec::new();
    log.feed(LogStream::Stdout, b"one\ntw", |l| seen.push(l.to_owned()));
    log.feed(LogStream::Stderr, b"bad \xff byte\r\n", |l| seen.push(l.to_owned()));
    log.feed(LogStream::Stdout, b"o\nlast", |l| seen.push(l.to_owned()));
    log.end(LogStream::Stdout, |l| seen.push(l.to_owned()));
    assert_eq!(seen, ["one", "bad \u{fffd} byte", "two", "last"]);
    assert_eq!(texts(&dir, "log"), ["o one", "e bad \u{fffd} byte", "o two", "o last"]);
    assert_eq!(log.last_lines(), seen);
}

#[test]
fn a_long_line_is_cut_and_the_next_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(&dir, 1 << 20);
    for _ in 0..10 {
        log.feed(LogStream::Stdout, &[b'x'; 4096], |_| {});
    }
    log.feed(LogStream::Stdout, b"\nnext\n", |_| {});
    let lines = texts(&dir, "log");
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0].len(), 2 + LINE_BYTES_MAX + CUT.len());
    assert!(lines[0].ends_with(CUT));
    assert_eq!(lines[1], "o next");
    assert_eq!(log.last_lines()[0].len(), LAST_LINE_BYTES_MAX);
}

#[test]
fn a_flood_takes_no_more_than_two_parts_and_the_newest_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(&dir, 10_000);
    for n in 0..2_000 {
        log.feed(LogStream::Stdout, format!("line {n}\n").as_bytes(), |_| {});
    }
    let size = |name| fs::metadata(dir.path().join(name)).unwrap().len();
    assert!(size("log") <= 10_000 && size("log.1") <= 10_000);
    assert_eq!(texts(&dir, "log").last().unwrap(), "o line 1999");
    let (old, new) = (texts(&dir, "log.1"), texts(&dir, "log"));
    let number = |line: &String| line.rsplit(' ').next().unwrap().parse::<u32>().unwrap();
    assert_eq!(number(old.last().unwrap()) + 1, number(&new[0]), "nothing is lost between the parts");
}

#[test]
fn a_full_disk_drops_lines_counts_them_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(&dir, 1 << 20);
    log.feed(LogStream::Stdout, b"before\n", |_| {});
    // Every write to it fails as on a full disk.
    log.file = Some(OpenOptions::new().write(true).open("/dev/full").unwrap());
    log.feed(LogStream::Stdout, b"lost 1\nlost 2\n", |_| {});
    log.feed(LogStream::Stdout, b"lost 3\n", |_| {});
    log.file = None;
    log.feed(LogStream::Stdout, b"after\n", |_| {});
    let lines = texts(&dir, "log");
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!((lines[0].as_str(), lines[2].as_str()), ("o before", "o after"));
    assert!(lines[1].starts_with("s 3 lines were not written: No space left"), "{}", lines[1]);
    assert_eq!(log.last_lines().len(), 5, "the record of the end has them all the same");
}
