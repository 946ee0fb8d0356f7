//! Little-endian numbers, counts and sections of a snapshot's body.

/// Writing.
pub(crate) trait Put {
    fn put(&mut self, bytes: &[u8]);
    fn put_u32(&mut self, count: usize);
    fn put_section(&mut self, tag: u16, body: impl FnOnce(&mut Vec<u8>));
}

impl Put for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn put_u32(&mut self, count: usize) {
        let count = u32::try_from(count).expect("tables in a snapshot are bounded");
        self.extend_from_slice(&count.to_le_bytes());
    }

    fn put_section(&mut self, tag: u16, body: impl FnOnce(&mut Vec<u8>)) {
        let mut section = Vec::new();
        body(&mut section);
        self.put(&tag.to_le_bytes());
        self.put_u32(section.len());
        self.put(&section);
    }
}

/// Reading; `None` where there is less, or more than the bound.
pub(crate) trait Take<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]>;
    fn take_count(&mut self, max: usize) -> Option<usize>;
    fn take_section(&mut self) -> Option<(u16, &'a [u8])>;
}

impl<'a> Take<'a> for &'a [u8] {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.split_first_chunk()?;
        *self = rest;
        Some(*head)
    }

    fn take_count(&mut self, max: usize) -> Option<usize> {
        let count = u32::from_le_bytes(self.take()?) as usize;
        (count <= max).then_some(count)
    }

    fn take_section(&mut self) -> Option<(u16, &'a [u8])> {
        let tag = u16::from_le_bytes(self.take()?);
        let len = self.take_count(self.len())?;
        let (section, rest) = self.split_at_checked(len)?;
        *self = rest;
        Some((tag, section))
    }
}
