//! The loopctl server.
