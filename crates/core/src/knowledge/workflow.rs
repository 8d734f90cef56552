//! How articles move from one status to another.

use super::article::Status;

/// A way for an article to get another status, other than by being superseded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// To readers.
    Publish,
    /// Away from readers, or back after it was superseded.
    Unpublish,
    /// Laid aside.
    Archive,
}

impl Move {
    /// Where it leads.
    pub const fn to(self) -> Status {
        match self {
            Self::Publish => Status::Published,
            Self::Unpublish => Status::Draft,
            Self::Archive => Status::Archived,
        }
    }

    /// The way that leads there; none does to superseded, which only a link can do.
    const fn towards(status: Status) -> Option<Self> {
        match status {
            Status::Published => Some(Self::Publish),
            Status::Draft => Some(Self::Unpublish),
            Status::Archived => Some(Self::Archive),
            Status::Superseded => None,
        }
    }
}

/// Whether an article may go from one status to another.
///
/// # Errors
/// The contract's sentence.
pub fn moved(from: Status, to: Status) -> Result<(), String> {
    let passes = match (from, Move::towards(to)) {
        (Status::Draft, Some(Move::Publish | Move::Archive)) => true,
        (Status::Published, Some(Move::Unpublish | Move::Archive)) => true,
        (Status::Superseded, Some(Move::Unpublish)) => true,
        (Status::Draft | Status::Published | Status::Superseded, _) | (Status::Archived, _) => false,
    };
    if passes { Ok(()) } else { Err(format!("Cannot transition from {from} to {to}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_is_in_the_table() {
        use Status::{Archived, Draft, Published, Superseded};
        let ways = [
            (Draft, Published),
            (Draft, Archived),
            (Published, Draft),
            (Published, Archived),
            (Superseded, Draft),
        ];
        for from in Status::ALL {
            for to in Status::ALL {
                let expected = ways.contains(&(*from, *to));
                assert_eq!(moved(*from, *to).is_ok(), expected, "{from} to {to}");
            }
        }
        assert_eq!(
            moved(Published, Published),
            Err("Cannot transition from published to published".to_owned())
        );
        assert_eq!(
            moved(Archived, Published),
            Err("Cannot transition from archived to published".to_owned())
        );
    }

    #[test]
    fn a_move_leads_where_it_says() {
        for way in [Move::Publish, Move::Unpublish, Move::Archive] {
            assert_eq!(Move::towards(way.to()), Some(way));
        }
    }
}
