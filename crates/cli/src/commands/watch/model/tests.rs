//! Boards as tests make them.
