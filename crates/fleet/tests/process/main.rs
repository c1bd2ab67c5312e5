//! Game servers as local processes: real supervisors, real processes, real ports.

mod support;

mod life;
