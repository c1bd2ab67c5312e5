//! A backup under load is one moment; one that is not whole is refused; a failed one leaves nothing.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod s3;
mod upgrade;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use greenroom_backup::{
    BackupError, DATABASES, Header, NewFile, Pace, Packed, Packing, Ports, Progress, RESTORING, Source,
    Store, StoreConfig, put_back, restore, verify,
};
use greenroom_directory::{Change, Directory, DirectoryConfig, Expected, Key, Kind, Partition};
use greenroom_event_log::{EventLog, EventLogConfig, NewEntry, Sequence, StreamId, StreamLimits, Subject};
use greenroom_protocol::{GameId, Timestamp};
use greenroom_storage::{Storage, StorageConfig};
use greenroom_test_support::{SmallDisk, wait_for};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const KIND: Kind = Kind::kept("fact");
const WRITERS: u64 = 4;
const ROUNDS: usize = 20;
const INSTALLATION: &str = "00ff00ff00ff00ff";
/// How long anything may take that a test waits for.
const PATIENCE: Duration = Duration::from_mins(3);

async fn open(folder: &Path) -> Ports {
    let path = |name: &str| folder.join(name);
    Ports {
        directory: Directory::open(DirectoryConfig::Embedded { path: path(DATABASES[0]) }).await.unwrap(),
        event_log: EventLog::open(EventLogConfig::Embedded { path: path(DATABASES[1]) }).await.unwrap(),
        storage: Storage::open(StorageConfig::Embedded { path: path(DATABASES[2]) }).unwrap(),
    }
}

async fn close(ports: &Ports) {
    ports.directory.close().await;
    ports.event_log.close().await;
    ports.storage.close().await;
}

fn partition() -> Partition {
    Partition::game(&"game".parse::<GameId>().unwrap())
}

fn stream(writer: u64) -> StreamId {
    StreamId::new(format!("writer.{writer}")).unwrap()
}

/// Writes number `n` to all three, one after the other: what is in a later one is in those before.
async fn write(ports: &Ports, writer: u64, n: u64) {
    let text = format!("{writer}-{n}");
    let entry = NewEntry::new(Subject::new("fact").unwrap(), text.clone().repeat(20));
    let appended = ports.event_log.append(&stream(writer), vec![entry], Some(Sequence(n - 1))).await.unwrap();
    assert_eq!(appended[0].sequence, Sequence(n));
    let change = Change::put(KIND, &text, Expected::Absent, text.clone());
    ports.directory.commit(&partition(), vec![change]).await.unwrap();
    ports.storage.secrets().get_or_create(&text, text.as_bytes()).await.unwrap();
}

/// How many of each writer's are in the history, in the directory, in the records.
async fn counts(ports: &Ports) -> BTreeMap<u64, [u64; 3]> {
    let mut counts = BTreeMap::new();
    let documents = ports.directory.list(&partition(), KIND).await.unwrap();
    for writer in 0..WRITERS {
        let of_writer = format!("{writer}-");
        let documents = documents.iter().filter(|one| one.key.id.starts_with(&of_writer)).count() as u64;
        let last = ports.event_log.info(&stream(writer)).await.unwrap().last;
        // Written in order, and none comes without those before it.
        let mut records = last.0 + 2;
        while records > 0
            && ports.storage.secrets().get(&format!("{writer}-{records}")).await.unwrap().is_none()
        {
            records -= 1;
        }
        counts.insert(writer, [last.0, documents, records]);
    }
    counts
}

fn packing(source: Source) -> Packing {
    Packing {
        source,
        header: Header {
            program: "0.0.0".into(),
            installation: INSTALLATION.into(),
            taken_at: Timestamp::from_millis(1_795_199_999_123),
        },
        pace: Pace::default(),
        progress: Arc::new(Progress::default()),
        cancel: CancellationToken::new(),
    }
}

async fn pack(source: Source, path: &Path) -> Result<Packed, BackupError> {
    packing(source).on_thread(NewFile::create(path)?, NewFile::finish).await
}

/// A folder with three databases that nobody uses, and a backup of it.
async fn small_backup(folder: &Path) -> PathBuf {
    let data = folder.join("data");
    fs::create_dir(&data).unwrap();
    let ports = open(&data).await;
    ports.event_log.create_stream(&stream(0), StreamLimits::default()).await.unwrap();
    for n in 1..=3 {
        write(&ports, 0, n).await;
    }
    close(&ports).await;
    fs::write(data.join("installation"), INSTALLATION).unwrap();
    let mut source = Source::of_folder(&data).unwrap();
    source.add_file("installation", &data.join("installation")).unwrap();
    source.add_file("dev.json", &data.join("dev.json")).unwrap();
    let path = folder.join("one.backup");
    pack(source, &path).await.unwrap();
    path
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_under_load_is_one_moment_twenty_times() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let ports = open(&data).await;
    for writer in 0..WRITERS {
        ports.event_log.create_stream(&stream(writer), StreamLimits::default()).await.unwrap();
    }
    let written: Arc<Vec<AtomicU64>> = Arc::new((0..WRITERS).map(|_| AtomicU64::new(0)).collect());
    let number_of = |writer: u64| written[writer as usize].load(Ordering::Acquire);
    let all_written = || written.iter().map(|n| n.load(Ordering::Acquire)).sum::<u64>();
    let until_more = async |more: u64| {
        let enough = all_written() + more;
        assert!(wait_for(|| all_written() >= enough, PATIENCE).await, "nothing is written any more");
    };
    for round in 0..ROUNDS {
        let stop = Arc::new(AtomicBool::new(false));
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let (ports, written, stop) = (ports.clone(), Arc::clone(&written), Arc::clone(&stop));
            writers.spawn(async move {
                while !stop.load(Ordering::Acquire) {
                    let n = written[writer as usize].load(Ordering::Acquire) + 1;
                    write(&ports, writer, n).await;
                    written[writer as usize].store(n, Ordering::Release);
                }
            });
        }
        until_more(3).await;
        let before: Vec<_> = (0..WRITERS).map(number_of).collect();
        let source = next_source(&ports).await;
        // Whoever was in the midst of one at the moment has at most begun the next by now.
        let after: Vec<_> = (0..WRITERS).map(|writer| number_of(writer) + 1).collect();
        // More is written between the moment and the copy, and while it is copied.
        until_more(WRITERS + 2).await;
        let path = folder.path().join(format!("{round}.backup"));
        let packed = pack(source, &path).await.unwrap();
        stop.store(true, Ordering::Release);
        while let Some(ended) = writers.join_next().await {
            ended.unwrap();
        }
        assert_eq!(verify(&path).unwrap(), packed.manifest);
        let back = folder.path().join(format!("back-{round}"));
        restore(&path, &back).unwrap();
        let restored = open(&back).await;
        let counts = counts(&restored).await;
        for (writer, [history, documents, records]) in &counts {
            let (least, most) = (before[*writer as usize], after[*writer as usize]);
            let told =
                format!("round {round}, writer {writer}: {history} {documents} {records}, {least} to {most}");
            // Nothing acknowledged is missing, nothing from after is there, and none is ahead of what it follows.
            assert!(*records >= least && documents >= records && history >= documents, "{told}");
            assert!(*history <= records + 1 && *history <= most, "{told}");
        }
        if let Some((writer, [history, ..])) =
            counts.iter().find(|(_, [history, _, records])| history == records)
        {
            // It goes on where it was.
            write(&restored, *writer, history + 1).await;
        }
        close(&restored).await;
        fs::remove_dir_all(&back).unwrap();
        fs::remove_file(&path).unwrap();
    }
    close(&ports).await;
}

#[tokio::test]
async fn what_comes_back_is_what_was_there_for_this_user_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = small_backup(folder.path()).await;
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let back = folder.path().join("deep/back");
    let manifest = restore(&path, &back).unwrap();
    assert_eq!(manifest.header.installation, INSTALLATION);
    assert_eq!(fs::read_to_string(back.join("installation")).unwrap(), INSTALLATION);
    assert!(!back.join(RESTORING).exists());
    let mode = fs::metadata(back.join(DATABASES[2])).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let ports = open(&back).await;
    assert_eq!(counts_of_first(&ports).await, [3, 3, 3]);
    let key = Key::new(partition(), KIND, "0-2");
    assert_eq!(ports.directory.get(&key).await.unwrap().unwrap().value, "0-2");
    write(&ports, 0, 4).await;
    close(&ports).await;
    // An installation that has gone on is put back to where it was.
    put_back(&path, &back).unwrap();
    let ports = open(&back).await;
    assert_eq!(counts_of_first(&ports).await, [3, 3, 3]);
    close(&ports).await;
}

async fn counts_of_first(ports: &Ports) -> [u64; 3] {
    for writer in 1..WRITERS {
        ports.event_log.create_stream(&stream(writer), StreamLimits::default()).await.unwrap();
    }
    counts(ports).await[&0]
}

/// Where the frames begin, and the end.
fn frames(backup: &[u8]) -> Vec<usize> {
    let mut beginnings = vec![20];
    while let Some(at) = beginnings.last().copied().filter(|at| *at < backup.len()) {
        let length = u32::from_le_bytes(backup[at + 1..at + 5].try_into().unwrap());
        beginnings.push(at + 5 + length as usize);
    }
    beginnings
}

#[tokio::test]
async fn one_that_is_cut_short_or_altered_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(small_backup(folder.path()).await).unwrap();
    let path = folder.path().join("bad.backup");
    let back = folder.path().join("back");
    let refused = |bytes: &[u8], what: &str| {
        fs::write(&path, bytes).unwrap();
        let error = verify(&path).expect_err(what);
        assert!(matches!(error, BackupError::Damaged(_) | BackupError::TooNew { .. }), "{what}: {error}");
        error.to_string()
    };
    let beginnings = frames(&whole);
    assert!(beginnings.len() > 10);
    // Every length near a frame's beginning, and half of each.
    for (from, to) in beginnings.iter().zip(&beginnings[1..]) {
        for length in [from - 1, *from, from + 1, from + 4, from + 5, usize::midpoint(*from, *to), to - 1] {
            let sentence = refused(&whole[..length], &format!("cut to {length} bytes"));
            assert!(sentence.contains("cut short"), "{sentence}");
        }
        let places =
            [*from, from + 1, from + 2, from + 3, from + 4, from + 5, usize::midpoint(*from, *to), to - 1];
        for (number, place) in places.into_iter().enumerate() {
            let mut bytes = whole.clone();
            bytes[place] ^= 1 << (number % 8);
            refused(&bytes, &format!("bit {} of byte {place} turned", number % 8));
        }
    }
    for place in 0..20 {
        refused(&whole[..place], "the beginning cut short");
        let mut bytes = whole.clone();
        bytes[place] ^= 0x10;
        refused(&bytes, &format!("byte {place} altered"));
    }
    let longer = [whole.as_slice(), b"\n"].concat();
    assert!(refused(&longer, "longer").contains("behind its end"));
    // Of a bad one nothing is left in the folder, which is not made either.
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let error = restore(&path, &back).unwrap_err();
    assert_eq!(error.to_string(), "this is no good backup: it is cut short; take another one");
    assert!(!back.exists());
    fs::create_dir(&back).unwrap();
    restore(&path, &back).unwrap_err();
    assert!(is_empty(&back));
    // Of a newer form.
    let mut newer = whole;
    newer[16] = 2;
    let sentence = refused(&newer, "newer");
    assert!(sentence.contains("has format 2, made by Greenroom 0.0.0"), "{sentence}");
}

#[tokio::test]
async fn it_is_restored_into_an_empty_folder_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = small_backup(folder.path()).await;
    let back = folder.path().join("back");
    fs::create_dir(&back).unwrap();
    fs::write(back.join("notes.txt"), "mine").unwrap();
    let error = restore(&path, &back).unwrap_err();
    assert!(error.to_string().contains("is not empty; a backup is restored into an empty"), "{error}");
    assert_eq!(fs::read_dir(&back).unwrap().count(), 1);
    fs::remove_file(back.join("notes.txt")).unwrap();
    restore(&path, &back).unwrap();
    assert!(matches!(restore(&path, &back).unwrap_err(), BackupError::NotEmpty { .. }));
}

#[tokio::test]
async fn a_full_disk_keeps_nothing_of_it() {
    let Some(disk) = SmallDisk::mount(512, "a_full_disk_keeps_nothing_of_it") else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let ports = open(&data).await;
    ports.event_log.create_stream(&stream(0), StreamLimits::default()).await.unwrap();
    for n in 1..=40 {
        // Nothing that can be compressed: each is twice 16 KiB of numbers that grow.
        let noise: Vec<_> = (0..4_000)
            .map(|i: u64| format!("{:016x}", (n * 7_919 + i).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
            .collect();
        let entry = NewEntry::new(Subject::new("noise").unwrap(), noise.concat());
        ports.event_log.append(&stream(0), vec![entry], None).await.unwrap();
    }
    let store = Store::open(&StoreConfig::Folder(disk.path().join("kept")), INSTALLATION).unwrap();
    let error = store.keep(packing(Source::of_ports(&ports).await.unwrap())).await.unwrap_err();
    assert!(
        error.to_string().ends_with("is full; nothing of the backup was kept; free some space and try again"),
        "{error}"
    );
    assert!(is_empty(&disk.path().join("kept")));
    assert_eq!(store.list().await.unwrap(), []);
    // The databases go on, and so do backups.
    write(&ports, 0, 41).await;
    let store = Store::open(&StoreConfig::Folder(folder.path().join("kept")), INSTALLATION).unwrap();
    store.keep(packing(Source::of_ports(&ports).await.unwrap())).await.unwrap();
    assert_eq!(store.list().await.unwrap().len(), 1);
    close(&ports).await;
}

#[tokio::test]
async fn a_store_lists_its_own_and_cleans_up_after_the_killed() {
    let folder = tempfile::tempdir().unwrap();
    let path = small_backup(folder.path()).await;
    let kept = folder.path().join("kept");
    let store = Store::open(&StoreConfig::Folder(kept.clone()), INSTALLATION).unwrap();
    assert_eq!(store.list().await.unwrap(), []);
    fs::create_dir(&kept).unwrap();
    let (ours, other) = (
        kept.join(format!(".greenroom-{INSTALLATION}-20261120T183959000Z.backup.part")),
        kept.join(".greenroom-1111111111111111-20261120T183959000Z.backup.part"),
    );
    fs::write(&ours, "cut off").unwrap();
    fs::write(&other, "being written").unwrap();
    fs::copy(&path, kept.join("greenroom-1111111111111111-20261120T183959000Z.backup")).unwrap();
    let source = Source::of_folder(&folder.path().join("data")).unwrap();
    let packed = store.keep(packing(source)).await.unwrap();
    assert!(!ours.exists() && other.exists());
    let stored = store.list().await.unwrap();
    assert_eq!(stored.len(), 1);
    assert_eq!((stored[0].bytes, stored[0].taken_at), (packed.bytes, packed.manifest.header.taken_at));
    verify(&kept.join(&stored[0].name)).unwrap();
    store.remove(&stored[0].name).await.unwrap();
    assert_eq!(store.list().await.unwrap(), []);
}

/// A source as soon as the one before is let go of.
async fn next_source(ports: &Ports) -> Source {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match Source::of_ports(ports).await {
            Ok(source) => return source,
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn there_is_one_snapshot_at_a_time_and_its_end_lets_the_next_begin() {
    let folder = tempfile::tempdir().unwrap();
    let ports = open(folder.path()).await;
    let first = Source::of_ports(&ports).await.unwrap();
    let error = Source::of_ports(&ports).await.unwrap_err();
    assert!(error.to_string().contains("is being read already"), "{error}");
    // Nobody waits for what was refused.
    ports.storage.secrets().get_or_create("a", b"a").await.unwrap();
    drop(first);
    drop(next_source(&ports).await);
    // One that is cancelled leaves no file.
    let path = folder.path().join("cancelled.backup");
    let packing = packing(next_source(&ports).await);
    packing.cancel.cancel();
    let ended = packing.on_thread(NewFile::create(&path).unwrap(), NewFile::finish).await;
    assert!(matches!(ended, Err(BackupError::Cancelled)));
    assert!(
        fs::read_dir(folder.path())
            .unwrap()
            .all(|entry| { !entry.unwrap().file_name().to_string_lossy().contains("cancelled") })
    );
    // A closed port has no moment, and keeps nobody.
    ports.storage.close().await;
    let error = Source::of_ports(&ports).await.unwrap_err();
    assert!(matches!(error, BackupError::Snapshot(_)), "{error}");
    let change = Change::put(KIND, "b", Expected::Absent, "b");
    ports.directory.commit(&partition(), vec![change]).await.unwrap();
    close(&ports).await;
}
