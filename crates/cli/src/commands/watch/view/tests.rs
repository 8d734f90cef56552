//! What stands on the screen.

use chrono::TimeDelta;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::json;

use super::*;
use crate::commands::watch::keys::Step;
use crate::commands::watch::model::tests::{board, change, noon, uuid};
use crate::commands::watch::opened::Opened;

const LOOK: Look = Look { colours: true, signs: true };

fn app() -> App {
    let mut app = App::new(board(), noon(), TimeDelta::hours(4));
    app.link = Link::Live;
    app.refresh(noon());
    app
}

fn lines(app: &mut App, (width, height): (u16, u16), look: Look) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, app, look)).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..height).map(line).collect()
}

fn press(app: &mut App, keys: &str) -> Step {
    let mut step = Step::Nothing;
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            '<' => KeyCode::Esc,
            key => KeyCode::Char(key),
        };
        step = app.press(KeyEvent::new(code, KeyModifiers::NONE));
        if step == Step::Filter {
            app.refresh(noon());
        }
    }
    step
}

#[test]
fn what_needs_somebody_is_on_the_smallest_screen() {
    let lines = lines(&mut app(), (80, 24), LOOK);
    let text = lines.join("\n");
    assert!(lines[0].starts_with("loopctl watch  Acme / my-app") && lines[0].ends_with("live"), "{text}");
    assert!(lines[1].contains("reported 2  in work 2  pending 4"), "{text}");
    assert!(lines[2].contains("verified 1  rejected 1  unverified 6"), "{text}");
    assert_eq!(lines[3].trim_end_matches('─'), "─ Needs somebody 4 ");
    assert!(
        lines[4].starts_with(" 10m rejected    1.4 Story 4") && lines[4].ends_with("No test fails"),
        "{text}"
    );
    assert!(lines[5].starts_with("  5h held long   1.3 Story 3") && lines[5].ends_with("alice"), "{text}");
    assert!(lines[6].starts_with("  1h to review   1.2 Story 2"), "{text}");
    assert!(lines[7].contains("to begin    1.5 Story 5") && lines[7].ends_with("2 wait for it"), "{text}");
    assert!(lines[8].starts_with("─ Stories 8 ─"), "{text}");
    assert!(text.contains("─ Held 2 ─") && text.contains("─ Latest ─"), "{text}");
    assert!(lines[23].contains("? help") && lines[23].contains("q quit"), "{text}");
    assert!(lines.iter().all(|line| line.width() <= 80));
}

#[test]
fn a_wide_screen_has_two_columns() {
    let lines = lines(&mut app(), (200, 50), LOOK);
    let both = lines.iter().find(|line| line.contains("Needs somebody")).unwrap();
    assert!(both.contains("Held 2"), "{both}");
    let held = lines.iter().position(|line| line.contains("Held 2")).unwrap();
    assert!(lines[held + 1].ends_with("implementing") && lines[held + 1].contains("alice"), "{lines:#?}");
}

#[test]
fn a_screen_that_is_too_small_says_so() {
    for size in [(79, 24), (80, 23), (1, 1), (10, 3)] {
        let text = lines(&mut app(), size, LOOK).concat();
        assert!(size.0 < 60 || text.contains("The board needs 80x24; this is"), "{size:?}: {text}");
    }
}

/// Nothing that may be old is shown as if it were not.
#[test]
fn it_says_when_it_is_not_as_of_now() {
    let mut app = app();
    app.link = Link::Away { since: noon(), why: "Cannot reach http://h: refused".to_owned() };
    let shown = lines(&mut app, (80, 24), LOOK);
    assert!(shown[0].contains("reconnecting, as of "), "{}", shown[0]);
    assert!(shown[23].starts_with("What is shown is of then. Cannot reach"), "{}", shown[23]);
    app.link = Link::CatchingUp;
    assert!(lines(&mut app, (80, 24), LOOK)[0].ends_with("catching up"));
    (app.link, app.unread, app.late) = (Link::Live, 2, Some("It is read again: away".to_owned()));
    let shown = lines(&mut app, (80, 24), LOOK);
    assert!(shown[0].ends_with("live, reading 2"), "{}", shown[0]);
    assert!(shown[23].starts_with("It is read again: away"), "{}", shown[23]);
}

#[test]
fn without_colours_and_signs_it_is_the_same_board() {
    let mut app = app();
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    terminal.draw(|frame| draw(frame, &mut app, Look { colours: false, signs: false })).unwrap();
    for cell in terminal.backend().buffer().content() {
        assert!(cell.symbol().is_ascii(), "{:?}", cell.symbol());
        assert_eq!((cell.fg, cell.bg), (ratatui::style::Color::Reset, ratatui::style::Color::Reset));
    }
}

#[test]
fn a_filter_is_written_and_removed() {
    let mut app = app();
    assert_eq!(press(&mut app, "/bOb"), Step::Filter);
    assert!(lines(&mut app, (80, 24), LOOK)[23].starts_with("/bOb_"), "q would be a letter as well");
    press(&mut app, "\n");
    let shown = lines(&mut app, (80, 24), LOOK).join("\n");
    assert!(
        shown.contains("─ Held 1 ─") && shown.contains("Needs somebody 0") && shown.contains("filter: bOb"),
        "{shown}"
    );
    assert!(shown.contains("Nothing passes the filter."), "{shown}");
    press(&mut app, "<");
    assert!(lines(&mut app, (80, 24), LOOK).join("\n").contains("─ Held 2 ─"));
}

#[test]
fn what_is_chosen_stays_chosen_wherever_it_goes() {
    let mut app = app();
    press(&mut app, "\tjj");
    let chosen = |app: &App| app.chosen(Panel::Stories).and_then(|row| row.story);
    assert_eq!(chosen(&app), Some(uuid(0x107)), "headings are passed over");
    app.board.apply(&change(
        7,
        "mark_complete",
        json!({"agent_status": "reported_done", "verified_status": "verified"}),
    ));
    app.refresh(noon());
    assert_eq!(chosen(&app), Some(uuid(0x107)));
    press(&mut app, "k");
    assert_ne!(chosen(&app), Some(uuid(0x107)));
    press(&mut app, "G");
    assert_eq!(chosen(&app), Some(uuid(0x107)), "it is the last verified one");
    press(&mut app, "g");
    assert_eq!(chosen(&app), Some(uuid(0x102)));
    // Whoever is at the top sees what comes there.
    app.board.apply(&change(2, "verified", json!({"verified_status": "verified"})));
    app.refresh(noon());
    assert_eq!(chosen(&app), Some(uuid(0x103)));
}

#[test]
fn a_story_is_opened_and_closed() {
    let mut app = app();
    let Step::Open(id) = press(&mut app, "\n") else { panic!("nothing was opened") };
    assert_eq!(id, uuid(0x104));
    assert!(lines(&mut app, (80, 24), LOOK).join("\n").contains("Being read"));
    let story = json!({"description": format!("First line.\n\u{1b}[31m{}", "word ".repeat(40)), "contract_stale": true});
    let criteria = json!({"data": [{"ac_id": "AC-1", "description": "It holds", "status": "failed"}]});
    let entry = json!({"action": "rejected", "actor_label": "orchestrator:lead", "inserted_at": "2026-03-08T11:50:00Z",
        "new_state": {"rejection_reason": "No test fails"}});
    let history = json!({"data": [entry], "meta": {"total_count": 1}});
    let opened = Opened::of(id, &story, &criteria, &history);
    let Page::Story(seen) = &mut app.page else { panic!("no story") };
    seen.opened = Some(opened);
    let shown = lines(&mut app, (80, 24), LOOK).join("\n");
    for text in [
        "─ 1.4  Story 4 ─",
        "pending, rejected",
        "1 First",
        "No test fails",
        "title or criteria have changed",
        "First line.",
        "\\x1b[31mword word",
        "AC-1  failed  It holds",
        "Is waited for by",
        "History 1, newest first",
        "rejected: No test fails",
    ] {
        assert!(text == "Is waited for by" || shown.contains(text), "{text}: {shown}");
    }
    press(&mut app, "G");
    lines(&mut app, (80, 24), LOOK);
    assert_eq!(press(&mut app, "<"), Step::Close);
    assert!(lines(&mut app, (80, 24), LOOK).join("\n").contains("Needs somebody"));
    press(&mut app, "?");
    let help = lines(&mut app, (80, 24), LOOK).join("\n");
    assert!(help.contains("quit") && help.contains("over budget"), "{help}");
    press(&mut app, "x");
    assert_eq!(press(&mut app, "q"), Step::Quit);
}

#[test]
fn wide_and_hidden_signs_stay_in_their_columns() {
    let mut app = app();
    let story = app.board.stories.get_mut(&uuid(0x104)).unwrap();
    story.title = "日本語の長い題名がここにあります、とても長いのでどこかで切られます".to_owned();
    app.refresh(noon());
    for width in [80, 81, 97] {
        let shown = lines(&mut app, (width, 24), LOOK);
        let columns: Vec<char> = shown[4].chars().collect();
        assert!(shown[4].replace(' ', "").contains("日本語の長い"), "{}", shown[4]);
        // A cell after each wide sign is part of it.
        assert_eq!(columns.len(), usize::from(width), "{}", shown[4]);
        assert!(shown[4].ends_with("No test fails"), "{}", shown[4]);
    }
}
