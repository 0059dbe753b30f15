//! Mã QR as squares.

use qrcode::{Color, EcLevel, QrCode};
use serde::Serialize;

use crate::PressError;

/// Modules that stay white around the code (ISO/IEC 18004).
const QUIET: usize = 4;

/// A square image, a byte a module: 0 black, 255 white.
#[derive(Debug, Serialize)]
pub(crate) struct Squares {
    size: usize,
    pixels: Vec<u8>,
}

/// The code of a text, with its quiet zone; none for an empty text.
pub(crate) fn squares(text: &str) -> Result<Option<Squares>, PressError> {
    if text.is_empty() {
        return Ok(None);
    }
    // M: a stamp or a fold over 15 % of it does no harm.
    let code = QrCode::with_error_correction_level(text.as_bytes(), EcLevel::M)
        .map_err(|_| PressError::QrTooLong(text.len()))?;
    let width = code.width();
    let size = width.saturating_add(QUIET.saturating_mul(2));
    let mut pixels = vec![u8::MAX; size.saturating_mul(size)];
    for (place, color) in code.to_colors().into_iter().enumerate() {
        let (x, y) = (place % width, place / width);
        if color == Color::Dark
            && let Some(pixel) = pixels.get_mut((y + QUIET) * size + x + QUIET)
        {
            *pixel = 0;
        }
    }
    Ok(Some(Squares { size, pixels }))
}
