//! What counts as the same output, and what a page calls otherwise than the server that it is run against.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// What is another one each time: ids, times, keys, digests.
static VARIES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x)
        (?P<id> \b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b)
        | (?P<time> \b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d))
        | (?P<key> \blc_(?:[A-Za-z0-9_-]+|…))
        | (?P<digest> \b[0-9a-f]{12,}\b)",
    )
    .unwrap()
});

/// Whether a command has shown what the page says, ids and the like aside. White space at the end of lines does not count.
pub(super) fn same(told: &str, real: &str) -> bool {
    masked(told) == masked(real)
}

fn masked(output: &str) -> String {
    let kinds = ["id", "time", "key", "digest"];
    let kind = |found: &Captures<'_>| {
        let kind = kinds.into_iter().find(|kind| found.name(kind).is_some());
        format!("<{}>", kind.unwrap_or_default())
    };
    let masked = VARIES.replace_all(output, kind);
    let lines: Vec<_> = masked.lines().map(str::trim_end).collect();
    lines.join("\n").trim_end().to_owned()
}

/// Where pages say that their server is.
const SERVER: &str = "http://localhost:4000";

/// A tenant that a page makes: what it calls it.
static TENANT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"operator tenant create\b[^|;&]*--slug[ =]([a-z0-9-]+)").unwrap());

/// What pages call things, and what they are called where they are run.
pub(super) struct Names {
    /// The server's, the one that clients use first.
    addresses: Vec<String>,
    /// What no other page's tenant has in its name.
    mark: String,
    /// Slugs as the page has them.
    slugs: Vec<String>,
}

impl Names {
    pub(super) fn new(addresses: Vec<String>, mark: &str) -> Self {
        Self { addresses, mark: mark.to_owned(), slugs: Vec::new() }
    }

    /// A page's command as it can be run. Servers are shared, and slugs and mail addresses are of one tenant.
    pub(super) fn real(&mut self, command: &str) -> String {
        let mut command = Cow::Borrowed(command);
        if let Some(address) = self.addresses.first() {
            command = command.replace(SERVER, address).into();
        }
        if let Some(slug) = TENANT.captures(&command).map(|found| found[1].to_owned()) {
            let here = self.here(&slug);
            for (before, after) in [("--slug ", ""), ("--slug=", ""), ("@", ".")] {
                command = command
                    .replace(&format!("{before}{slug}{after}"), &format!("{before}{here}{after}"))
                    .into();
            }
            self.slugs.push(slug);
        }
        command.into_owned()
    }

    /// An output in the page's words.
    pub(super) fn told(&self, output: &str) -> String {
        let mut output = output.to_owned();
        for address in &self.addresses {
            output = output.replace(address, SERVER);
        }
        for slug in &self.slugs {
            output = output.replace(&self.here(slug), slug);
        }
        output
    }

    fn here(&self, slug: &str) -> String {
        format!("{slug}-{}", self.mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_varies_is_equal_to_its_kind_and_to_nothing_else() {
        const ID: &str = "01a2071f-ccf8-70f5-80c6-a2906c180620";
        const TIME: &str = "2026-11-23T06:37:34.469651Z";
        for (told, real) in [
            (ID, "01a226ce-f0bc-735f-81c5-f5aac82b9d06"),
            (TIME, "2027-01-01T00:00:00+01:00"),
            ("lc_abc-DEF_1", "lc_x"),
            ("\"lc_…\"", "\"lc_x\""),
            ("criteria 4a298e4f6503", "criteria 0123456789abcdef"),
            ("number: 2  \n\n", "number: 2"),
            ("", "\n"),
        ] {
            assert!(same(told, real), "{told} | {real}");
        }
        for (told, real) in [
            (ID, TIME),
            (ID, "01a2071f-ccf8-70f5-80c6-a2906c18062"),
            (TIME, "2026-11-23"),
            ("4a298e4f650", "4a298e4f651"),
            ("\"contracted\"", "\"assigned\""),
            ("", "Error"),
            ("Error", ""),
            ("a\nb", "b\na"),
            ("a\n\nb", "a\nb"),
            ("  a", "a"),
        ] {
            assert!(!same(told, real), "{told} | {real}");
        }
    }

    #[test]
    fn a_page_is_translated_there_and_back() {
        let addresses = ["http://127.0.0.1:36123", "http://loopctl.test"].map(str::to_owned).to_vec();
        let mut names = Names::new(addresses, "7-1");
        let real = names.real("curl http://localhost:4000/health --slug acme");
        assert_eq!(real, "curl http://127.0.0.1:36123/health --slug acme");
        let real = names.real(
            "loopctl operator tenant create --name acme --slug acme --email me@acme.example > acme.json",
        );
        assert_eq!(
            real,
            "loopctl operator tenant create --name acme --slug acme-7-1 --email me@acme-7-1.example > acme.json"
        );
        assert_eq!(names.real("jq . acme.json"), "jq . acme.json");
        let told = names.told("{\"slug\": \"acme-7-1\"} http://127.0.0.1:36123/ http://loopctl.test/docs");
        assert_eq!(told, "{\"slug\": \"acme\"} http://localhost:4000/ http://localhost:4000/docs");
    }
}
