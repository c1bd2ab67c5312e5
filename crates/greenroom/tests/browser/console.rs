//! The console by keyboard alone: an owner invites somebody, makes and revokes credentials, and follows the history;
//! and every page as it looks on a phone and a wide screen, in both themes.

use std::{fs, path::Path};

use anyhow::Context as _;
use greenroom_test_support::engines::require_engine;

use crate::{
    WALK_MAX,
    browser::{Driver, Page, Programs, Screen},
    greenroom::Greenroom,
    processes::Folder,
};

/// Every page that the navigation and the account lead to.
const PAGES: [&str; 15] = [
    "",
    "/servers",
    "/servers/start",
    "/browser",
    "/builds",
    "/hosts",
    "/lobbies",
    "/players",
    "/games",
    "/games/skirmish",
    "/events",
    "/keys",
    "/admins",
    "/audit",
    "/system",
];

#[tokio::test]
async fn the_console_by_keyboard_alone() -> anyhow::Result<()> {
    let name = "the_console_by_keyboard_alone";
    let programs = require_engine("Chromium with its chromedriver", Programs::find(), name);
    let Some(programs) = programs else { return Ok(()) };
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("console");
    fs::create_dir_all(&pictures)?;
    let folder = Folder::new()?;
    let greenroom = Greenroom::start(&folder, &pictures.join("greenroom.log"))?;
    let driver = Driver::start(programs, &folder, &pictures)?;
    let walked = tokio::time::timeout(WALK_MAX, walk(&greenroom, &driver)).await;
    walked.with_context(|| format!("not done after {WALK_MAX:?}"))??;
    drop(driver);
    let status = greenroom.stop().context("Greenroom stops when it is asked to")?;
    assert!(status.success(), "{status}");
    Ok(())
}

async fn walk(greenroom: &Greenroom, driver: &Driver<'_>) -> anyhow::Result<()> {
    let owner = driver.open("owner", Screen::Desktop).await?;
    owner.goto(&format!("{}/console", greenroom.url())).await?;
    owner.type_into("#password", greenroom.admin_token()).await?;
    owner.enter("button.primary").await?;
    owner.shows("document.querySelector('h1').innerText === 'Overview'").await?;

    let link = invite(&owner).await?;
    let guest = driver.open("guest", Screen::Phone).await?;
    join(&guest, &link).await?;
    keys(&owner).await?;
    events(greenroom, &owner).await?;
    tokens(&owner).await?;
    remove(&owner, &guest).await?;
    looks(greenroom, &owner).await?;

    let mut complaints = owner.complaints().await?;
    complaints.extend(guest.complaints().await?);
    assert_eq!(complaints, Vec::<String>::new(), "the browsers have nothing to complain about");
    owner.close().await?;
    guest.close().await
}

/// Makes an invitation; its link.
async fn invite(owner: &Page) -> anyhow::Result<String> {
    owner.enter("nav a[href='/console/admins']").await?;
    owner.enter("form[action='/console/admins/invite'] button").await?;
    owner.shows("document.querySelector('.notice.good code')").await?;
    owner.get("document.querySelector('.notice.good code').innerText").await
}

/// Accepts it, and is signed in.
async fn join(guest: &Page, link: &str) -> anyhow::Result<()> {
    guest.goto(link).await?;
    guest.type_into("#name", "Guest").await?;
    guest.type_into("#password", "correct horse").await?;
    guest.type_into("#again", "correct horse").await?;
    guest.enter("button.primary").await?;
    guest.shows("document.querySelector('h1').innerText === 'Overview'").await?;
    guest.enter("a.who").await?;
    guest.shows("document.querySelector('main').innerText.includes('operator')").await
}

/// Makes an API key and revokes it.
async fn keys(owner: &Page) -> anyhow::Result<()> {
    owner.enter("nav a[href='/console/keys']").await?;
    owner.type_into("input[name='name']", "of the browser").await?;
    owner.enter("form[action='/console/keys/create'] button.primary").await?;
    owner.shows("document.querySelector('.notice.good code')?.innerText.startsWith('gk_')").await?;
    // The newest key is the first row.
    owner.enter("tbody tr:first-child summary").await?;
    owner.enter("tbody tr:first-child form button").await?;
    owner.shows("document.querySelector('.notice.good')?.innerText.includes('revoked')").await
}

/// Looks for a subject and sees an event as it comes.
async fn events(greenroom: &Greenroom, owner: &Page) -> anyhow::Result<()> {
    owner.enter("nav a[href='/console/events']").await?;
    owner.type_into("input[name='subject']", "v1.skirmish.rooms.>").await?;
    owner.enter("form.filter button").await?;
    owner
        .shows(
            "location.search.includes('subject=v1.skirmish.rooms') && document.querySelector('.live .empty')",
        )
        .await?;
    greenroom.append("v1.skirmish.rooms.blue.events.opened").await?;
    owner.shows("document.querySelector('.live table')?.innerText.includes('rooms.blue')").await
}

/// Makes a personal token and revokes it.
async fn tokens(owner: &Page) -> anyhow::Result<()> {
    owner.enter("a.who").await?;
    owner.type_into("input[name='name']", "laptop").await?;
    owner.enter("form[action='/console/account/tokens'] button").await?;
    owner.shows("document.querySelector('.notice.good code')?.innerText.startsWith('gt_')").await?;
    owner.enter("form[action$='/revoke'] button").await?;
    owner.shows("document.querySelector('.notice.good')?.innerText.includes('revoked')").await
}

/// Removes the guest, who is out at once.
async fn remove(owner: &Page, guest: &Page) -> anyhow::Result<()> {
    owner.enter("nav a[href='/console/admins']").await?;
    owner.enter("tbody a[href^='/console/admins/']").await?;
    owner.enter("details.confirm summary").await?;
    owner.enter("form[action$='/remove'] button").await?;
    owner.shows("document.querySelector('.notice.good')?.innerText.includes('removed')").await?;
    guest.reload().await?;
    guest.shows("location.pathname === '/console/sign-in'").await
}

/// No page is wider than the screen, in either theme.
async fn looks(greenroom: &Greenroom, owner: &Page) -> anyhow::Result<()> {
    for (width, scheme) in [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")] {
        owner.look(width, scheme).await?;
        for page in PAGES.into_iter().chain(["/account"]) {
            owner.goto(&format!("{}/console{page}", greenroom.url())).await?;
            owner.shows("document.querySelector('h1')").await?;
            let is_within: bool = owner
                .get("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
                .await?;
            let name = if page.is_empty() { "overview".to_owned() } else { page[1..].replace('/', "-") };
            owner.picture(&format!("{name}-{width}-{scheme}")).await?;
            assert!(is_within, "/console{page} is wider than a screen of {width} px");
        }
    }
    Ok(())
}
