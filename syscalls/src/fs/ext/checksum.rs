//! Checksums of metadata: CRC-32C (`metadata_csum`) and CRC-16 (`gdt_csum`), both reflected.

/// Polynomial of CRC-32C, reflected (RFC 3720, section 12.1).
const CASTAGNOLI: u32 = 0x82f6_3b78;

/// Polynomial of CRC-16/ARC, reflected.
const CRC16: u16 = 0xa001;

static CASTAGNOLI_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 0 { value >> 1 } else { value >> 1 ^ CASTAGNOLI };
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
};

/// Goes on with a CRC-32C over `bytes`, without any final inversion.
pub(super) fn crc32c(start: u32, bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(start, |value, &byte| value >> 8 ^ CASTAGNOLI_TABLE[usize::from(value as u8 ^ byte)])
}

/// Goes on with a CRC-16 over `bytes`.
pub(super) fn crc16(start: u16, bytes: &[u8]) -> u16 {
    bytes.iter().fold(start, |value, &byte| {
        (0..8).fold(value ^ u16::from(byte), |value, _| {
            if value & 1 == 0 { value >> 1 } else { value >> 1 ^ CRC16 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values_of_both_polynomials_are_the_published_ones() {
        assert_eq!(!crc32c(!0, b"123456789"), 0xe306_9283);
        assert_eq!(crc16(0, b"123456789"), 0xbb3d);
    }
}
