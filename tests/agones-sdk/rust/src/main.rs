//! A game server with the published SDK: calls everything it has, and fails at the first answer that is
//! not what Agones promises.

use std::{error::Error, time::Duration};

use agones::Sdk;

type Outcome = Result<(), Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let mut sdk = Sdk::new(None, None).await?;
    let mut watch = sdk.watch_gameserver().await?;
    // Waits until the object that is watched is in this state.
    let mut seen = async |state: &str| -> Outcome {
        loop {
            let server = watch.message().await?.ok_or("the watch has ended")?;
            if server.status.ok_or("no status")?.state == state {
                return Ok(());
            }
        }
    };

    let health = sdk.health_check();
    health.send(()).await?;
    health.send(()).await?;
    sdk.ready().await?;
    seen("Ready").await?;
    sdk.allocate().await?;
    seen("Allocated").await?;
    sdk.ready().await?;
    seen("Ready").await?;
    sdk.reserve(Duration::from_secs(30)).await?;
    seen("Reserved").await?;
    sdk.set_label("map", "dust").await?;
    sdk.set_annotation("about", "two words").await?;
    let server = sdk.get_gameserver().await?;
    let meta = server.object_meta.ok_or("no metadata")?;
    assert_eq!(meta.labels["agones.dev/sdk-map"], "dust");
    assert_eq!(meta.annotations["agones.dev/sdk-about"], "two words");
    assert_eq!(server.status.ok_or("no status")?.state, "Reserved");

    let mut beta = sdk.beta().clone();
    assert_eq!(beta.get_counter_count("rooms").await?, 1);
    assert_eq!(beta.get_counter_capacity("rooms").await?, 10);
    beta.increment_counter("rooms", 3).await?;
    beta.decrement_counter("rooms", 1).await?;
    assert_eq!(beta.get_counter_count("rooms").await?, 3);
    beta.set_counter_capacity("rooms", 4).await?;
    beta.set_counter_count("rooms", 0).await?;
    assert_eq!(beta.get_counter_count("rooms").await?, 0);
    assert!(beta.increment_counter("rooms", 5).await.is_err());
    assert!(beta.get_counter_count("none").await.is_err());

    beta.append_list_value("maps", "p1").await?;
    assert!(beta.append_list_value("maps", "p1").await.is_err());
    assert_eq!(beta.get_list_values("maps").await?, ["p0", "p1"]);
    assert!(beta.list_contains("maps", "p1").await?);
    beta.set_list_capacity("maps", 2).await?;
    assert_eq!(beta.get_list_capacity("maps").await?, 2);
    assert!(beta.append_list_value("maps", "p2").await.is_err());
    beta.delete_list_value("maps", "p0").await?;
    assert!(beta.delete_list_value("maps", "p0").await.is_err());
    assert_eq!(beta.get_list_length("maps").await?, 1);

    let mut alpha = sdk.alpha().clone();
    alpha.set_player_capacity(1).await?;
    assert_eq!(alpha.get_player_capacity().await?, 1);
    assert!(alpha.player_connect("ann").await?);
    assert!(!alpha.player_connect("ann").await?);
    assert!(alpha.player_connect("bob").await.is_err());
    assert_eq!(alpha.get_player_count().await?, 1);
    assert!(alpha.is_player_connected("ann").await?);
    assert_eq!(alpha.get_connected_players().await?, ["ann"]);
    assert!(alpha.player_disconnect("ann").await?);

    sdk.shutdown().await?;
    seen("Shutdown").await?;
    println!("everything is as Agones promises");
    Ok(())
}
