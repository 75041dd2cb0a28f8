//! The battery-backed clock of PCs (MC146818): the time of day where no launcher tells it.

use x86_64::instructions::port::Port;

const UPDATE_IN_PROGRESS: u8 = 0x80;
const BINARY: u8 = 0x04;
const HOURS_24: u8 = 0x02;
const PM: u8 = 0x80;

/// Registers of the clock.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Register {
    Second = 0x00,
    Minute = 0x02,
    Hour = 0x04,
    Day = 0x07,
    Month = 0x08,
    Year = 0x09,
    StatusA = 0x0a,
    StatusB = 0x0b,
}

fn read(register: Register) -> u8 {
    // SAFETY: selecting and reading a register of the clock has no other effect.
    unsafe {
        Port::<u8>::new(0x70).write(register as u8);
        Port::<u8>::new(0x71).read()
    }
}

/// Seconds since 1970 UTC; `None` where there is no such clock, or it does not make sense.
pub(crate) fn seconds_since_1970() -> Option<u64> {
    const PATIENCE: u32 = 100_000;
    if read(Register::StatusB) == 0xff {
        return None;
    }
    let mut tries = 0;
    while read(Register::StatusA) & UPDATE_IN_PROGRESS != 0 && tries < PATIENCE {
        tries += 1;
    }
    let status = read(Register::StatusB);
    let decode = |raw: u8| {
        let binary = if status & BINARY != 0 { raw } else { (raw >> 4) * 10 + (raw & 0xf) };
        u64::from(binary)
    };
    let raw_hour = read(Register::Hour);
    let mut hour = decode(raw_hour & !PM);
    if status & HOURS_24 == 0 {
        hour = hour % 12 + if raw_hour & PM != 0 { 12 } else { 0 };
    }
    let [second, minute] = [Register::Second, Register::Minute].map(|at| decode(read(at)));
    let [day, month, year] =
        [Register::Day, Register::Month, Register::Year].map(|at| decode(read(at)));
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 {
        return None;
    }
    let days = days_since_1970(2000 + year, month, day);
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    // Years begin in March, so that the leap day is the last.
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}
