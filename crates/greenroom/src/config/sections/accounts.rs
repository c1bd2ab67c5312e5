//! Settings of mail, and of how players sign in to a game.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::super::{reader::section_of, value::MailEncryption};

section_of! {
    /// The mail server that mails to players are given to. Without one nothing is sent: for whoever develops a
    /// game, the console shows at `/console/mail` what would have been.
    Mail {
        /// Its name, such as "smtp.example.org". Unset: there is none.
        server: Option<String> = none;
        /// Its port. Unset: 465 with `encryption = "tls"`, 587 with "starttls", 25 with "none".
        port: Option<u16> = none;
        /// How the connection is encrypted: "tls" from its begin, "starttls" on demand, without which nothing is
        /// sent, or "none", for a server on this machine.
        encryption: MailEncryption = "tls";
        /// Whom mails are from, such as "Chess <chess@example.org>".
        from: String = "Greenroom <greenroom@localhost>";
        /// The name that it knows us by. Unset: it takes mails from whoever reaches it.
        username: Option<String> = none;
        /// A folder of texts that take the place of ours: confirm.txt, known.txt, link.txt, reset.txt and
        /// changed.txt, those that are there. Each begins with the line "Subject: …" and an empty line, and can
        /// name `{{ game }}`, `{{ username }}`, `{{ link }}` and `{{ hours }}`.
        texts: Option<PathBuf> = none;
        /// How long it is tried to send a mail that the server does not take, before it is given up.
        give_up_after: Duration = "1d";
    }
    secrets {
        /// The password that goes with `username`.
        password;
    }
}

section_of! {
    /// How players sign in to the game, beside by a name alone.
    SignIn {
        /// Where browsers may come back to from the pages of Discord and of OpenID providers, such as
        /// `"https://game.example.org/signed-in"`. Of `"http://127.0.0.1/…"` and `"http://[::1]/…"` every port is meant,
        /// for programs that listen on the player's machine.
        redirects: Vec<String> = [];
    }
    below {
        email: Option<EmailSignIn>;
        discord: Option<DiscordSignIn>;
        steam: Option<SteamSignIn>;
        openid: BTreeMap<String, OpenIdSignIn>;
    }
}

section_of! {
    /// Through Discord's pages, and by tokens of this application alone. Discord has to know the redirect
    /// `PUBLIC_URL/v1/games/GAME/auth/providers/discord/callback`.
    DiscordSignIn {
        /// The application's id.
        application_id: String = required;
    }
    secrets {
        /// Its client secret. Unset: it is a public client.
        client_secret;
    }
}

section_of! {
    /// By the session tickets that Steam gives the game.
    SteamSignIn {
        /// The game's number at Steam.
        app_id: u32 = required;
        /// What the game gives `GetAuthTicketForWebApi`. Unset: nothing is compared.
        identity: Option<String> = none;
        /// Whether players may have borrowed the game from their family.
        family_sharing: bool = true;
        /// Where Steam's web API is.
        api_url: String = "https://partner.steam-api.com";
    }
    secrets {
        /// The publisher's key of the web API.
        key;
    }
}

section_of! {
    /// Through the pages of an OpenID provider, by the name that it has here and in the records. It has to know
    /// the redirect `PUBLIC_URL/v1/games/GAME/auth/providers/NAME/callback`.
    OpenIdSignIn {
        /// The provider, letter for letter as it calls itself in its tokens.
        issuer: String = required;
        /// What it calls us.
        client_id: String = required;
        /// What is asked for beside "openid", for the player's name.
        scopes: Vec<String> = ["profile"];
    }
    secrets {
        /// Our client secret there. Unset: we are a public client.
        client_secret;
    }
}

section_of! {
    /// By an e-mail address, which is confirmed, and a password. Left out: they cannot.
    EmailSignIn {
        /// A page of yours that the links in mails lead to; it is given `action` ("confirm" or "reset") and
        /// `token`. Unset: a page of Greenroom's own.
        link_url: Option<String> = none;
        /// How long the link to confirm an address is good.
        confirm_ttl: Duration = "1d";
        /// How long the link to a new password is good.
        reset_ttl: Duration = "1h";
    }
}
