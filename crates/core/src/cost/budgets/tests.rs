//! Budgets without a database.

use proptest::prelude::*;

use super::*;

const PLACE: Place =
    Place { story_id: Uuid::from_u128(1), epic_id: Uuid::from_u128(2), project_id: Uuid::from_u128(3) };
const AGENT: Uuid = Uuid::from_u128(4);
const OTHER: Uuid = Uuid::from_u128(5);

fn cost(millicents: i64) -> Spent {
    Spent { cost: millicents.into(), ..Spent::default() }
}

fn tokens(input: i64, output: i64) -> Spent {
    Spent { input_tokens: input.into(), output_tokens: output.into(), ..Spent::default() }
}

/// A budget that only tells, of the entity of this place and agent.
fn budget(scope_type: ScopeType, limits: Limits) -> Budget {
    let scope_id = match scope_type {
        ScopeType::Story => PLACE.story_id,
        ScopeType::Epic => PLACE.epic_id,
        ScopeType::Agent => AGENT,
        _ => PLACE.project_id,
    };
    let id = Some(Uuid::from_u128(100 + scope_type as u128));
    let enforcement = Enforcement::Warn;
    Budget {
        id,
        scope_type,
        scope_id,
        limits,
        alert_threshold_pct: 80,
        enforcement,
        reserve_millicents: None,
    }
}

fn of_money(scope_type: ScopeType, millicents: i64) -> Budget {
    budget(scope_type, Limits { cost: Some(millicents), ..Limits::default() })
}

fn blocking(budget: Budget) -> Budget {
    Budget { enforcement: Enforcement::Block, ..budget }
}

fn reached(accounts: &mut Accounts, spent: Spent) -> Vec<(ScopeType, Level, i128)> {
    let moved = accounts.spend(&PLACE, AGENT, spent);
    moved.reached.iter().map(|it| (it.budget.scope_type, it.level, it.used.percent.0)).collect()
}

#[test]
fn each_level_is_told_once() {
    let mut accounts = Accounts::new(vec![of_money(ScopeType::Story, 10_000)], None);
    assert_eq!(reached(&mut accounts, cost(7999)), []);
    assert_eq!(reached(&mut accounts, cost(501)), [(ScopeType::Story, Level::Warning, 85)]);
    assert_eq!(reached(&mut accounts, cost(200)), []);
    // Just the limit is all of it.
    assert_eq!(reached(&mut accounts, cost(1300)), [(ScopeType::Story, Level::Exceeded, 100)]);
    assert_eq!(reached(&mut accounts, cost(90_000)), []);
}

#[test]
fn one_report_may_reach_several() {
    let budgets = vec![of_money(ScopeType::Story, 5000), of_money(ScopeType::Project, 8000)];
    let mut accounts = Accounts::new(budgets, None);
    let expected = [
        (ScopeType::Story, Level::Warning, 140),
        (ScopeType::Story, Level::Exceeded, 140),
        (ScopeType::Project, Level::Warning, 87),
    ];
    assert_eq!(reached(&mut accounts, cost(7000)), expected);
}

#[test]
fn the_limit_that_is_used_most_counts() {
    let limits =
        Limits { cost: Some(1000), tokens: Some(200_000), input_tokens: Some(0), output_tokens: Some(50) };
    let used = |spent| limits.utilization(spent).map(|used| (used.limit_type, used.percent.0));
    assert_eq!(used(tokens(159_999, 0)), Some((LimitType::Tokens, 79)));
    assert_eq!(used(tokens(999, 50)), Some((LimitType::OutputTokens, 100)));
    assert_eq!(used(tokens(1, 1).and(cost(20))), Some((LimitType::Cost, 2)));
    assert_eq!(used(Spent::default()), Some((LimitType::Cost, 0)));
    // Nothing is limited by nothing.
    assert_eq!(limits.passed(tokens(9_000, 50)), None);
    assert_eq!(limits.passed(tokens(0, 51)).map(|used| used.limit_type), Some(LimitType::OutputTokens));
    assert_eq!(Limits { input_tokens: Some(0), ..Limits::default() }.utilization(tokens(5, 5)), None);
}

#[test]
fn what_is_said_of_one_replaces_what_is_said_of_each() {
    let each = || of_money(ScopeType::PerStory, 100);
    let keys = |budgets: Vec<Budget>, default| {
        let wanted = Accounts::new(budgets, default).wanted(&[(PLACE, vec![AGENT])]);
        wanted.into_iter().map(|key| (key.budget_id, key.target.target_type)).collect::<Vec<_>>()
    };
    assert_eq!(keys(vec![each()], Some(5)), [(each().id, TargetType::Story)]);
    let one = of_money(ScopeType::Story, 100);
    assert_eq!(keys(vec![each(), one.clone()], Some(5)), [(one.id, TargetType::Story)]);
    assert_eq!(keys(Vec::new(), Some(5)), [(None, TargetType::Story)]);
    assert_eq!(keys(Vec::new(), None), []);
    // The default tells like any other.
    let mut accounts = Accounts::new(Vec::new(), Some(1000));
    assert_eq!(reached(&mut accounts, cost(800)), [(ScopeType::Story, Level::Warning, 80)]);
    // Another's budget is not this one's.
    let elsewhere = Budget { scope_id: OTHER, ..of_money(ScopeType::Epic, 1) };
    assert_eq!(keys(vec![elsewhere], None), []);
}

#[test]
fn what_is_taken_back_can_be_told_again() {
    let mut accounts = Accounts::new(vec![of_money(ScopeType::Epic, 1000)], None);
    assert_eq!(reached(&mut accounts, cost(2000)).len(), 2);
    assert_eq!(accounts.spend(&PLACE, AGENT, cost(-100)), Moved::default());
    let left = accounts.spend(&PLACE, AGENT, cost(-901)).left;
    assert_eq!(left.iter().map(|(_, level)| *level).collect::<Vec<_>>(), [Level::Exceeded]);
    assert_eq!(reached(&mut accounts, cost(1)), [(ScopeType::Epic, Level::Exceeded, 100)]);
    let left = accounts.spend(&PLACE, AGENT, cost(-1000)).left;
    assert_eq!(left.len(), 2);
    // A budget that was used up when it came tells with the next report, and not when something is taken back.
    let mut late = Accounts::new(vec![of_money(ScopeType::Epic, 1000)], None);
    let key = late.wanted(&[(PLACE, vec![AGENT])])[0];
    late.open([(key, Account { spent: cost(5000), ..Account::default() })]);
    assert_eq!(late.spend(&PLACE, AGENT, cost(-1)), Moved::default());
    assert_eq!(reached(&mut late, cost(0)).len(), 2);
}

#[test]
fn only_what_blocks_refuses_and_says_the_nearest() {
    let admit = |budgets: Vec<Budget>, spent| {
        let refused = Accounts::new(budgets, None).admit_report(&PLACE, Some(AGENT), Some(OTHER), spent);
        refused
            .err()
            .map(|overrun| (overrun.budget.scope_type, overrun.used.limit_type, overrun.used.current.0))
    };
    let story = of_money(ScopeType::Story, 1000);
    assert_eq!(admit(vec![story.clone()], cost(1001)), None);
    assert_eq!(admit(vec![blocking(story.clone())], cost(1000)), None);
    let passed = Some((ScopeType::Story, LimitType::Cost, 1001));
    assert_eq!(admit(vec![blocking(story.clone())], cost(1001)), passed);
    let all = vec![blocking(of_money(ScopeType::Project, 1)), blocking(of_money(ScopeType::PerStory, 1))];
    assert_eq!(admit(all, cost(7)).map(|refused| refused.0), Some(ScopeType::PerStory));
    // Whoever holds the story, too: but what is reported is not theirs.
    let holder = blocking(Budget { scope_id: OTHER, ..of_money(ScopeType::Agent, 10) });
    assert_eq!(admit(vec![holder.clone()], cost(11)), None);
    let mut spent = Accounts::new(vec![holder], None);
    let key = spent.wanted(&[(PLACE, vec![OTHER])])[0];
    spent.open([(key, Account { spent: cost(11), ..Account::default() })]);
    let refused = spent.admit_report(&PLACE, Some(AGENT), Some(OTHER), cost(0)).unwrap_err();
    assert_eq!((refused.target.id, refused.used.current), (OTHER, Total(11)));
}

#[test]
fn what_lets_more_through_is_looser() {
    let old = Budget {
        reserve_millicents: Some(5),
        limits: Limits {
            input_tokens: Some(7),
            output_tokens: Some(0),
            ..of_money(ScopeType::Epic, 10).limits
        },
        ..blocking(of_money(ScopeType::Epic, 10))
    };
    let with = |limits: Limits| Budget { limits, ..old.clone() };
    let looser = [
        Budget { enforcement: Enforcement::Warn, ..old.clone() },
        Budget { reserve_millicents: Some(4), ..old.clone() },
        Budget { reserve_millicents: None, ..old.clone() },
        with(Limits { cost: Some(11), ..old.limits }),
        with(Limits { cost: None, tokens: Some(1), ..old.limits }),
        with(Limits { input_tokens: Some(0), ..old.limits }),
    ];
    for new in &looser {
        assert!(old.is_loosened_to(new), "{new:?}");
        assert!(!of_money(ScopeType::Epic, 10).is_loosened_to(new), "it only warns");
    }
    let tighter = [
        old.clone(),
        Budget { reserve_millicents: Some(6), ..old.clone() },
        Budget { alert_threshold_pct: 99, ..old.clone() },
        with(Limits { cost: Some(9), tokens: Some(9), output_tokens: Some(3), ..old.limits }),
    ];
    for new in &tighter {
        assert!(!old.is_loosened_to(new), "{new:?}");
    }
}

#[test]
fn a_claim_sets_aside_what_is_left() {
    let project = Budget { reserve_millicents: Some(400), ..blocking(of_money(ScopeType::Project, 1000)) };
    let mut accounts = Accounts::new(vec![project.clone()], None);
    let key = accounts.wanted(&[(PLACE, vec![AGENT])])[0];
    accounts.open([(key, Account { spent: cost(200), ..Account::default() })]);
    assert_eq!(accounts.reserve(&PLACE, Some(AGENT)).unwrap()[0].millicents, 400);
    // Just the limit.
    assert_eq!(accounts.reserve(&PLACE, Some(AGENT)).unwrap().len(), 1);
    let refused = accounts.reserve(&PLACE, None).unwrap_err();
    assert_eq!((refused.spent, refused.reserved, refused.limit), (Total(200), Total(800), 1000));
    // What only tells refuses nothing, and what sets nothing aside does not either.
    let warning =
        Budget { enforcement: Enforcement::Warn, reserve_millicents: Some(9000), ..project.clone() };
    assert_eq!(Accounts::new(vec![warning], None).reserve(&PLACE, None).unwrap().len(), 1);
    let without = Budget { reserve_millicents: None, ..project };
    assert_eq!(Accounts::new(vec![without], None).reserve(&PLACE, None).unwrap(), []);
}

#[test]
fn amounts_come_from_the_nearest() {
    let all = [
        (ScopeType::Project, 4),
        (ScopeType::Epic, 3),
        (ScopeType::PerEpic, 7),
        (ScopeType::PerStory, 2),
        (ScopeType::Story, 1),
        (ScopeType::Agent, 8),
    ];
    let of = |asked, amounts: &[(ScopeType, i64)], default| {
        effective(asked, amounts, default).map(|found| (found.millicents, found.source))
    };
    assert_eq!(of(TargetType::Story, &all, Some(9)), Some((1, "explicit")));
    assert_eq!(of(TargetType::Story, &all[..4], Some(9)), Some((2, "project_template")));
    assert_eq!(of(TargetType::Story, &all[..2], Some(9)), Some((3, "epic_inherited")));
    assert_eq!(of(TargetType::Story, &all[..1], Some(9)), Some((4, "project_inherited")));
    assert_eq!(of(TargetType::Story, &[], Some(9)), Some((9, "tenant_default")));
    assert_eq!(of(TargetType::Epic, &all[2..3], Some(9)), Some((7, "project_template")));
    assert_eq!(of(TargetType::Project, &[], Some(9)), Some((9, "tenant_default")));
    assert_eq!(of(TargetType::Agent, &all, None), Some((8, "explicit")));
    assert_eq!(of(TargetType::Agent, &[], Some(9)), None);
}

proptest! {
    /// However it is spent and taken back: a level is told of exactly while it is reached.
    #[test]
    fn levels_are_told_while_they_are_reached(
        limit in 1i64..1000, threshold in 1i32..=100, amounts in prop::collection::vec(1i64..700, 1..40), back in any::<u64>(),
    ) {
        let budget = Budget { alert_threshold_pct: threshold, ..of_money(ScopeType::Story, limit) };
        let mut accounts = Accounts::new(vec![budget.clone()], None);
        let (mut told, mut spent) = (Vec::new(), Spent::default());
        for (nth, amount) in amounts.into_iter().enumerate() {
            let takes_back = back >> (nth % 64) & 1 == 1 && spent.cost >= amount.into();
            let more = if takes_back { cost(amount).taken_back() } else { cost(amount) };
            spent = spent.and(more);
            let moved = accounts.spend(&PLACE, AGENT, more);
            for crossing in &moved.reached {
                prop_assert!(!told.contains(&crossing.level));
                told.push(crossing.level);
            }
            told.retain(|level| !moved.left.iter().any(|(_, left)| left == level));
            for level in [Level::Warning, Level::Exceeded] {
                prop_assert_eq!(told.contains(&level), budget.reaches(level, spent));
            }
        }
    }

    /// Whatever is claimed: what was spent and what is set aside never pass the limit.
    #[test]
    fn nothing_is_overdrawn(limit in 1i64..10_000, reserve in 1i64..3000, spent in 0i64..10_000, claims in 0usize..30) {
        let budget = Budget { reserve_millicents: Some(reserve), ..blocking(of_money(ScopeType::PerEpic, limit)) };
        let mut accounts = Accounts::new(vec![budget], None);
        let key = accounts.wanted(&[(PLACE, Vec::new())])[0];
        accounts.open([(key, Account { spent: cost(spent), ..Account::default() })]);
        let claimed = (0..claims).filter(|_| accounts.reserve(&PLACE, Some(AGENT)).is_ok()).count();
        let most = usize::try_from((limit - spent).max(0) / reserve).unwrap();
        prop_assert_eq!(claimed, claims.min(most));
    }
}
