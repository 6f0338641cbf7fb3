//! Captures that are put together here, from the byte up, and what comes of them.

mod containers;
mod hostile;
mod make;
mod showing;
