//! Short lists that stay short.

/// The entry that is `same`, or a new one while there are fewer than `most`; `None` when the list is full.
pub fn entry<T>(list: &mut Vec<T>, most: usize, same: impl Fn(&T) -> bool, make: impl FnOnce() -> T) -> Option<&mut T> {
    let place = match list.iter().position(same) {
        Some(place) => place,
        None if list.len() < most => {
            list.push(make());
            list.len() - 1
        }
        None => return None,
    };
    list.get_mut(place)
}

/// The front of a text of at most `most` bytes, cut at a character.
#[must_use]
pub fn text(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or(text)
}
